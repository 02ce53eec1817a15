"""Keys are unique even where files and ids conspire, and what is frozen comes back."""

from lowtide.workloads.bpmn.documents import DocumentTable, DocumentType
from lowtide.workloads.bpmn.frozen import name_keys
from lowtide.workloads.bpmn.hierarchy import Planned
from lowtide.workloads.bpmn.model import Model, Node, NodeKind

TABLE = DocumentTable(
    types=(DocumentType(slug="epic", template="t", max_output_tokens=1, nodes=frozenset({NodeKind.TASK})),)
)


def keys(*places: tuple[str, str]) -> tuple[str, ...]:
    models = [Model(file=file, nodes=(Node(id=node, kind=NodeKind.TASK, name=""),)) for file, node in places]
    return name_keys(models, [Planned(node=index, row=0, wave=0) for index in range(len(places))], TABLE)


def test_a_key_is_file_node_and_document() -> None:
    assert keys(("dir/order.bpmn", "Task_1")) == ("dir/order.bpmn:Task_1:epic",)


def test_colons_in_names_cannot_make_two_keys_one() -> None:
    first, second = keys(("a", "b:c"), ("a:b", "c"))
    assert first == "a:b:c:epic"
    assert second.startswith("a:b:c")
    assert second.endswith(":epic")
    assert first != second


def test_what_does_not_fit_is_cut_and_marked_and_keeps_its_document() -> None:
    long = keys(("f" * 300, "n" * 300), ("f" * 300, "n" * 301), ("a", "x\ny"))
    assert len(set(long)) == 3
    assert all(len(key) <= 512 and key.isprintable() and key.endswith(":epic") for key in long)
    assert long[2].startswith("a:x_y~")
