"""Laws of the BPMN workload: places never collide or escape, keys are unique, bounds hold, any bytes end in values."""

import tempfile
import unicodedata
from pathlib import Path
from xml.sax.saxutils import quoteattr

from hypothesis import given, settings
from hypothesis import strategies as st

from lowtide.errors import Problem
from lowtide.request import Neutral, Request, RequestKey
from lowtide.workload import Answer, WorkloadOptions
from lowtide.workloads.bpmn import WORKLOAD
from lowtide.workloads.bpmn.model import Model
from lowtide.workloads.bpmn.places import COMPONENT_BYTES_MAX, INDEX_NAME, Places, folded, safe_component
from lowtide.workloads.bpmn.prompts import fair_level
from lowtide.workloads.bpmn.reader import read_model

anything = st.text(st.characters(), max_size=200)
nasty = st.sampled_from(
    ["", ".", "..", "/", "\\", "a/b", "a\\b", "CON", "con.md", "NUL", "index.md", "INDEX.md", "a", "A", "é", "e\u0301",
     "ß", "SS", "ss", "a.", "a ", ".a", "~", "\ud800", "x" * 300, "订" * 100, "\u202e", "a:b", "a\x00b", "ﬁ", "fi", "İ", "i̇"]
)  # fmt: skip
components = anything | nasty
names = st.lists(components, min_size=1, max_size=4).map(tuple)
FORBIDDEN = set('/\\<>:"|?*') | {chr(code) for code in range(32)}
RESERVED = {"con", "prn", "aux", "nul"} | {f"{name}{number}" for name in ("com", "lpt") for number in range(1, 10)}


@given(name=components)
def test_a_component_is_safe_everywhere(name: str) -> None:
    safe = safe_component(name)
    assert safe not in {"", ".", ".."}
    assert not set(safe) & FORBIDDEN
    assert len(safe.encode()) <= COMPONENT_BYTES_MAX
    assert not safe.startswith(".")
    assert not safe.endswith((" ", "."))
    assert safe.split(".")[0].lower() not in RESERVED
    assert safe_component(safe) == safe


@given(keys=st.sets(names, max_size=12))
def test_places_never_collide_escape_or_take_the_index(keys: set[tuple[str, ...]]) -> None:
    # As in the workload: a document is deeper than its folders, so no name is the beginning of another.
    full = {(*key, f"{len(key)}.md") for key in keys}
    places = Places(full)
    paths = {name: places.path(*name) for name in full}
    assert len({folded(str(path)) for path in paths.values()}) == len(full)
    for name, path in paths.items():
        assert not path.is_absolute()
        assert len(path.parts) == len(name)
        assert not {"..", "."} & set(path.parts)
        assert INDEX_NAME not in {unicodedata.normalize("NFC", part).casefold() for part in path.parts}
    assert {name: Places(sorted(full, reverse=True)).path(*name) for name in full} == paths


@given(
    sizes=st.lists(st.integers(min_value=0, max_value=1000), max_size=20),
    total=st.integers(min_value=0, max_value=5000),
)
def test_the_fair_level_fits_and_wastes_less_than_one_byte_a_text(sizes: list[int], total: int) -> None:
    level = fair_level(sizes, total)
    used = sum(min(size, level) for size in sizes)
    assert used <= total or not sizes
    if sizes and sum(sizes) > total:
        assert total - used < len(sizes)
    elif sizes:
        assert level == max(sizes)


@given(content=st.binary(max_size=300) | st.text(st.characters(codec="utf-8"), max_size=200).map(str.encode))
def test_any_bytes_end_in_a_model_or_a_problem(content: bytes) -> None:
    wrapped = b'<definitions xmlns="http://www.omg.org/spec/BPMN/20100524/MODEL"><process id="p">' + content
    for attempt in (content, wrapped, wrapped + b"</process></definitions>"):
        assert isinstance(read_model(attempt, file="f"), Model | Problem)


# --- Whole folders ----------------------------------------------------------------------------------------------------

