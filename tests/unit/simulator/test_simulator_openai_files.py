"""Uploads as forms in any pieces, and files."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lowtide_simulator.in_process import BOUNDARY, OPENAI_HEADERS, InProcess
from lowtide_simulator.openai.errors import Refusal
from lowtide_simulator.openai.files import Content, FormReader
from lowtide_simulator.openai.profiles import PROFILES
from lowtide_simulator.openai.provider import OpenAIOptions
from lowtide_simulator.world import World, WorldOptions

TYPE = f"multipart/form-data; boundary={BOUNDARY}"


def form(raw: bytes, *, boundary: str = BOUNDARY) -> bytes:
    mark = f"--{boundary}".encode()
    return (
        mark
        + b'\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
        + mark
        + b'\r\nContent-Disposition: form-data; name="file"; filename="a.jsonl"\r\ncontent-type: x/y\r\n\r\n'
        + raw
        + b"\r\n"
        + mark
        + b'\r\nContent-Disposition: form-data; name="expires_after[anchor]"\r\n\r\n\r\n'
        + mark
        + b"--\r\n"
    )


@given(
    raw=st.binary(max_size=400) | st.text(alphabet="\r\n-simulatedboundary", max_size=80).map(str.encode),
    size=st.integers(1, 90),
)
def test_a_form_may_come_in_any_pieces_and_gives_the_bytes_back(raw: bytes, size: int) -> None:
    if f"\r\n--{BOUNDARY}".encode() in b"\r\n" + raw:
        return
    whole = form(raw)
    reader = FormReader(TYPE, 10_000)
    for start in range(0, len(whole), size):
        reader.feed(whole[start : start + size])
    reader.close()
    assert b"".join(reader.content) == raw
    assert reader.fields == {"purpose": "batch", "expires_after[anchor]": ""}
    assert (reader.filename, reader.content.bytes) == ("a.jsonl", len(raw))


@given(raw=st.lists(st.sampled_from([b"\n", b"a", b"bc\r", b"\xff"]), max_size=60), size=st.integers(1, 9))
def test_items_of_a_content_are_its_lines(raw: list[bytes], size: int) -> None:
    whole = b"".join(raw)
    content = Content()
    for start in range(0, len(whole), size):
        content.feed(whole[start : start + size])
    content.close()
    assert list(content) == [line for line in whole.split(b"\n")[:-1] for line in [line + b"\n"]] + [
        rest for rest in [whole.split(b"\n")[-1]] if rest
    ]


def test_a_form_that_ends_early_or_is_none_is_refused() -> None:
    reader = FormReader(TYPE, 10_000)
    reader.feed(form(b"x")[:-10])
    with pytest.raises(Refusal, match="ended too early"):
        reader.close()
    for content_type in ("application/json", "multipart/form-data"):
        with pytest.raises(Refusal, match="multipart"):
            FormReader(content_type, 10)
    with pytest.raises(Refusal, match="too large"):
        FormReader(TYPE, 10).feed(form(b"x" * 5_000))


def provider(profile: str = "openai", **options: Any) -> InProcess:
    chosen = WorldOptions(openai=OpenAIOptions(profile=PROFILES[profile]), **options)
    return InProcess(World(chosen), OPENAI_HEADERS)


def refused(answer: Any) -> tuple[int, str | None, str | None]:
    error = answer.json()["error"]
    return answer.status, error["code"], error["param"]


def test_uploads_are_refused_by_their_form_and_never_by_their_lines() -> None:
    it = provider()
    assert it.upload(b"not json at all").status == 200
    assert it.upload(b"{}", "a.txt").json()["error"]["message"] == "Invalid file format for Batch API. Must be .jsonl"
    assert it.upload(b"words", "a.txt", "user_data").json()["expires_at"] is None
    assert refused(it.upload(b"")) == (400, "invalid_value", "file")
    assert refused(it.upload(b"x", purpose="holiday")) == (400, "invalid_value", "purpose")
    short = it.upload(b"x", expires_after__anchor="created_at", expires_after__seconds="60")
    assert refused(short) == (400, "integer_below_min_value", "expires_after.seconds")
    wrong = it.upload(b"x", expires_after__anchor="yesterday", expires_after__seconds="3600")
    assert refused(wrong) == (400, "invalid_value", "expires_after.anchor")
    assert refused(it.ask("POST", "/v1/files", {"purpose": "batch"})) == (400, "invalid_multipart_form_data", None)


def test_sizes_are_limited_by_purpose_and_by_profile() -> None:
    line = b"x" * 99 + b"\n"
    small = provider()
    small.world.openai.profile = PROFILES["openai"].__class__(name="small", batch_bytes_max=1_000, file_bytes_max=3_000)
    assert small.upload(line * 10).status == 200
    assert "Batch API" in small.upload(line * 11).json()["error"]["message"]
    assert small.upload(line * 30, purpose="user_data").status == 200
    assert small.upload(line * 31, purpose="user_data").status == 413


def test_files_are_listed_newest_first_found_deleted_and_gone_after_their_time() -> None:
    it = provider()
    names = []
    for _ in range(3):
        names.append(it.upload(b"a\nb").json()["id"])
        it.advance(1)
    listed = it.ask("GET", "/v1/files").json()
    assert [file["id"] for file in listed["data"]] == names[::-1]
    assert [file["id"] for file in it.ask("GET", "/v1/files?order=asc").json()["data"]] == names
    page = it.ask("GET", f"/v1/files?limit=1&after={names[2]}").json()
    assert ([file["id"] for file in page["data"]], page["has_more"]) == ([names[1]], True)
    assert it.ask("GET", f"/v1/files/{names[0]}/content").body == b"a\nb"
    assert it.ask("DELETE", f"/v1/files/{names[0]}").json() == {"object": "file", "id": names[0], "deleted": True}
    assert it.ask("GET", f"/v1/files/{names[0]}").status == 404
    it.advance(30 * 86_400)
    assert it.ask("GET", "/v1/files").json()["data"] == []
    assert it.ask("GET", "/v1/files?limit=0").status == it.ask("GET", "/v1/files?limit=x").status == 400
    assert it.ask("GET", "/v1/files?after=file-nowhere").status == 404


def test_an_upload_may_be_lost_after_it_was_kept() -> None:
    it = provider()
    it.ask("POST", "/_simulator/faults", {"on": "POST /v1/files", "fault": "lost_reply_after_commit"})
    with pytest.raises(ConnectionError):
        it.upload(b"x")
    assert len(it.ask("GET", "/v1/files").json()["data"]) == 1
