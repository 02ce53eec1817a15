"""``dividing``: what is divided, where it is cut, and what becomes of keys, waves, places and prompts."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from lowtide.errors import Problem
from lowtide.request import KIND_LENGTH_MAX, Neutral, Request, RequestKey
from lowtide.store.schema import KINDS, REQUESTS
from lowtide.workload import Answer, PromptThreshold, Scope, WorkloadOptions
from lowtide.workloads.bpmn import WORKLOAD
from lowtide.workloads.bpmn.documents import DocumentTable, DocumentType
from lowtide.workloads.bpmn.frozen import FORMAT, FORMAT_DIVIDED, Frame, frame_of, kind_of, thaw
from lowtide.workloads.bpmn.hierarchy import Planned
from lowtide.workloads.bpmn.model import NodeKind

TABLE = """
[limits]
quoted_bytes_max = {quoted}
[documents.goal]
template = "feature-goal.md.j2"
max_output_tokens = 1_000
nodes = ["process", "subProcess", "callActivity"]
[documents.epic]
max_output_tokens = 1_000
nodes = ["task"]
[documents.test-script]
max_output_tokens = 500
nodes = ["task"]
quotes = []
"""
THRESHOLD = PromptThreshold(tokens=10_000, ascii_bytes=400, other_bytes=250)
NAMESPACE = "http://www.omg.org/spec/BPMN/20100524/MODEL"


class Every:
    """Every key has an answer that names it, but for those that failed."""

    def __init__(self, *failed: str) -> None:
        self.failed = failed

    def get(self, key: RequestKey) -> Answer:
        return Answer(text=None, reason="refused") if key in self.failed else Answer(text=f"TEXT OF {key}")


def tasks(count: int, prefix: str = "t") -> str:
    return "".join(f'<task id="{prefix}{number}" name="Step {number}"/>' for number in range(count))


def scope_of(
    folder: Path,
    inside: str,
    *,
    split: bool = True,
    quoted: int = 400_000,
    threshold: PromptThreshold | None = THRESHOLD,
    strict: bool = False,
) -> tuple[Scope, list[Problem]]:
    folder.joinpath("a.bpmn").write_text(f'<definitions xmlns="{NAMESPACE}">{inside}</definitions>')
    folder.joinpath("table.toml").write_text(TABLE.format(quoted=quoted))
    options = WorkloadOptions(
        model="m", documents=folder / "table.toml", threshold=threshold, split=split, strict=strict
    )
    reading = WORKLOAD.read(folder, options)
    problems = [item for item in reading.requests() if isinstance(item, Problem)]
    return reading.scope(), problems


def keys_of(scope: Scope) -> list[list[str]]:
    frame = frame_of(scope.frozen)
    return [[frame.frozen.keys[number] for number in frame.numbers_of(wave)] for wave in range(frame.waves)]


def parts_of(frame: Frame) -> list[list[str]]:
    """What each part quotes."""
    return [
        [quote.key for quote in frame.quoted(number)]
        for number, document in enumerate(frame.frozen.planned)
        if document.part
    ]


def text(request: Request) -> str:
    assert isinstance(request.body, Neutral)
    return request.body.text


def test_a_document_that_could_pass_is_made_of_parts_and_a_whole_that_quotes_them(tmp_path: Path) -> None:
    scope, problems = scope_of(tmp_path, f'<process id="p" name="P">{tasks(12)}</process>')
    assert problems == []
    waves = keys_of(scope)
    assert [key for key in waves[1] if ":p:" in key] == [
        f"a.bpmn:p:goal.part-{part}" for part in range(1, len(waves[1]) + 1)
    ]
    assert waves[2] == ["a.bpmn:p:goal"]
    (whole,) = WORKLOAD.next_wave(scope, 2, Every())
    assert list(whole.depends_on[: len(waves[1])]) == waves[1]
    assert all(f"TEXT OF {key}\n" in text(whole) for key in waves[1])
    assert "TEXT OF a.bpmn:t0:epic" not in text(whole)
    assert (scope.facts["documents"], scope.facts["parts"]) == ("25", str(len(waves[1])))


def test_what_is_quoted_is_quoted_once_in_order_and_a_nodes_documents_stay_together(tmp_path: Path) -> None:
    scope, _ = scope_of(tmp_path, f'<process id="p" name="P">{tasks(12)}</process>')
    whole, _ = scope_of(tmp_path, f'<process id="p" name="P">{tasks(12)}</process>', split=False)
    parts = parts_of(frame_of(scope.frozen))
    assert len(parts) > 1
    before = frame_of(whole.frozen)
    assert [key for part in parts for key in part] == [
        quote.key for quote in before.quoted(before.number_of[RequestKey("a.bpmn:p:goal")])
    ]
    nodes = [{key.split(":")[1] for key in part} for part in parts]
    assert sum(map(len, nodes)) == 12, "no node's documents are in two parts"


def test_a_part_stays_below_the_threshold_whatever_the_answers_are(tmp_path: Path) -> None:
    scope, _ = scope_of(tmp_path, f'<process id="p" name="P">{tasks(20)}</process>')
    for wave in (1, 2):
        for request in WORKLOAD.next_wave(scope, wave, Every()):
            assert isinstance(request.body, Neutral)
            own = THRESHOLD.tokens_of("".join((request.body.system, *request.body.shared, request.body.text)))
            frame = frame_of(scope.frozen)
            quoted = sum(quote.max_output_tokens for quote in frame.quoted(frame.number_of[request.key]))
            assert own + quoted < THRESHOLD.tokens, request.key


def test_a_template_that_quotes_twice_makes_parts_of_half_the_size(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    shipped = Path(__file__).parents[3] / "src/lowtide/workloads/bpmn/templates/en/feature-goal.md.j2"
    again = "{% for quote in node.quotes.shown %}{{ quote.text }}{% endfor %}"
    (tmp_path / "own" / "feature-goal.md.j2").write_text(shipped.read_text() + again)
    once, _ = scope_of(tmp_path, f'<process id="p" name="P">{tasks(8)}</process>')
    options = WorkloadOptions(
        model="m",
        documents=tmp_path / "table.toml",
        threshold=THRESHOLD,
        split=True,
        templates=tmp_path / "own",
    )
    reading = WORKLOAD.read(tmp_path, options)
    assert not [item for item in reading.requests() if isinstance(item, Problem)]
    longest = [max(map(len, parts_of(frame_of(scope.frozen)))) for scope in (once, reading.scope())]
    assert longest == [10, 4]


def test_each_part_says_which_one_it_is_and_is_learned_about_apart(tmp_path: Path) -> None:
    scope, _ = scope_of(tmp_path, f'<process id="p" name="P">{tasks(12)}</process>')
    requests = list(WORKLOAD.next_wave(scope, 1, Every()))
    assert {request.kind for request in requests} == {"goal.part"}
    assert [
        f"piece {number} of {len(requests)}" in text(request) for number, request in enumerate(requests, start=1)
    ] == [True] * len(requests)
    (whole,) = WORKLOAD.next_wave(scope, 2, Every())
    assert whole.kind == "goal"
    assert f"the {len(requests)} pieces" in text(whole)
    assert f'type="goal, part 1 of {len(requests)}"' in text(whole)


def test_kinds_of_parts_fit_the_store_and_are_of_one_document_each() -> None:
    """The longest names that a table may have; SQLite would take longer ones, PostgreSQL refuses them."""
    slugs = ["a" * 40, "a" * 39 + "b", "a" * 36, "a" * 35]
    nodes = frozenset({NodeKind.PROCESS})
    table = DocumentTable(
        types=tuple(DocumentType(slug=slug, template="t", max_output_tokens=1, nodes=nodes) for slug in slugs)
    )
    kinds = [kind_of(Planned(node=0, row=row, wave=1, parts=2, part=1), table) for row in range(len(slugs))]
    assert max(map(len, kinds)) <= KIND_LENGTH_MAX == REQUESTS.c.kind.type.length == KINDS.c.kind.type.length
    assert len({*kinds, *slugs}) == 2 * len(slugs)
    assert kinds[-1] == "a" * 35 + ".part"


def test_a_part_that_failed_is_a_gap_in_the_whole(tmp_path: Path) -> None:
    scope, _ = scope_of(tmp_path, f'<process id="p" name="P">{tasks(12)}</process>')
    (whole,) = WORKLOAD.next_wave(scope, 2, Every("a.bpmn:p:goal.part-1"))
    assert "[Missing: the goal, part 1 of" in text(whole)


def test_what_a_part_had_to_do_without_is_missing_in_the_whole_too(tmp_path: Path) -> None:
    """The whole is the document that is read: what could not be made is named there as it would be undivided."""
    inside = f'<process id="p" name="P">{tasks(12)}</process>'
    scope, _ = scope_of(tmp_path, inside)
    undivided, _ = scope_of(tmp_path, inside, split=False)
    (whole,) = WORKLOAD.next_wave(scope, 2, Every())
    (before,) = WORKLOAD.next_wave(undivided, 1, Every())
    assert set(whole.depends_on) == {*before.depends_on, *keys_of(scope)[1]}


def test_strict_asks_for_no_part_of_a_document_that_will_not_be_made(tmp_path: Path) -> None:
    """One child failed: the whole is not asked for, and its other parts would be paid for nothing."""
    scope, _ = scope_of(tmp_path, f'<process id="p" name="P">{tasks(12)}</process>', strict=True)
    assert len(list(WORKLOAD.next_wave(scope, 1, Every()))) > 1
    assert list(WORKLOAD.next_wave(scope, 1, Every("a.bpmn:t0:epic"))) == []


def test_whoever_quotes_a_divided_document_waits_for_its_whole(tmp_path: Path) -> None:
    inside = f'<process id="p" name="P"><subProcess id="s" name="S">{tasks(12)}</subProcess>{tasks(1, "u")}</process>'
    scope, _ = scope_of(tmp_path, inside)
    waves = keys_of(scope)
    assert waves[2] == ["a.bpmn:s:goal"]
    assert waves[3] == ["a.bpmn:p:goal"]
    (top,) = WORKLOAD.next_wave(scope, 3, Every())
    assert set(top.depends_on) == {"a.bpmn:s:goal", "a.bpmn:u0:epic", "a.bpmn:u0:test-script"}


def test_a_circle_of_calls_is_still_one_wave_and_its_parts_come_before_it(tmp_path: Path) -> None:
    inside = (
        f'<process id="p" name="P">{tasks(12)}<callActivity id="c" calledElement="q"/></process>'
        '<process id="q" name="Q"><callActivity id="d" calledElement="p"/></process>'
    )
    scope, _ = scope_of(tmp_path, inside)
    waves = keys_of(scope)
    assert {key for key in waves[2] if key.endswith(":goal")} == {
        f"a.bpmn:{node}:goal" for node in ("p", "c", "q", "d")
    }
    assert all(".part-" in key for key in waves[1])


def test_where_parts_go_is_decided_with_all_others(tmp_path: Path) -> None:
    scope, _ = scope_of(tmp_path, f'<process id="p" name="P">{tasks(12)}</process>')
    assert str(WORKLOAD.place(scope, RequestKey("a.bpmn:p:goal"))) == "a.bpmn/p/goal.md"
    assert str(WORKLOAD.place(scope, RequestKey("a.bpmn:p:goal.part-2"))) == "a.bpmn/p/goal.part-2.md"
    (page,) = WORKLOAD.indexes(
        scope, {RequestKey("a.bpmn:p:goal"): "succeeded", RequestKey("a.bpmn:p:goal.part-1"): "expired"}
    )
    (line,) = [line for line in page.text.splitlines() if "process:" in line]
    assert "[goal](p/goal.md), goal, part 1 of" in line
    assert re.search(r"goal, part 1 of \d \(expired\), goal, part 2 of \d \(not made yet\)", line)


def test_what_cannot_be_divided_is_named_and_stays_whole(tmp_path: Path) -> None:
    short = replace(THRESHOLD, tokens=3_000)
    scope, _ = scope_of(tmp_path, f'<process id="p" name="P">{tasks(12)}</process>', threshold=short)
    assert "a.bpmn:p:goal could pass 3,000 tokens and cannot be divided by node" in scope.facts["warnings"]
    assert keys_of(scope)[1] == ["a.bpmn:p:goal"]


def test_what_would_not_fit_as_a_whole_either_is_not_divided(tmp_path: Path) -> None:
    """Two parts of one node's documents fit, but a whole that quotes two such parts does not."""
    inside = f'<process id="p" name="P">{tasks(1)}</process>'
    scope, _ = scope_of(tmp_path, inside, threshold=replace(THRESHOLD, tokens=2_200))
    assert "cannot be divided by node" in scope.facts["warnings"]
    assert scope.facts["parts"] == "0"


