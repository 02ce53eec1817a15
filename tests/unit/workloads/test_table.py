"""The table as a workload: recognised, rendered, digested with its template."""

from pathlib import Path

import pytest

from lowtide.errors import Problem
from lowtide.request import Neutral, Request, RequestKey
from lowtide.workload import Reading, Scope, Workload, WorkloadOptions
from lowtide.workloads.table import WORKLOAD


def read(path: Path, template: str | bytes, key_column: str = "") -> tuple[list[Request | Problem], Reading]:
    place = path.parent / "prompt.j2"
    place.write_bytes(template if isinstance(template, bytes) else template.encode())
    reading = WORKLOAD.read(path, WorkloadOptions(model="m", templates=place, key_column=key_column))
    return list(reading.requests()), reading


def test_it_is_a_workload() -> None:
    workload: Workload = WORKLOAD
    assert workload.name == "table"
    scope = Scope(workload="table", frozen=b"", waves=1)
    assert workload.place(scope, RequestKey("a")) is None
    assert list(workload.indexes(scope, {})) == []
    assert list(workload.next_wave(scope, 1, {})) == []


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.csv", "a,b\n", True),
        ("a.tsv", "a\tb\n", True),
        ("a.jsonl", '{"a": 1}\n', True),
        ("a.jsonl", '{"custom_id": "x", "params": {}}\n', False),
        ("a.txt", "a,b\n", False),
    ],
)
def test_it_accepts_tables_but_no_batch_files(tmp_path: Path, name: str, content: str, expected: bool) -> None:
    path = tmp_path / name
    path.write_text(content)
    assert WORKLOAD.accepts(path) is expected
    assert not WORKLOAD.accepts(tmp_path)


@pytest.mark.parametrize(
    ("name", "content"), [("in.csv", "id,word\nk,hello\n"), ("in.jsonl", '{"id":"k","word":"hello"}')]
)
def test_rows_become_requests(tmp_path: Path, name: str, content: str) -> None:
    path = tmp_path / name
    path.write_text(content)
    items, reading = read(path, "---\r\nsystem: Translate.\r\n---\r\nWord: {{ word }}")
    (request,) = items
    assert request == Request(
        key=RequestKey("k"),
        model="m",
        kind="row",
        body=Neutral(system="Translate.", text="Word: hello", max_output_tokens=1024),
        source=f"{name}:{1 if name.endswith('jsonl') else 2}",
    )
    assert reading.scope().facts == {"file": name, "rows": "1", "template": "prompt.j2"}
    assert reading.scope().waves == 1


def test_the_digest_changes_with_the_rows_the_template_and_the_key_column(tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_text("id,word\nk,hello\n")
    digests = {read(path, "{{ word }}")[1].digest(), read(path, "{{ word }}")[1].digest()}
    assert len(digests) == 1
    digests.add(read(path, "{{ word }}!")[1].digest())
    digests.add(read(path, "{{ word }}", key_column="word")[1].digest())
    path.write_text("id,word\nk,hallo\n")
    digests.add(read(path, "{{ word }}")[1].digest())
    assert len(digests) == 4


def test_without_rows_template_or_file_there_is_one_problem(tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_text("id,word\n")
    assert [str(item) for item in read(path, "{{ word }}")[0]] == ["in.csv: the table has no rows"]
    assert "needs a template" in str(next(WORKLOAD.read(path, WorkloadOptions()).requests()))
    gone = WorkloadOptions(templates=tmp_path / "gone.j2")
    assert "cannot be read" in str(next(WORKLOAD.read(path, gone).requests()))
    assert "not UTF-8" in str(read(path, b"\xff")[0][0])
    assert "template: " in str(read(path, "{% if %}")[0][0])
    path.unlink()
    assert "cannot be read" in str(read(path, "{{ word }}")[0][0])


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "in.csv: the file is empty"),
        ("id,word\nk,hello\n".encode("utf-16"), "in.csv: it is written in UTF-16"),
        (b"\x00\x01", "in.csv: it holds zero bytes"),
    ],
)
def test_what_is_no_text_is_told_before_a_template_is_asked_for(tmp_path: Path, content: bytes, told: str) -> None:
    path = tmp_path / "in.csv"
    path.write_bytes(content)
    for options in (WorkloadOptions(), WorkloadOptions(templates=path)):
        (problem,) = WORKLOAD.read(path, options).requests()
        assert str(problem).startswith(told)
        assert isinstance(problem, Problem)
        assert problem.hint


def test_lines_that_are_no_batch_file_say_so(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text("x")
    (problem,) = WORKLOAD.read(path, WorkloadOptions()).requests()
    assert "no line in its beginning has a custom_id" in str(problem)