identities = st.sampled_from(["", "a", "b", "A", "a~2", "é", "x/y", "a:b", "..", "p0", "p1", "long" * 150])
titles = st.sampled_from(["", "Näme", "订单", '<&"', "{{ x }}", "x" * 700])
leaves = st.tuples(
    st.sampled_from(["task", "userTask", "businessRuleTask", "startEvent", "exclusiveGateway"]), identities, titles
)
calls = st.tuples(st.just("callActivity"), identities, st.sampled_from(["p0", "p1", "p2", "tns:p0", "none", "${x}"]))
elements: st.SearchStrategy[tuple[str, str, object]] = st.recursive(
    leaves | calls,
    lambda inner: st.tuples(st.sampled_from(["subProcess", "transaction"]), identities, st.lists(inner, max_size=3)),
    max_leaves=10,
)
folders = st.lists(st.tuples(st.sampled_from(["p0", "p1", ""]), st.lists(elements, max_size=5)), min_size=1, max_size=3)


def write_element(element: tuple[str, str, object]) -> str:
    kind, identity, rest = element
    mark = f" id={quoteattr(identity)}" if identity else ""
    if isinstance(rest, list):
        return f"<{kind}{mark}>{''.join(write_element(inner) for inner in rest)}</{kind}>"
    if kind == "callActivity":
        return f"<{kind}{mark} calledElement={quoteattr(str(rest))}/>"
    return f"<{kind}{mark} name={quoteattr(str(rest))}/>"


class Answers:
    def __init__(self, length: int, failing: int) -> None:
        self.length = length
        self.failing = failing
        self.seen: set[str] = set()

    def get(self, key: RequestKey) -> Answer | None:
        assert key in self.seen, f"{key} was asked for before its own wave was over"
        if self.failing and sum(key.encode()) % self.failing == 0:
            return Answer(text=None, reason="r" * 1000)
        return Answer(text=f"[{key}]" + "é" * self.length)


@settings(max_examples=60, deadline=None)
@given(folder=folders, length=st.sampled_from([0, 10, 20_000]), failing=st.sampled_from([0, 2, 3]))
def test_waves_are_in_order_keys_unique_and_bounds_true(
    folder: list[tuple[str, list[object]]], length: int, failing: int
) -> None:
    with tempfile.TemporaryDirectory() as place:
        for number, (identity, inside) in enumerate(folder):
            body = "".join(write_element(element) for element in inside)  # type: ignore[arg-type]
            mark = f" id='{identity}'" if identity else ""
            text = f'<definitions xmlns="http://www.omg.org/spec/BPMN/20100524/MODEL"><process{mark}>{body}</process></definitions>'
            (Path(place) / f"f{number}.bpmn").write_text(text, encoding="utf-8")
        reading = WORKLOAD.read(Path(place), WorkloadOptions(model="m"))
        items = list(reading.requests())
    wave = [item for item in items if isinstance(item, Request)]
    assert len(wave) == len(items), items
    scope = reading.scope()
    answers = Answers(length, failing)
    keys = [request.key for request in wave]
    for number in range(1, scope.waves):
        answers.seen.update(request.key for request in wave)
        wave = list(WORKLOAD.next_wave(scope, number, answers))
        for later in scope.later[number - 1]:
            of_kind = [request for request in wave if request.kind == later.kind]
            assert len(of_kind) == later.requests
            assert sum(size(request) for request in of_kind) <= later.input_bytes_ceiling
            assert sum(request.body.max_output_tokens for request in of_kind if isinstance(request.body, Neutral)) == (
                later.output_tokens_ceiling
            )
        keys.extend(request.key for request in wave)
    assert len(set(keys)) == len(keys) == int(scope.facts["documents"])
    assert all(0 < len(key) <= 512 and key.isprintable() for key in keys)
    assert len({folded(str(WORKLOAD.place(scope, key))) for key in keys}) == len(keys)


def size(request: Request) -> int:
    assert isinstance(request.body, Neutral)
    parts = (request.body.system, *request.body.shared, request.body.text)
    return sum(len(part.encode()) for part in parts)