@pytest.mark.parametrize(
    ("split", "threshold"), [(False, THRESHOLD), (True, None), (True, replace(THRESHOLD, tokens=1_000_000))]
)
def test_nothing_is_divided_unasked_or_without_need(
    tmp_path: Path, *, split: bool, threshold: PromptThreshold | None
) -> None:
    inside = f'<process id="p" name="P">{tasks(12)}</process>'
    scope, _ = scope_of(tmp_path, inside, split=split, threshold=threshold)
    plain, _ = scope_of(tmp_path, inside, split=False, threshold=None)
    assert scope.frozen == plain.frozen
    assert thaw(scope.frozen).format == FORMAT


def test_what_a_table_shortens_anyway_is_not_divided(tmp_path: Path) -> None:
    """Twelve epics could pass by their limits, but the table lets a prompt quote no more than 4,000 bytes."""
    scope, _ = scope_of(tmp_path, f'<process id="p" name="P">{tasks(12)}</process>', quoted=4_000)
    assert scope.facts["parts"] == "0"


def test_an_older_program_refuses_a_plan_with_parts(tmp_path: Path) -> None:
    """Format 1 alone is what it takes; parts would be whole documents to it."""
    scope, _ = scope_of(tmp_path, f'<process id="p" name="P">{tasks(12)}</process>')
    assert thaw(scope.frozen).format == FORMAT_DIVIDED != FORMAT


