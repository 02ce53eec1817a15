"""A batch's body, read as it arrives."""

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lowtide_simulator.envelope import EnvelopeReader, NotJsonError
from lowtide_simulator.shapes import ShapeError

GOOD = {
    "requests": [
        {"custom_id": f"id-{n}", "params": {"text": 'å “—” \\ " } ] {' * n, "n": [1, {"a": None}]}} for n in range(5)
    ]
}


def read(raw: bytes, *cuts: int, requests_max: int = 100) -> list[tuple[str, dict[str, Any]]]:
    """Feed ``raw`` in pieces."""
    found: list[tuple[str, dict[str, Any]]] = []
    reader = EnvelopeReader(lambda custom_id, params: found.append((custom_id, params)), requests_max)
    places = [0, *sorted(min(cut, len(raw)) for cut in cuts), len(raw)]
    for start, end in pairwise(places):
        reader.feed(raw[start:end])
    reader.close()
    return found


EXPECTED = [(entry["custom_id"], entry["params"]) for entry in GOOD["requests"]]


def test_it_may_be_cut_anywhere() -> None:
    raw = json.dumps(GOOD, ensure_ascii=False, indent=1).encode()
    for cut in range(len(raw)):
        assert read(raw, cut) == EXPECTED


@given(st.lists(st.integers(0, 2_000), max_size=30), st.booleans())
def test_it_may_be_cut_often(cuts: list[int], escaped: bool) -> None:
    assert read(json.dumps(GOOD, ensure_ascii=escaped).encode(), *cuts) == EXPECTED


def test_each_request_is_handed_on_before_the_next_arrives() -> None:
    found: list[str] = []
    reader = EnvelopeReader(lambda custom_id, _: found.append(custom_id), 100)
    reader.feed(b'{"requests": [{"custom_id": "a", "params": {}}, {"custom_id"')
    assert found == ["a"]


def test_a_request_that_came_in_pieces_is_handed_on_when_it_is_whole() -> None:
    found: list[str] = []
    reader = EnvelopeReader(lambda custom_id, _: found.append(custom_id), 100)
    for piece in (b'{"requests": [{"custom_id": "a", "pa', b'rams": {}}, {"custom_id": "b', b" " * 100):
        reader.feed(piece)
    assert found == ["a"]


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (
            '{"requests": [{"custom_id": "%s", "params": {}}]}' % ("x" * 65),
            "requests.0.custom_id: String should have at most 64 characters",
        ),
        (
            '{"requests": [{"custom_id": "", "params": {}}]}',
            "requests.0.custom_id: String should have at least 1 character",
        ),
        (
            '{"requests": [{"custom_id": "a/b", "params": {}}]}',
            "requests.0.custom_id: String should match pattern '^[a-zA-Z0-9_-]{1,64}$'",
        ),
        (
            '{"requests": [{"custom_id": "a\\n", "params": {}}]}',
            "requests.0.custom_id: String should match pattern '^[a-zA-Z0-9_-]{1,64}$'",
        ),
        ('{"requests": [{"custom_id": 7, "params": {}}]}', "requests.0.custom_id: Input should be a valid string"),
        ('{"requests": [{"custom_id": "a", "params": {}}, {"custom_id": "b"}]}', "requests.1.params: Field required"),
        ('{"requests": [{"params": {}}]}', "requests.0.custom_id: Field required"),
        ('{"requests": [{"custom_id": "a", "params": 5}]}', "requests.0.params: Input should be an object"),
        ('{"requests": [{"custom_id": "a", "params": {}, "x": 1}]}', "requests.0.x: Extra inputs are not permitted"),
        ('{"requests": {}}', "requests: Input should be a valid list"),
        ('{"requests": [], "metadata": {}}', "metadata: Extra inputs are not permitted"),
        ("{}", "requests: Field required"),
        ("[]", "Input should be an object"),
    ],
)
def test_a_wrong_envelope_is_named_by_its_path(raw: str, message: str) -> None:
    with pytest.raises(ShapeError) as caught:
        read(raw.encode())
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "raw",
    [b"", b"{", b'{"requests": [', b'{"requests": [{"custom_id": "a", "params": {}}', b'{"requests": []} x', b"nonsense",
     b'{"requests": [{"custom_id": "a", "params": {"n": NaN}}]}', b'{"requests": [{"custom_id": "\xff"}]}', b'{"requests": [\xc3'],
)  # fmt: skip
def test_what_is_not_json_is_said_to_be_not_json(raw: bytes) -> None:
    with pytest.raises(NotJsonError, match="not valid JSON"):
        read(raw)


def test_too_many_requests_are_refused() -> None:
    with pytest.raises(ShapeError, match="at most 4 items"):
        read(json.dumps(GOOD).encode(), requests_max=4)


def test_a_long_request_in_small_pieces_is_not_parsed_again_and_again() -> None:
    raw = json.dumps({"requests": [{"custom_id": "a", "params": {"text": "x" * 2_000_000}}]}).encode()
    assert len(read(raw, *range(0, len(raw), 4_096))) == 1
