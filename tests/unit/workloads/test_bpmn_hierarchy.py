"""Calls between files, circles of calls, and waves: children first."""

from lowtide.workloads.bpmn.documents import DocumentTable, DocumentType
from lowtide.workloads.bpmn.hierarchy import Forest, follow_calls, plan_waves
from lowtide.workloads.bpmn.model import NOWHERE, Flow, Model, Node, NodeKind

ALL = frozenset(NodeKind)


def row(slug: str, nodes: frozenset[NodeKind] = ALL, quotes: frozenset[str] | None = None) -> DocumentType:
    return DocumentType(slug=slug, template="t", max_output_tokens=1, nodes=nodes, quotes=quotes)


EVERYTHING = DocumentTable(types=(row("doc"),))


def process(identity: str, name: str = "") -> Node:
    return Node(id=identity, kind=NodeKind.PROCESS, name=name)


def call(calls: str, parent: int = 0, *, run_time: bool = False) -> Node:
    kind = NodeKind.CALL_ACTIVITY
    return Node(id=f"c{parent}{calls}", kind=kind, name="", parent=parent, calls=calls, calls_at_run_time=run_time)


def task(parent: int = 0) -> Node:
    return Node(id=f"t{parent}", kind=NodeKind.TASK, name="", parent=parent)


def model(file: str, *nodes: Node, flows: tuple[Flow, ...] = ()) -> Model:
    return Model(file=file, nodes=nodes, flows=flows)


def waves(*models: Model, table: DocumentTable = EVERYTHING) -> tuple[list[int], Forest]:
    forest = Forest(models, follow_calls(models).targets)
    return [document.wave for document in plan_waves(forest, table)], forest


def test_children_come_before_their_parents() -> None:
    sub = Node(id="s", kind=NodeKind.SUB_PROCESS, name="", parent=0)
    assert waves(model("a", process("p"), sub, task(1), task(0)))[0] == [2, 1, 0, 0]


def test_a_called_process_comes_before_its_caller_in_another_file() -> None:
    assert waves(model("a", process("p"), call("q")), model("b", process("q"), task()))[0] == [3, 2, 1, 0]


def test_calls_are_found_by_id_by_prefixed_id_and_by_name() -> None:
    models = [
        model("a", process("p"), call("q"), call("tns:q"), call("Pay the bill"), call("nothing"), call("")),
        model("b", process("q", "Pay the bill")),
    ]
    calls = follow_calls(models)
    assert calls.targets == {1: 6, 2: 6, 3: 6}
    assert calls.warnings == (
        "a: callActivity c0nothing calls nothing, which is in none of the files",
        "a: callActivity c0 names no called process",
    )


def test_a_call_decided_at_run_time_is_not_followed() -> None:
    calls = follow_calls([model("a", process("q"), call("${q}", run_time=True))])
    assert (calls.targets, calls.warnings) == ({}, ("a: callActivity c0${q} calls what ${q} says at run time",))


def test_of_two_processes_with_one_id_the_nearest_is_called_and_both_are_named() -> None:
    models = [
        model("a.bpmn", process("q")),
        model("x/b.bpmn", process("p"), call("q")),
        model("x/c.bpmn", process("q")),
        model("y/d.bpmn", process("r"), call("q")),
        model("z/e.bpmn", process("q"), call("q")),
    ]
    calls = follow_calls(models)
    assert calls.targets == {2: 3, 5: 0, 7: 6}
    assert calls.warnings == (
        "a.bpmn, x/c.bpmn, z/e.bpmn: each has a process q; a call takes the one nearest to its own file",
    )


def test_a_circle_of_calls_over_files_is_one_wave_in_the_order_of_its_calls() -> None:
    found, forest = waves(
        model("a", process("p"), call("q"), task()),
        model("b", process("q"), call("r")),
        model("c", process("r"), call("p")),
        model("d", process("root"), call("p")),
    )
    assert found == [1, 1, 0, 1, 1, 1, 1, 3, 2]
    assert forest.cycles[0] == (0, 1, 3, 4, 5, 6)
    assert 7 not in forest.cycles


def test_a_process_that_calls_itself_is_a_circle_of_two() -> None:
    found, forest = waves(model("a", process("p"), call("p"), task()))
    assert found == [1, 1, 0]
    assert forest.cycles == {0: (0, 1), 1: (0, 1)}


def test_a_child_without_documents_is_looked_through() -> None:
    tasks = DocumentTable(types=(row("doc", frozenset({NodeKind.PROCESS, NodeKind.TASK})),))
    sub = Node(id="s", kind=NodeKind.SUB_PROCESS, name="", parent=0)
    assert waves(model("a", process("p"), sub, task(1)), table=tasks)[0] == [1, 0]
    found, _ = waves(model("a", process("p"), call("p"), sub, task(2)), table=tasks)
    assert found == [1, 0]


def test_a_document_that_quotes_nothing_is_in_the_first_wave() -> None:
    table = DocumentTable(
        types=(row("goal"), row("script", quotes=frozenset({"script"})), row("note", quotes=frozenset()))
    )
    assert waves(model("a", process("p"), task()), table=table)[0] == [1, 1, 0, 0, 0, 0]


def test_link_flows_are_no_ways_out() -> None:
    gateway = Node(id="g", kind=NodeKind.EXCLUSIVE_GATEWAY, name="", parent=0)
    flows = (Flow(source=1, target=0), Flow(source=1, target=0, link=True))
    assert Forest([model("a", process("p"), gateway, flows=flows)], {}).ways_out == [0, 1]


def test_the_path_to_a_node_starts_at_its_process() -> None:
    sub = Node(id="s", kind=NodeKind.SUB_PROCESS, name="", parent=0)
    forest = Forest([model("x", process("o")), model("a", process("p"), sub, task(1))], {})
    assert forest.path_of(3) == [1, 2]
    assert forest.parent_of(1) == NOWHERE
    assert list(forest.roots_of(1)) == [1]


def test_thousands_of_levels_and_of_calls_need_no_deeper_stack() -> None:
    depth = 5_000
    nested = [process("p"), *(Node(id=f"s{n}", kind=NodeKind.SUB_PROCESS, name="", parent=n) for n in range(depth))]
    assert waves(model("a", *nested))[0] == list(range(depth, -1, -1))
    chain = [model(f"{n:04}", process(f"p{n}"), call(f"p{n + 1}")) for n in range(2_000)]
    assert max(waves(*chain)[0]) == 3_999
    ring = [model(f"{n:04}", process(f"p{n}"), call(f"p{(n + 1) % 2_000}")) for n in range(2_000)]
    assert set(waves(*ring)[0]) == {0}
