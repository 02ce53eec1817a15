"""The batch file as a workload: recognised, streamed, digested, one wave."""

import hashlib
from pathlib import Path

import pytest

from lowtide.errors import Problem
from lowtide.request import Request, RequestKey
from lowtide.workload import Reading, Scope, Workload, WorkloadOptions
from lowtide.workloads.batch_file import WORKLOAD

LINE = '{"custom_id":"%s","params":{"model":"m","max_tokens":5,"messages":[]}}\n'


def read(path: Path) -> tuple[list[Request | Problem], Reading]:
    reading = WORKLOAD.read(path, WorkloadOptions())
    return list(reading.requests()), reading


def test_it_is_a_workload() -> None:
    workload: Workload = WORKLOAD
    assert workload.name == "batch"
    scope = Scope(workload="batch", frozen=b"", waves=1)
    assert workload.place(scope, RequestKey("a")) is None
    assert list(workload.indexes(scope, {})) == []
    assert list(workload.next_wave(scope, 1, {})) == []


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.jsonl", LINE % "x", True),
        ("a.JSONL", LINE % "x", True),
        ("a.json", '{"requests": []}', True),
        ("a.jsonl", '{"custom_id": "x", "method": "POST"}', True),
        ("a.jsonl", '{"name": "x"}', False),
        ("a.csv", LINE % "x", False),
    ],
)
def test_it_accepts_what_looks_like_a_batch_file(tmp_path: Path, name: str, content: str, expected: bool) -> None:
    path = tmp_path / name
    path.write_text(content)
    assert WORKLOAD.accepts(path) is expected
    assert not WORKLOAD.accepts(tmp_path)
    assert not WORKLOAD.accepts(tmp_path / "nothing.jsonl")


def test_lines_become_requests_and_the_digest_is_of_every_byte(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text(LINE % "one" + "\n" + LINE % "two" + "broken\n")
    items, reading = read(path)
    assert [item.source for item in items if isinstance(item, Request)] == ["in.jsonl:1", "in.jsonl:3"]
    assert [item.where for item in items if isinstance(item, Problem)] == ["in.jsonl:4"]
    assert reading.digest() == hashlib.sha256(path.read_bytes()).hexdigest()
    scope = reading.scope()
    assert (scope.workload, scope.waves, scope.later, scope.title) == ("batch", 1, (), "in.jsonl")
    assert scope.facts == {"file": "in.jsonl", "requests": "2"}


def test_the_create_calls_body_is_taken_too(tmp_path: Path) -> None:
    path = tmp_path / "in.json"
    path.write_text('{"requests": [' + LINE % "one" + "]}")
    items, reading = read(path)
    assert [item.source for item in items if isinstance(item, Request)] == ["in.json: requests[0]"]
    assert reading.digest() == hashlib.sha256(path.read_bytes()).hexdigest()


def test_an_empty_and_a_missing_file_are_problems(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text("\n\n")
    assert [str(item) for item in read(path)[0]] == ["in.jsonl: the file holds no request"]
    (item,) = read(tmp_path / "gone.jsonl")[0]
    assert str(item).endswith("gone.jsonl: cannot be read: No such file or directory")


def test_a_line_over_the_limit_is_refused_by_name_and_the_next_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lowtide.workloads.lines.LINE_BYTES_MAX", 100)
    monkeypatch.setattr("lowtide.inputs.batch_format.LINE_BYTES_MAX", 100)
    path = tmp_path / "in.jsonl"
    path.write_text("x" * 250 + "\n" + LINE % "two")
    items, reading = read(path)
    assert [item.where for item in items if isinstance(item, Problem)] == ["in.jsonl:1"]
    assert [item.source for item in items if isinstance(item, Request)] == ["in.jsonl:2"]
    assert reading.digest() == hashlib.sha256(path.read_bytes()).hexdigest()
