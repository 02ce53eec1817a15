"""189 real BPMN files against the table that came with them: counts file by file, refusals, and whole waves.

The corpus is not part of the project: `../shared/data/bpmn` beside it, where present.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lowtide.errors import Problem
from lowtide.request import Neutral, Request, RequestKey
from lowtide.workload import Answer, WorkloadOptions
from lowtide.workloads.bpmn import WORKLOAD
from lowtide.workloads.bpmn.model import ROOT_KINDS, Model, NodeKind
from lowtide.workloads.bpmn.reader import read_model

CORPUS = Path(__file__).parents[2] / "../shared/data/bpmn"
PRESENT = (CORPUS / "SOURCES.md").is_file()

# Where we differ from the table, and why.
READ_THOUGH_LISTED_AS_BROKEN = {
    # A namespace URI with a space in it: no valid URI, but well-formed XML, and every name in it can be told apart.
    "miwg-IBM-Process-Designer-8.0.1-A.3.0-export.bpmn",
}
NOTHING_TO_DOCUMENT = {"moddle-bad-encoding.bpmn", "moddle-undeclared-ns-child.bpmn"}
DIFFERENT_NODES = {
    # The table counts no choreography tasks.
    "moddle-choreography-task.bpmn": (3, 2),
}


def rows() -> Iterator[tuple[str, list[int] | None]]:
    """Give file and (nodes, sub-processes, call activities, pools, message flows, boundary events), ``None`` if broken."""
    if not PRESENT:
        return
    for line in (CORPUS / "SOURCES.md").read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) > 10 and cells[1].endswith(".bpmn"):
            yield cells[1], None if cells[3] == "-" else [int(cell) for cell in cells[3:9]]


if PRESENT:

    @pytest.mark.parametrize(("file", "expected"), list(rows()))
    def test_each_file_gives_its_nodes_or_one_clear_problem(file: str, expected: list[int] | None) -> None:
        model = read_model((CORPUS / file).read_bytes(), file=file)
        if file in NOTHING_TO_DOCUMENT:
            assert isinstance(model, Problem)
            assert model.what.startswith("nothing to document")
            assert expected is not None
            assert set(expected) == {0}
            return
        if expected is None and file not in READ_THOUGH_LISTED_AS_BROKEN:
            assert isinstance(model, Problem)
            assert model.where.startswith(file)
            assert model.what == "the file is empty" or model.what.startswith("not well-formed XML: ")
            return
        assert isinstance(model, Model)
        if expected is None:
            assert any("no valid URI" in warning for warning in model.warnings)
            return
        if file in DIFFERENT_NODES:
            ours, theirs = DIFFERENT_NODES[file]
            assert expected[0] == theirs
            expected[0] = ours
        assert counts(model) == expected

    def counts(model: Model) -> list[int]:
        nodes = [node for node in model.nodes if node.kind not in ROOT_KINDS]
        return [
            len(nodes),
            sum(node.kind in (NodeKind.SUB_PROCESS, NodeKind.EVENT_SUB_PROCESS) for node in nodes),
            sum(node.kind is NodeKind.CALL_ACTIVITY for node in nodes),
            len(model.pools),
            len(model.messages),
            sum(node.kind is NodeKind.BOUNDARY_EVENT for node in nodes),
        ]

    def test_the_whole_corpus_runs_in_waves_and_every_parent_quotes_its_children() -> None:
        reading = WORKLOAD.read(CORPUS, WorkloadOptions(model="m"))
        items = list(reading.requests())
        problems = [item for item in items if isinstance(item, Problem)]
        broken = [file for file, expected in rows() if expected is None]
        refused = {*broken, *NOTHING_TO_DOCUMENT} - READ_THOUGH_LISTED_AS_BROKEN
        assert {problem.where.split(":")[0] for problem in problems} == refused
        assert len(problems) == len(refused)
        scope = reading.scope()
        kept: dict[str, Answer] = {}

        class Kept:
            def get(self, key: RequestKey) -> Answer | None:
                return kept.get(key)

        wave = [item for item in items if isinstance(item, Request)]
        total = len(wave)
        for number in range(1, scope.waves):
            kept.update((request.key, Answer(text=f"TEXT OF {request.key}\n" + "z" * 500)) for request in wave)
            wave = list(WORKLOAD.next_wave(scope, number, Kept()))
            total += len(wave)
            for request in wave:
                assert isinstance(request.body, Neutral)
                for key in request.depends_on:
                    assert f"TEXT OF {key}\n" in request.body.text
        print(f"corpus: {scope.facts['files']} files, {total} documents in {scope.waves} waves")
        assert total == int(scope.facts["documents"]) > 3_000
        assert scope.waves >= 5

else:

    def test_the_bpmn_corpus_is_left_out() -> None:
        """The corpus is absent: there is nothing to compare with here."""
        assert list(rows()) == []
