"""The BPMN workload from folder to documents: waves, quotes, gaps, bounds, languages, delivery."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest

from lowtide.errors import Problem
from lowtide.request import Neutral, Request, RequestKey
from lowtide.usage import Usage
from lowtide.workload import Answer, Delivery, Reading, Scope, Workload, WorkloadOptions
from lowtide.workloads.bpmn import WORKLOAD
from lowtide.workloads.bpmn.frozen import frame_of, freeze, thaw
from lowtide.workloads.bpmn.prompts import OVERVIEW_BYTES_MAX
from lowtide.workloads.bpmn.sources import demo_folder

NAMESPACE = 'xmlns="http://www.omg.org/spec/BPMN/20100524/MODEL"'
OPTIONS = WorkloadOptions(model="claude-test")


def write(folder: Path, files: Mapping[str, str]) -> Path:
    for name, inside in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"<definitions {NAMESPACE}>{inside}</definitions>" if inside.startswith("<") else inside)
    return folder


def read(source: Path, options: WorkloadOptions = OPTIONS) -> tuple[list[Request], list[Problem], Reading]:
    reading = WORKLOAD.read(source, options)
    items = list(reading.requests())
    requests = [item for item in items if isinstance(item, Request)]
    return requests, [item for item in items if isinstance(item, Problem)], reading


def body(request: Request) -> Neutral:
    assert isinstance(request.body, Neutral)
    return request.body


def size(request: Request) -> int:
    parts = (body(request).system, *body(request).shared, body(request).text)
    return sum(len(part.encode()) for part in parts)


class Kept:
    """Answers by key; each answer is told from all others by its key."""

    def __init__(self, texts: Mapping[str, str | None] | None = None, *, default: str = "") -> None:
        self.texts: dict[str, str | None] = dict(texts or {})
        self.default = default

    def finish(self, requests: Iterable[Request]) -> None:
        for request in requests:
            self.texts.setdefault(request.key, f"TEXT OF {request.key}{self.default}")

    def get(self, key: RequestKey) -> Answer | None:
        if key not in self.texts:
            return None
        text = self.texts[key]
        return Answer(text=text, reason="" if text is not None else "refused by the model")


def run(
    source: Path, options: WorkloadOptions = OPTIONS, kept: Kept | None = None
) -> tuple[list[list[Request]], Scope]:
    """Go through all waves with made-up answers, holding each wave to what the plan said of it."""
    kept = kept if kept is not None else Kept()
    first, _, reading = read(source, options)
    scope = reading.scope()
    assert len(scope.later) == scope.waves - 1
    waves = [first]
    kept.finish(first)
    for number in range(1, scope.waves):
        wave = list(WORKLOAD.next_wave(scope, number, kept))
        for later in scope.later[number - 1]:
            of_kind = [request for request in wave if request.kind == later.kind]
            assert len(of_kind) <= later.requests
            assert sum(size(request) for request in of_kind) <= later.input_bytes_ceiling
            assert later.input_bytes_likely <= later.input_bytes_ceiling
        kept.finish(wave)
        waves.append(wave)
    return waves, scope


SHOP = {
    "shop/order.bpmn": '<process id="order" name="Order"><userTask id="pick" name="Pick"/><subProcess id="pay" name="Pay">'
    '<serviceTask id="charge" name="Charge"/></subProcess><callActivity id="ship" name="Ship" calledElement="shipping"/>'
    '<sequenceFlow id="f" sourceRef="pick" targetRef="pay" name="picked"/></process>',
    "post.bpmn": '<process id="shipping" name="Shipping"><manualTask id="pack" name="Pack"/></process>',
}


def test_it_is_a_workload_that_goes_on_past_a_broken_file() -> None:
    workload: Workload = WORKLOAD
    assert (workload.name, workload.goes_on) == ("bpmn", True)


def test_it_accepts_bpmn_files_and_folders_that_hold_one(tmp_path: Path) -> None:
    assert not WORKLOAD.accepts(tmp_path)
    write(tmp_path, {"a/b/c.BPMN20.XML": "x", "d.txt": "x", ".git/e.bpmn": "x"})
    assert WORKLOAD.accepts(tmp_path)
    assert WORKLOAD.accepts(tmp_path / "a/b/c.BPMN20.XML")
    assert not WORKLOAD.accepts(tmp_path / "d.txt")
    assert not WORKLOAD.accepts(tmp_path / "gone.bpmn")


def test_keys_name_file_node_and_document_and_waves_run_children_first(tmp_path: Path) -> None:
    waves, scope = run(write(tmp_path, SHOP))
    assert [[request.key for request in wave] for wave in waves] == [
        [
            "post.bpmn:pack:epic",
            "post.bpmn:pack:test-script",
            "shop/order.bpmn:pick:epic",
            "shop/order.bpmn:pick:test-script",
            "shop/order.bpmn:charge:epic",
            "shop/order.bpmn:charge:test-script",
        ],
        [
            "post.bpmn:shipping:feature-goal",
            "post.bpmn:shipping:test-script",
            "shop/order.bpmn:pay:feature-goal",
            "shop/order.bpmn:pay:test-script",
        ],
        ["shop/order.bpmn:ship:feature-goal", "shop/order.bpmn:ship:test-script"],
        ["shop/order.bpmn:order:feature-goal", "shop/order.bpmn:order:test-script"],
    ]
    assert {request.kind for wave in waves for request in wave} == {"feature-goal", "epic", "test-script"}
    assert {request.model for wave in waves for request in wave} == {"claude-test"}
    assert scope.facts["documents"] == "14"
    assert scope.facts["calls_followed"] == "1"


def test_a_parents_prompt_holds_the_whole_text_of_each_child(tmp_path: Path) -> None:
    waves, _ = run(write(tmp_path, SHOP))
    goal = waves[3][0]
    assert set(goal.depends_on) == {
        f"shop/order.bpmn:{node}:{kind}"
        for node, kinds in (
            ("pick", ("epic", "test-script")),
            ("pay", ("feature-goal", "test-script")),
            ("ship", ("feature-goal", "test-script")),
        )
        for kind in kinds
    }
    for key in goal.depends_on:
        assert f"TEXT OF {key}\n" in body(goal).text


def test_a_prompt_says_where_its_node_stands(tmp_path: Path) -> None:
    waves, _ = run(write(tmp_path, SHOP))
    charge = next(request for request in waves[0] if request.key.endswith("charge:epic"))
    assert "Place in the hierarchy: Order > Pay > Charge" in body(charge).text
    pay = next(request for request in waves[1] if request.key.endswith("pay:feature-goal"))
    assert "Pick (user task) by “picked”" in body(pay).text
    ship = waves[2][0]
    assert "It calls Shipping (process shipping in post.bpmn)." in body(ship).text
    shipping = waves[1][0]
    assert "- Ship in shop/order.bpmn" in body(shipping).text


def test_requests_of_a_file_share_one_prefix_in_every_wave(tmp_path: Path) -> None:
    waves, _ = run(write(tmp_path, SHOP))
    requests = [request for wave in waves for request in wave]
    assert len({body(request).system for request in requests}) == 1
    assert len({(request.source, body(request).shared) for request in requests}) == 2


def test_context_of_every_kind_reaches_the_prompt(tmp_path: Path) -> None:
    inside = (
        '<collaboration id="c"><participant id="A" name="Shop" processRef="p"/><participant id="B" name="Bank"/>'
        '<messageFlow id="m" sourceRef="t" targetRef="B" name="Payment"/></collaboration>'
        '<process id="p"><laneSet><lane name="Sales"><flowNodeRef>t</flowNodeRef></lane></laneSet>'
        '<dataObjectReference id="d" name="Invoice"/><dataObjectReference id="e" name="Receipt"/>'
        '<exclusiveGateway id="g" name="Ok?" default="f2"/>'
        '<userTask id="t" name="Check"><documentation>Look twice.</documentation>'
        "<dataInputAssociation><sourceRef>d</sourceRef></dataInputAssociation>"
        "<dataOutputAssociation><targetRef>e</targetRef></dataOutputAssociation>"
        '<multiInstanceLoopCharacteristics/></userTask><endEvent id="x" name="Late"/>'
        '<boundaryEvent id="b" name="Too slow" attachedToRef="t" cancelActivity="false"><timerEventDefinition>'
        "<timeDuration>PT5M</timeDuration></timerEventDefinition></boundaryEvent>"
        '<textAnnotation id="n"><text>Mind the gap</text></textAnnotation><association sourceRef="t" targetRef="n"/>'
        '<sequenceFlow id="f1" sourceRef="g" targetRef="t" name="yes"><conditionExpression>a &lt; 1\n and b'
        '</conditionExpression></sequenceFlow><sequenceFlow id="f2" sourceRef="g" targetRef="x"/>'
        '<sequenceFlow id="f3" sourceRef="b" targetRef="x"/></process>'
    )
    requests, _, _ = read(write(tmp_path, {"a.bpmn": inside}))
    check = body(next(request for request in requests if request.key == "a.bpmn:t:epic")).text
    for expected in (
        "- Pool: Shop",
        "- Lane: Sales",
        "- Reads: Invoice",
        "- Writes: Receipt",
        "- Behaviour: repeated for each of several items, at the same time",
        "- Ok? (exclusive gateway) by “yes” if a < 1 and b",
        "- Too slow (timer: PT5M), does not interrupt; leads to Late",
        "- Check → Bank: Payment",
        "Look twice.",
        "Mind the gap",
    ):
        assert expected in check
    rule = body(next(request for request in requests if request.key == "a.bpmn:g:business-rule")).text
    assert "- Late (end event) (otherwise)" in rule
    overview = body(requests[0]).shared[0]
    assert "- exclusive gateway: Ok? [g] → Check “yes” if a < 1 and b; Late (otherwise)" in overview
    assert "- boundary event: Too slow [b] (timer: PT5M) (on Check) → Late" in overview
    assert "Pools: Shop; Bank" in overview


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ('calledElement="gone"', "It calls gone, which is in none of the files"),
        ('calledElement="${x}"', "What it calls is decided at run time: ${x}"),
        ("", "The model does not say which process it calls"),
    ],
)
def test_a_call_that_leads_nowhere_is_said_in_the_prompt_and_in_the_warnings(
    tmp_path: Path, call: str, expected: str
) -> None:
    requests, problems, reading = read(
        write(tmp_path, {"a.bpmn": f'<process id="p"><callActivity id="c" {call}/></process>'})
    )
    assert problems == []
    assert expected in body(requests[0]).text
    (warning,) = json.loads(reading.scope().facts["warnings"])
    assert warning.startswith("a.bpmn: callActivity c ")


def test_a_failed_child_is_a_gap_that_the_parents_prompt_names(tmp_path: Path) -> None:
    kept = Kept({"post.bpmn:pack:epic": None})
    waves, _ = run(write(tmp_path, SHOP), kept=kept)
    text = body(waves[1][0]).text
    assert "[Missing: the Epic of manual task Pack could not be made (refused by the model). Name this gap" in text
    assert "TEXT OF post.bpmn:pack:test-script" in text
    assert [len(wave) for wave in waves] == [6, 4, 2, 2]


def test_strict_blocks_the_parents_of_a_failed_child_all_the_way_up(tmp_path: Path) -> None:
    kept = Kept({"post.bpmn:pack:epic": None})
    waves, _ = run(write(tmp_path, SHOP), replace(OPTIONS, strict=True), kept)
    assert [[request.key.split(":", 1)[1] for request in wave] for wave in waves[1:]] == [
        ["pay:feature-goal", "pay:test-script"],
        [],
        [],
    ]


def test_a_child_that_is_not_finished_counts_as_a_gap(tmp_path: Path) -> None:
    _, _, reading = read(write(tmp_path, SHOP))
    wave = list(WORKLOAD.next_wave(reading.scope(), 1, Kept()))
    assert "(not made)" in body(wave[0]).text


def test_next_wave_is_pure(tmp_path: Path) -> None:
    source = write(tmp_path, SHOP)
    first, second = run(source), run(source)
    assert first[0] == second[0]
    assert first[1] == second[1]
    frame_of.cache_clear()
    assert run(source)[0] == first[0]


def test_later_waves_need_the_scope_alone(tmp_path: Path) -> None:
    source = write(tmp_path / "in", SHOP)
    kept = Kept()
    first, _, reading = read(source)
    kept.finish(first)
    scope = reading.scope()
    expected = list(WORKLOAD.next_wave(scope, 1, kept))
    source.rename(tmp_path / "moved")
    frame_of.cache_clear()
    assert (
        list(WORKLOAD.next_wave(Scope(workload="bpmn", frozen=bytes(bytearray(scope.frozen)), waves=4), 1, kept))
        == expected
    )


def test_what_is_frozen_is_the_same_bytes_each_time_and_comes_back_whole(tmp_path: Path) -> None:
    source = write(tmp_path, SHOP)
    one, two = read(source)[2].scope(), read(source)[2].scope()
    assert one.frozen == two.frozen
    assert freeze(thaw(one.frozen)) == one.frozen


def test_long_texts_are_shortened_fairly_and_the_prompt_says_so(tmp_path: Path) -> None:
    table = tmp_path / "documents.toml"
    table.write_text(
        '[limits]\nquoted_bytes_max = 4000\n[documents.goal]\nmax_output_tokens = 1000\nnodes = ["process"]\n'
        'template = "feature-goal.md.j2"\n[documents.epic]\nmax_output_tokens = 1000\nnodes = ["task"]\n'
    )
    tasks = "".join(f'<task id="t{n}"/>' for n in range(4))
    source = write(tmp_path / "in", {"a.bpmn": f'<process id="p">{tasks}</process>'})
    texts = {f"a.bpmn:t{n}:epic": f"<{n}>" + "å" * (10 if n == 0 else 6_000) for n in range(4)}
    waves, _ = run(source, replace(OPTIONS, documents=table), Kept(texts))
    text = body(waves[1][0]).text
    assert "<0>" + "å" * 10 in text
    assert "å" * 11 in text
    assert text.count("[… shortened here: the first ") == 3
    assert text.count("of 12003 bytes are quoted]") == 3
    assert all(f"<{n}>å" in text for n in range(4))


def test_one_text_longer_than_its_limit_allows_is_cut_to_the_ceiling(tmp_path: Path) -> None:
    source = write(tmp_path, {"a.bpmn": '<process id="p"><task id="t"/></process>'})
    waves, scope = run(source, kept=Kept(default="x" * 100_000))
    assert "[… shortened here: the first " in body(waves[1][0]).text
    (goal, script) = scope.later[0]
    assert goal.kind == "feature-goal"
    assert size(waves[1][0]) == goal.input_bytes_ceiling
    assert size(waves[1][1]) == script.input_bytes_ceiling


def test_a_node_with_a_thousand_children_keeps_the_hard_bound(tmp_path: Path) -> None:
    tasks = "".join(f'<task id="t{n}" name="{"A long name " * 6}"/>' for n in range(1_000))
    waves, _ = run(write(tmp_path, {"a.bpmn": f'<process id="p">{tasks}</process>'}), kept=Kept(default="y" * 5_000))
    goal = waves[1][0]
    assert len(goal.depends_on) == 1_000
    assert size(goal) < 620_000
    assert "1000 more documents of its parts are not quoted." in body(goal).text
    assert len(body(goal).shared[0].encode()) <= OVERVIEW_BYTES_MAX
    assert "deeper elements are left out of this overview." in body(goal).shared[0]
    assert "## What it contains" in body(goal).text


def test_three_hundred_levels_in_one_file(tmp_path: Path) -> None:
    levels = 300
    inside = "".join(f'<subProcess id="s{n}" name="Level {n}">' for n in range(levels)) + '<userTask id="t"/>'
    source = write(tmp_path, {"deep.bpmn": f'<process id="p">{inside}{"</subProcess>" * levels}</process>'})
    waves, scope = run(source)
    assert scope.waves == levels + 2
    assert sum(len(wave) for wave in waves) == 2 * (levels + 2)
    for wave in waves[1:]:
        for request in wave:
            assert len(request.depends_on) == 2
            for key in request.depends_on:
                assert f"TEXT OF {key}\n" in body(request).text
    assert "… 289 more levels …" in body(waves[0][0]).text


def test_three_hundred_files_that_call_one_another(tmp_path: Path) -> None:
    count = 300
    files = {
        f"f{n:03}.bpmn": f'<process id="p{n}"><task id="t"/><callActivity id="c" calledElement="p{n + 1}"/></process>'
        for n in range(count - 1)
    }
    source = write(tmp_path, {**files, "last.bpmn": f'<process id="p{count - 1}"><task id="t"/></process>'})
    waves, scope = run(source)
    assert scope.waves == 2 * count
    for wave in waves[1:]:
        for request in wave:
            assert request.depends_on
            for key in request.depends_on:
                assert f"TEXT OF {key}\n" in body(request).text


def test_a_circle_of_calls_over_files_ends_and_is_named(tmp_path: Path) -> None:
    files = {
        f"f{n}.bpmn": f'<process id="p{n}" name="P{n}"><task id="t"/><subProcess id="s" name="S{n}">'
        f'<callActivity id="c" name="C{n}" calledElement="p{(n + 1) % 3}"/><task id="u"/></subProcess></process>'
        for n in range(3)
    }
    files["root.bpmn"] = '<process id="root"><callActivity id="c" calledElement="p0"/></process>'
    waves, scope = run(write(tmp_path, files))
    assert scope.waves == 4
    circle = [request for request in waves[1] if request.kind == "feature-goal"]
    assert len(circle) == 9
    for request in circle:
        text = body(request).text
        assert "a circle of calls: P0 → S0 → C0 → P1 → S1 → C1 → P2 → S2 → C2 → back to the first" in text
        for key in request.depends_on:
            assert key.split(":")[1] in ("t", "u")
            assert f"TEXT OF {key}\n" in text
    root = waves[2][0]
    assert "TEXT OF f0.bpmn:p0:feature-goal\n" in body(root).text


def test_a_broken_file_is_one_problem_and_the_others_go_on(tmp_path: Path) -> None:
    source = write(tmp_path, {**SHOP, "broken.bpmn": "no xml", "empty.bpmn": ""})
    requests, problems, reading = read(source)
    assert [problem.where for problem in problems] == ["broken.bpmn:1", "empty.bpmn"]
    assert len(requests) == 6
    assert reading.scope().facts["files"] == "2"
    assert reading.scope().facts["files_left_out"] == "2"


def test_one_file_by_itself_is_an_input_too(tmp_path: Path) -> None:
    source = write(tmp_path, SHOP) / "post.bpmn"
    requests, _, _ = read(source)
    assert requests[0].key == "post.bpmn:pack:epic"


def test_no_file_no_model_and_no_documents_are_problems(tmp_path: Path) -> None:
    assert [problem.what for problem in read(tmp_path)[1]] == ["there is no BPMN file here"]
    source = write(tmp_path / "in", {"a.bpmn": '<process id="p"/>'})
    assert [problem.what for problem in read(source, WorkloadOptions())[1]] == ["no model is named"]
    table = tmp_path / "documents.toml"
    table.write_text('[documents.epic]\nmax_output_tokens = 10\nnodes = ["task"]\n')
    requests, problems, _ = read(source, replace(OPTIONS, documents=table))
    assert requests == []
    assert [problem.what for problem in problems] == ["the table of documents names nothing for any of 1 nodes"]


def test_keys_are_unique_printable_and_short_whatever_the_ids(tmp_path: Path) -> None:
    inside = f'<process id="p"><task id="{"x" * 600}"/><task id="{"x" * 600}y"/><task id="a&#x85;b"/><task id="a_b"/></process>'
    requests, _, reading = read(write(tmp_path, {"a.bpmn": inside}))
    scope = reading.scope()
    keys = [request.key for request in requests]
    assert len(set(keys)) == len(keys) == 8
    assert all(len(key) <= 512 and key.isprintable() for key in keys)
    assert all(key.endswith((":epic", ":test-script")) for key in keys)
    assert len({WORKLOAD.place(scope, key) for key in keys}) == 8


def test_the_digest_is_of_files_templates_table_and_language(tmp_path: Path) -> None:
    source = write(tmp_path / "in", SHOP)
    digests = {read(source)[2].digest(), read(source)[2].digest()}
    assert len(digests) == 1
    digests.add(read(source, replace(OPTIONS, language="sv"))[2].digest())
    digests.add(read(source, replace(OPTIONS, strict=True))[2].digest())
    own = tmp_path / "own"
    own.mkdir()
    (own / "epic.md.j2").write_text("Epic of {{ node.title }}")
    digests.add(read(source, replace(OPTIONS, templates=own))[2].digest())
    (source / "post.bpmn").rename(source / "past.bpmn")
    digests.add(read(source)[2].digest())
    assert len(digests) == 5


# --- Languages and templates ------------------------------------------------------------------------------------------


def test_swedish_prompts_are_swedish(tmp_path: Path) -> None:
    waves, _ = run(write(tmp_path, SHOP), replace(OPTIONS, language="sv"))
    request = waves[0][0]
    assert "Skriv på svenska." in body(request).system
    assert "Översikt över post.bpmn" in body(request).shared[0]
    assert " uppgift\n- Id: pack\n- Fil: post.bpmn\n" in body(request).text
    assert "Skriv en epic" in body(request).text


def test_a_users_template_replaces_the_shipped_one_of_its_name(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "epic.md.j2").write_text("Story of {{ node.title }} in {{ tokens }}")
    requests, problems, _ = read(write(tmp_path / "in", SHOP), replace(OPTIONS, templates=own))
    assert problems == []
    assert body(requests[0]).text == "Story of Pack in 1800"
    assert "# Your task" in body(requests[1]).text


def test_any_language_works_with_templates_of_its_own(tmp_path: Path) -> None:
    names = ["system", "overview", "gap", "shortened", "feature-goal", "epic", "business-rule", "test-script"]
    own = tmp_path / "own" / "tlh"
    own.mkdir(parents=True)
    for name in names:
        (own / f"{name}.md.j2").write_text(f"{name} {{{{ language | default('') }}}}")
    (own / "words.toml").write_text(
        'language = "tlhIngan"\nunnamed = ""\nand_more = ""\nlevels_between = ""\nmade_without = ""\ndocuments = ""\n'
        'back = ""\nnot_yet = ""\n'
    )
    options = replace(OPTIONS, templates=own.parent, language="tlh")
    requests, problems, _ = read(write(tmp_path / "in", SHOP), options)
    assert problems == []
    assert body(requests[0]).system == "system tlhIngan"
    assert body(requests[0]).text == "epic tlhIngan"
    _, problems, _ = read(tmp_path / "in", replace(options, language="xx"))
    assert [str(problem) for problem in problems] == [
        "--language xx: no templates in this language\n  hint: there are en, sv, tlh; give your own with --templates FOLDER"
    ]


def test_an_unknown_language_names_those_there_are(tmp_path: Path) -> None:
    requests, problems, _ = read(write(tmp_path, SHOP), replace(OPTIONS, language="de"))
    assert requests == []
    assert [problem.hint for problem in problems] == ["there are en, sv; give your own with --templates FOLDER"]


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("epic.md.j2", "line\n{% if %}", "epic.md.j2:2: template: "),
        ("epic.md.j2", "{{ nobody }}", "epic.md.j2: the template fails: 'nobody' is undefined"),
        ("epic.md.j2", "{{ node.nobody }}", "epic.md.j2: the template fails: "),
        ("epic.md.j2", "{{ node.__class__.__mro__ }}", "epic.md.j2: the template fails: "),
        ("epic.md.j2", "{% include 'gone.j2' %}", "epic.md.j2: the template gone.j2 is missing"),
        ("epic.md.j2", "{{ 1 // 0 }}", "epic.md.j2: the template fails: "),
        ("epic.md.j2", " ", "epic.md.j2: the template gives an empty text"),
        ("gap.md.j2", "{{ nobody }}", "gap.md.j2: the template fails: 'nobody' is undefined"),
        ("system.md.j2", "{{ nobody }}", "system.md.j2: the template fails: 'nobody' is undefined"),
        ("words.toml", "x = ", "words.toml: not TOML"),
        ("words.toml", "language = 3", "words.toml: language: must be a text"),
    ],
)
def test_a_template_that_is_wrong_stops_the_plan_before_its_first_request(
    tmp_path: Path, name: str, text: str, expected: str
) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / name).write_text(text)
    requests, problems, reading = read(write(tmp_path / "in", SHOP), replace(OPTIONS, templates=own))
    assert requests == []
    assert str(problems[0]).startswith(expected), problems
    assert reading.scope().waves == 0
    assert len({str(problem) for problem in problems}) == len(problems)


def test_folders_and_tables_that_cannot_be_read_are_problems(tmp_path: Path) -> None:
    source = write(tmp_path / "in", SHOP)
    assert "is no folder of templates" in str(read(source, replace(OPTIONS, templates=tmp_path / "gone"))[1][0])
    assert "cannot be read" in str(read(source, replace(OPTIONS, documents=tmp_path / "gone"))[1][0])
    table = tmp_path / "documents.toml"
    table.write_text('[documents.own]\nmax_output_tokens = 10\nnodes = ["task"]\n')
    assert [problem.where for problem in read(source, replace(OPTIONS, documents=table))[1]] == ["own.md.j2"]
    own = tmp_path / "own"
    own.mkdir()
    (own / "epic.md.j2").write_bytes(b"\xff")
    assert "not UTF-8" in str(read(source, replace(OPTIONS, templates=own))[1][0])


# --- Delivery ---------------------------------------------------------------------------------------------------------


def delivery(key: str, **changes: object) -> Delivery:
    usage = Usage(input_tokens=10, output_tokens=20)
    plain = Delivery(
        key=RequestKey(key),
        kind="epic",
        model="claude-test",
        plan_id="p1",
        text="# Epic\n\nText\n",
        stop_reason="end_turn",
        usage=usage,
        cost_dollars="0.0188",
        simulated=True,
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def test_a_document_has_front_matter_and_its_text(tmp_path: Path) -> None:
    scope = read(write(tmp_path, SHOP))[2].scope()
    document = WORKLOAD.document(scope, delivery("shop/order.bpmn:pick:epic"))
    assert document.path == PurePosixPath("shop/order.bpmn/pick/epic.md")
    assert document.path == WORKLOAD.place(scope, RequestKey("shop/order.bpmn:pick:epic"))
    assert document.text == (
        '---\nkey: "shop/order.bpmn:pick:epic"\nmodel: "claude-test"\ninput_tokens: 10\noutput_tokens: 20\n'
        'cost: "0.0188"\nplan: "p1"\nsimulated: true\n---\n\n# Epic\n\nText\n'
    )


def test_a_document_names_its_gaps_and_an_early_end(tmp_path: Path) -> None:
    scope = read(write(tmp_path, SHOP))[2].scope()
    cut = delivery("post.bpmn:pack:epic", stop_reason="max_tokens", gaps=("a.bpmn:x_y:epic",), simulated=False)
    text = WORKLOAD.document(scope, cut).text
    assert 'simulated: false\nstop_reason: "max_tokens"\ngaps:\n  - "a.bpmn:x_y:epic"\n---\n' in text
    assert "> Made without these documents, which could not be made:\n> - a.bpmn:x\\_y:epic\n" in text


def test_front_matter_survives_any_name(tmp_path: Path) -> None:
    source = write(tmp_path, {"a.bpmn": '<process id="p"><task id="x&quot;: &#x2028;# - y"/></process>'})
    requests, _, reading = read(source)
    text = WORKLOAD.document(reading.scope(), delivery(requests[0].key)).text
    line = text.splitlines()[1]
    assert json.loads(line.removeprefix("key: ")) == requests[0].key


def test_a_stranger_has_no_place(tmp_path: Path) -> None:
    scope = read(write(tmp_path, SHOP))[2].scope()
    with pytest.raises(KeyError):
        WORKLOAD.place(scope, RequestKey("../../etc/passwd"))


def test_the_page_of_a_file_links_what_is_there_and_names_what_is_not(tmp_path: Path) -> None:
    waves, scope = run(write(tmp_path, SHOP))
    finished = {
        RequestKey("shop/order.bpmn:pick:epic"): "succeeded",
        RequestKey("shop/order.bpmn:pick:test-script"): "errored",
    }
    pages = {str(page.path): page.text for page in WORKLOAD.indexes(scope, finished)}
    assert sorted(pages) == ["post.bpmn/index.md", "shop/order.bpmn/index.md"]
    page = pages["shop/order.bpmn/index.md"]
    assert "  - user task: **Pick**: [Epic](pick/epic.md), Test script (failed)\n" in page
    assert "call activity: **Ship** → [Shipping](../../post.bpmn/index.md): Feature goal (not made yet)" in page
    assert "    - service task: **Charge**" in page
    links = {str(WORKLOAD.place(scope, request.key)) for wave in waves for request in wave}
    assert len(links) == 14


# --- The demonstration set --------------------------------------------------------------------------------------------


def test_the_demonstration_set_has_over_300_documents_in_waves_and_one_broken_file() -> None:
    _, problems, _ = read(demo_folder())
    waves, scope = run(demo_folder())
    documents = sum(len(wave) for wave in waves)
    print(f"demo: {scope.facts['files']} files, {documents} documents, waves of {[len(wave) for wave in waves]}")
    assert [problem.where for problem in problems] == ["modeler-broken.bpmn:5"]
    assert documents == int(scope.facts["documents"]) > 300
    assert scope.waves >= 3
    assert int(scope.facts["calls_followed"]) >= 5
    names = "".join(body(request).text for request in waves[0])
    assert "ansökan" in names.lower()
    assert any("\u4e00" <= character <= "\u9fff" for character in names)


def test_every_file_of_the_demonstration_set_has_its_source_named() -> None:
    sources = (demo_folder() / "SOURCES.md").read_text(encoding="utf-8")
    files = [path.name for path in demo_folder().iterdir() if path.suffix == ".bpmn"]
    assert len(files) == 17
    assert all(f"| `{name}` |" in sources for name in files)
    assert sum(path.stat().st_size for path in demo_folder().iterdir()) < 1_500_000
