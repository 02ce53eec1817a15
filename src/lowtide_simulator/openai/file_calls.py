"""The Files API over HTTP.

Law: an upload is read as it arrives; lines are not looked at. Source: reference sheet of OpenAI's API, section 2.1, checked
2026-11-21.
"""

from collections.abc import Iterator
from typing import Final

from lowtide_simulator.batch_calls import chunks, torn
from lowtide_simulator.door import Call
from lowtide_simulator.faults import FaultKind
from lowtide_simulator.openai.door import no_file, page
from lowtide_simulator.openai.errors import Refusal
from lowtide_simulator.openai.files import File, FormReader
from lowtide_simulator.openai.shapes import bad, missing, one_of
from lowtide_simulator.reply import Reply, json_reply

PURPOSES: Final = ("assistants", "batch", "fine-tune", "vision", "user_data", "evals")


async def upload(call: Call) -> Reply:
    """POST /v1/files."""
    provider = call.world.openai
    profile = provider.profile
    form = FormReader(call.request.headers.get("content-type", ""), profile.file_bytes_max)
    problem: Refusal | None = None
    async for chunk in call.request.stream():
        if problem is None:
            try:
                form.feed(chunk)
            except Refusal as refusal:
                # The rest is read and dropped, then refused.
                problem = refusal
    if problem is not None:
        raise problem
    form.close()
    purpose = form.fields.get("purpose")
    if purpose is None:
        raise missing("purpose")
    one_of(*dict.fromkeys((*PURPOSES, profile.batch_purpose)))(purpose, "purpose")
    if form.filename is None:
        raise missing("file")
    if not form.content.bytes:
        raise bad("invalid_value", "file", "File is empty.")
    if purpose == profile.batch_purpose:
        if profile.strict and not form.filename.endswith(".jsonl"):
            raise Refusal(400, "Invalid file format for Batch API. Must be .jsonl", param="file")
        if form.content.bytes > profile.batch_bytes_max:
            most = profile.batch_bytes_max // 1_000_000
            raise Refusal(400, f"File is too large for the Batch API. Maximum size is {most} MB.", param="file")
    expires = _expiry(form.fields, profile.file_expiry_seconds)
    return json_reply(provider.add_file(form.content, form.filename, purpose, expires).to_json())


def _expiry(fields: dict[str, str], bounds: tuple[int, int]) -> int | None:
    """``expires_after[anchor]`` and ``expires_after[seconds]``."""
    anchor, given = fields.get("expires_after[anchor]"), fields.get("expires_after[seconds]")
    if anchor is None and given is None:
        return None
    if anchor != "created_at":
        raise bad(
            "invalid_value", "expires_after.anchor", f"Invalid value: '{anchor}'. Supported values are: 'created_at'."
        )
    if given is None or not given.isdigit():
        raise bad(
            "invalid_type", "expires_after.seconds", "Invalid type for 'expires_after.seconds': expected an integer."
        )
    return check_expiry(int(given), bounds, "expires_after.seconds")


def check_expiry(seconds: int, bounds: tuple[int, int], path: str) -> int:
    """Seconds within what is allowed. Raises Refusal."""
    low, high = bounds
    if seconds < low:
        message = (
            f"Invalid '{path}': integer below minimum value. Expected a value >= {low}, but got {seconds} instead."
        )
        raise bad("integer_below_min_value", path, message)
    if seconds > high:
        message = (
            f"Invalid '{path}': integer above maximum value. Expected a value <= {high}, but got {seconds} instead."
        )
        raise bad("integer_above_max_value", path, message)
    return seconds


def _find(call: Call) -> File:
    name = call.request.path_params["id"]
    file = call.world.openai.file(name)
    if file is None:
        raise no_file(name)
    return file


async def list_files(call: Call) -> Reply:
    """GET /v1/files: newest first unless ``order=asc``; ``purpose`` chooses."""
    query = call.request.query_params
    purpose = query.get("purpose")
    files = [file for file in call.world.openai.live_files() if purpose in (None, file.purpose)]
    if query.get("order") == "asc":
        files.reverse()
    return page(call, [file.to_json() for file in files], most=10_000, usual=10_000)


async def get_file(call: Call) -> Reply:
    """GET /v1/files/{id}."""
    return json_reply(_find(call).to_json())


async def delete_file(call: Call) -> Reply:
    """DELETE /v1/files/{id}. A batch that reads it goes on; what it paid for stays on the bill."""
    file = _find(call)
    del call.world.openai.files[file.id]
    return json_reply({"object": "file", "id": file.id, "deleted": True})


async def file_content(call: Call) -> Reply:
    """GET /v1/files/{id}/content."""
    file = _find(call)
    lines = _lines(call, file)
    headers = [
        ("content-type", "application/octet-stream"),
        ("content-disposition", f'attachment; filename="{file.filename}"'),
    ]
    at_line = call.rule(FaultKind.CUT_RESULTS_AT_LINE)
    reply = Reply(headers=headers, body=chunks(lines, cut_at=at_line.line if at_line else None))
    after_bytes = call.rule(FaultKind.CUT_RESULTS_AFTER_BYTES)
    if after_bytes:
        reply.cut_after = after_bytes.bytes
    broken = call.rule(FaultKind.TRUNCATED_UTF8)
    if broken:
        reply.body = torn(file.lines(), broken.line)
    return reply


def _lines(call: Call, file: File) -> Iterator[bytes]:
    """What is in a file, rows missing or repeated where the script says so."""
    missing_rows, twice = call.rule(FaultKind.ROWS_MISSING), call.rule(FaultKind.ROWS_TWICE)
    found = call.world.openai.batch_of_file(file.id) if missing_rows or twice else None
    if found is None or not found[1]:
        return file.lines()
    return found[0].output_lines(
        call.world.ids, missing=missing_rows.rows if missing_rows else 0, twice=twice.rows if twice else 0
    )
