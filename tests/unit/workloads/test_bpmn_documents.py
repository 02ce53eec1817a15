"""The table node kind -> documents: the shipped one says what the requirement says, a wrong one says all that is wrong."""

from importlib import resources

import pytest

from lowtide.workloads.bpmn.documents import DocumentTable, read_table
from lowtide.workloads.bpmn.model import NodeKind


def shipped() -> DocumentTable:
    content = (resources.files("lowtide.workloads.bpmn") / "documents.toml").read_bytes()
    table = read_table(content, file="documents.toml")
    assert isinstance(table, DocumentTable)
    return table


def documents_of(kind: NodeKind, *, ways_out: int = 1) -> dict[str, int]:
    return {row.slug: row.max_output_tokens for row in shipped().types if row.is_for(kind, ways_out=ways_out)}


@pytest.mark.parametrize(
    "kind", ["process", "subProcess", "eventSubProcess", "transaction", "adHocSubProcess", "callActivity"]
)
def test_what_contains_or_calls_gets_a_feature_goal(kind: str) -> None:
    assert documents_of(NodeKind(kind)) == {"feature-goal": 6000, "test-script": 2000}


@pytest.mark.parametrize(
    "kind", ["task", "userTask", "serviceTask", "manualTask", "scriptTask", "sendTask", "receiveTask"]
)
def test_tasks_get_an_epic(kind: str) -> None:
    assert documents_of(NodeKind(kind)) == {"epic": 1800, "test-script": 2000}


def test_a_business_rule_task_gets_a_business_rule() -> None:
    assert documents_of(NodeKind.BUSINESS_RULE_TASK) == {"business-rule": 1800, "test-script": 2000}


@pytest.mark.parametrize("kind", ["exclusiveGateway", "inclusiveGateway", "complexGateway", "eventBasedGateway"])
def test_a_gateway_gets_a_business_rule_only_where_it_decides(kind: str) -> None:
    assert documents_of(NodeKind(kind), ways_out=2) == {"business-rule": 1800}
    assert documents_of(NodeKind(kind), ways_out=1) == {}


@pytest.mark.parametrize(
    "kind", ["parallelGateway", "startEvent", "endEvent", "boundaryEvent", "intermediateCatchEvent"]
)
def test_events_and_parallel_gateways_get_nothing(kind: str) -> None:
    assert documents_of(NodeKind(kind), ways_out=3) == {}


def test_every_document_quotes_all_of_its_children_unless_told_otherwise() -> None:
    assert all(row.is_quoting(other.slug) for row in shipped().types for other in shipped().types)
    table = read_table(
        b'[documents.a]\nmax_output_tokens = 1\nnodes = ["task"]\nquotes = ["b"]\n'
        b'[documents.b]\nmax_output_tokens = 1\nnodes = ["process"]\nquotes = []\ntemplate = "x.j2"\n'
        b"[limits]\nquoted_bytes_max = 5\n",
        file="t",
    )
    assert isinstance(table, DocumentTable)
    assert [[row.is_quoting(slug) for slug in "ab"] for row in table.types] == [[False, True], [False, False]]
    assert [row.template for row in table.types] == ["a.md.j2", "x.j2"]
    assert table.quoted_bytes_max == 5


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"\xff", ["t: not UTF-8"]),
        (b"a = ", ["t: not TOML"]),
        (b"", ["t: names no documents"]),
        (b"[other]\n[documents]", ["t: other: unknown part", "t: names no documents"]),
        (b"limits = 3\n[documents.a]\nmax_output_tokens = 1\nnodes = ['task']", ["t: limits: must be a table"]),
        (
            b"[limits]\nspeed = 1\nquoted_bytes_max = 'x'\n[documents.a]\nmax_output_tokens = 1\nnodes = ['task']",
            ["t: limits.speed: unknown limit", "t: limits.quoted_bytes_max: must be a whole number of bytes, not 'x'"],
        ),
        (b"[documents]\na = 3", ["t: documents.a: must be a table", "t: documents.a.max_output_tokens: "]),
        (
            b"[documents.'A b']\nmax_output_tokens = 0\ncolour = 1\ntemplate = '../x'\nquotes = ['z', 3]\n",
            [
                "t: documents.A b: is no good name",
                "t: documents.A b.colour: unknown field",
                "t: documents.A b.max_output_tokens: must be a whole number from 1 to 300,000, not 0",
                "t: documents.A b: is for no node",
                "t: documents.A b.template: must be a file name",
                "t: documents.A b.quotes: 'z' is no document of this table",
                "t: documents.A b.quotes: 3 is no document of this table",
            ],
        ),
        (
            b"[documents.a]\nmax_output_tokens = 1\nnodes = ['tusk', 'task']\ndecisions = 3\nquotes = 3",
            [
                "t: documents.a.nodes: 'tusk' is no kind of node",
                "t: documents.a.decisions: must be a list of node kinds",
                "t: documents.a.quotes: must be a list of document names",
            ],
        ),
        (
            b"".join(b"[documents.d%d]\nmax_output_tokens = 1\nnodes = ['task']\n" % n for n in range(51)),
            ["t: 51 documents; 50 are the most"],
        ),
    ],
)
def test_everything_that_is_wrong_with_a_table_is_said_at_once(content: bytes, expected: list[str]) -> None:
    problems = read_table(content, file="t")
    assert isinstance(problems, list)
    found = [f"{problem.where}: {problem.what}" for problem in problems]
    assert len(found) == len(expected), found
    assert all(one.startswith(other) for one, other in zip(found, expected, strict=True)), found