def test_the_digest_tells_what_was_divided_from_what_was_not(tmp_path: Path) -> None:
    digests = set()
    scope_of(tmp_path, f'<process id="p" name="P">{tasks(12)}</process>')
    for split, tokens in ((False, 10_000), (True, 10_000), (True, 20_000)):
        options = WorkloadOptions(
            model="m",
            documents=tmp_path / "table.toml",
            threshold=replace(THRESHOLD, tokens=tokens),
            split=split,
        )
        reading = WORKLOAD.read(tmp_path, options)
        for _ in reading.requests():
            pass
        digests.add(reading.digest())
    assert len(digests) == 3


def test_what_may_come_near_is_told_alone_by_name_and_the_rest_in_sums(tmp_path: Path) -> None:
    inside = f'<process id="p" name="P">{tasks(12)}</process><process id="q" name="Q">{tasks(1, "u")}</process>'
    scope, _ = scope_of(tmp_path, inside, split=False)
    (later,) = scope.later
    assert {row.key: row.requests for row in later} == {"a.bpmn:p:goal": 1, "": 1}
    assert all(row.input_bytes_longest == row.input_bytes_ceiling for row in later), "each row is one request here"


def test_own_templates_without_pieces_are_missing_only_where_they_are_needed(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    shipped = Path(__file__).parents[3] / "src/lowtide/workloads/bpmn/templates/en"
    for path in shipped.iterdir():
        if path.name not in ("part.md.j2", "whole.md.j2"):
            own.joinpath(path.name).write_bytes(path.read_bytes())
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "a.bpmn").write_text(
        f'<definitions xmlns="{NAMESPACE}"><process id="p">{tasks(1)}</process></definitions>'
    )
    for split, missing in ((False, []), (True, ["part.md.j2", "whole.md.j2"])):
        options = WorkloadOptions(model="m", language="xx", templates=own, threshold=THRESHOLD, split=split)
        reading = WORKLOAD.read(tmp_path / "models", options)
        assert [item.where for item in reading.requests() if isinstance(item, Problem)] == missing


def test_a_template_of_pieces_that_fails_is_found_before_anything_is_planned(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "part.md.j2").write_text("{{ nobody }}")
    tmp_path.joinpath("a.bpmn").write_text(
        f'<definitions xmlns="{NAMESPACE}"><process id="p">{tasks(1)}</process></definitions>'
    )
    options = WorkloadOptions(model="m", templates=tmp_path / "own", threshold=THRESHOLD, split=True)
    (problem,) = list(WORKLOAD.read(tmp_path, options).requests())
    assert isinstance(problem, Problem)
    assert "nobody" in problem.what


@pytest.mark.parametrize(
    ("text", "tokens"), [("", 0), ("abcd" * 100, 100), ("å" * 125, 100), ("ab" * 200 + "å" * 125, 200)]
)
def test_tokens_of_a_text_follow_from_its_bytes_in_and_outside_ascii(text: str, tokens: int) -> None:
    assert THRESHOLD.tokens_of(text) == tokens
