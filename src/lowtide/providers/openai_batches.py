"""Files and batches in OpenAI's dialect: the upload as one multipart body, the batch object as our ``BatchView``.

The laws: the upload's length is known before its first byte; a line is one line, whatever the client's white space was;
a batch that is over is read only when it names the files that its own counts say exist.

Sources: openai SDK 3.54.0, the batch guide of 2026-10, recorded traffic, Azure's batch page of 2026-03, together SDK
3.1.1 (upper-case states, dates as text, no counts), checked 2026-11-21.
"""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, Literal
from urllib.parse import quote

import msgspec

from lowtide.batch import BatchEvent, BatchView, Counts, LineProblem
from lowtide.providers import BatchPage
from lowtide.providers.openai_profiles import Profile
from lowtide.request import Endpoint

# A part ends at CR LF and the boundary. No line of ours holds a CR, so no line can hold this, whatever it says.
BOUNDARY: Final = "lowtide-lines-of-one-batch-end-here"
TAIL: Final = f"\r\n--{BOUNDARY}--\r\n".encode()
FILE_NAME: Final = "lowtide.jsonl"  # a name that does not end so is refused
TOKEN: Final = "lowtide"  # noqa: S105 - the name in a batch's metadata, no secret
PATHS: Final = {Endpoint.CHAT: "/chat/completions", Endpoint.RESPONSES: "/responses"}


# ---------------------------------------------------------------- lines and the file they go into


def multipart_head(profile: Profile) -> bytes:
    """Bytes before the first line: the fields, with the official clients' bracketed names, and the file's head."""
    fields = [("purpose", profile.purpose)]
    if profile.expiry_seconds is not None:
        fields += [("expires_after[anchor]", "created_at"), ("expires_after[seconds]", str(profile.expiry_seconds))]
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in fields
    ]
    parts.append(
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{FILE_NAME}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    )
    return "".join(parts).encode()


def line_middle(endpoint: Endpoint, profile: Profile) -> bytes:
    """Bytes of a line between its ``custom_id`` and its body."""
    return f'","method":"POST","url":"{profile.line_root}{PATHS[endpoint]}","body":'.encode()


LINE_START, LINE_END = b'{"custom_id":"', b"}"


def one_line(params: bytes) -> bytes:
    """Give JSON without line breaks, of the same length: between tokens they are white space, within strings forbidden."""
    if b"\n" in params or b"\r" in params:
        return params.replace(b"\n", b" ").replace(b"\r", b" ")
    return params


def create_body(*, file_id: str, endpoint: Endpoint, token: str, profile: Profile) -> bytes:
    """Write the create call's body: our token in the metadata, so that a batch whose reply was lost is found again."""
    body: dict[str, Any] = {
        "input_file_id": file_id,
        "endpoint": f"{profile.line_root}{PATHS[endpoint]}",
        "completion_window": "24h",
        "metadata": {TOKEN: token},
    }
    if profile.expiry_seconds is not None:
        body["output_expires_after"] = {"anchor": "created_at", "seconds": profile.expiry_seconds}
    return msgspec.json.encode(body)


class _File(msgspec.Struct):
    id: Annotated[str, msgspec.Meta(min_length=1)]


decode_file_id = msgspec.json.Decoder(_File).decode


# ---------------------------------------------------------------- batch objects

Instant = int | str  # epoch seconds; a date as text from Together


class _Counts(msgspec.Struct):
    total: int | None = None
    completed: int | None = None
    failed: int | None = None


class _Problem(msgspec.Struct):
    code: str | None = None
    line: int | None = None
    message: str | None = None
    param: str | None = None


class _Problems(msgspec.Struct):
    data: list[_Problem] | None = None


class _Batch(msgspec.Struct):
    id: Annotated[str, msgspec.Meta(min_length=1)]
    status: str
    created_at: Instant
    expires_at: Instant | None = None
    completed_at: Instant | None = None
    failed_at: Instant | None = None
    expired_at: Instant | None = None
    cancelled_at: Instant | None = None
    output_file_id: str | None = None
    error_file_id: str | None = None
    errors: _Problems | None = None
    error: str | None = None
    request_counts: _Counts | None = None
    metadata: dict[str, Any] | None = None


class _Wrapped(msgspec.Struct):
    job: msgspec.Raw = msgspec.Raw(b"")


class _Page(msgspec.Struct):
    data: list[msgspec.Raw]
    has_more: bool = False
    last_id: str | None = None


_decode_batch = msgspec.json.Decoder(_Batch).decode
_decode_wrapped = msgspec.json.Decoder(_Wrapped).decode
_decode_page = msgspec.json.Decoder(_Page | list[msgspec.Raw]).decode

Found = Literal[
    BatchEvent.FOUND_VALIDATING,
    BatchEvent.FOUND_RUNNING,
    BatchEvent.FOUND_FINALIZING,
    BatchEvent.FOUND_CANCELING,
    BatchEvent.FOUND_ENDED,
    BatchEvent.FOUND_FAILED,
    BatchEvent.FOUND_EXPIRED,
    BatchEvent.FOUND_CANCELED,
]
EVENTS: Final[dict[str, Found]] = {
    "validating": BatchEvent.FOUND_VALIDATING,
    "in_progress": BatchEvent.FOUND_RUNNING,
    "finalizing": BatchEvent.FOUND_FINALIZING,
    "completed": BatchEvent.FOUND_ENDED,
    "failed": BatchEvent.FOUND_FAILED,
    "expired": BatchEvent.FOUND_EXPIRED,
    "cancelling": BatchEvent.FOUND_CANCELING,
    "cancelled": BatchEvent.FOUND_CANCELED,
}
READABLE: Final = frozenset({BatchEvent.FOUND_ENDED, BatchEvent.FOUND_EXPIRED, BatchEvent.FOUND_CANCELED})


def read_batch(body: bytes, files: str) -> BatchView:
    """Read a batch object, also one that is wrapped as ``job``. ``files`` is the path of files.

    Raises: msgspec.DecodeError, UnicodeDecodeError or RecursionError when it is none.
    """
    wrapped = _decode_wrapped(body)
    return _view(_decode_batch(wrapped.job or body), files)


def read_page(body: bytes, files: str) -> BatchPage:
    """Read a page of a listing, newest first; a bare list is a page without another.

    Raises: as ``read_batch``.
    """
    page = _decode_page(body)
    if isinstance(page, list):
        return BatchPage(batches=tuple(read_batch(bytes(raw), files) for raw in page), next_after=None)
    batches = tuple(read_batch(bytes(raw), files) for raw in page.data)
    oldest = page.last_id or (batches[-1].provider_batch_id if batches else None)
    return BatchPage(batches=batches, next_after=oldest if page.has_more else None)


def _view(batch: _Batch, files: str) -> BatchView:
    event = EVENTS.get(batch.status.lower())
    if event is None:
        raise msgspec.ValidationError(f"status {batch.status!r} is not known")
    said = batch.request_counts or _Counts()
    total, completed, failed = said.total or 0, said.completed or 0, said.failed or 0
    rest = max(0, total - completed - failed)
    paths = tuple(
        f"{files}/{quote(name, safe='')}/content" for name in (batch.output_file_id, batch.error_file_id) if name
    )
    if event in READABLE and _files_are_due(batch, completed=completed, total=total):
        event = BatchEvent.FOUND_FINALIZING
    token = (batch.metadata or {}).get(TOKEN)
    return BatchView(
        provider_batch_id=batch.id,
        event=event,
        counts=Counts(
            total=total,
            succeeded=completed,
            errored=failed,
            canceled=rest if event is BatchEvent.FOUND_CANCELED else 0,
            expired=rest if event is BatchEvent.FOUND_EXPIRED else 0,
        ),
        created_at=_instant(batch.created_at),
        expires_at=_instant(batch.expires_at) if batch.expires_at else None,
        ended_at=_ended_at(batch),
        results_paths=paths if event in READABLE else (),
        token=token if isinstance(token, str) else None,
        problems=_batch_problems(batch) if event is BatchEvent.FOUND_FAILED else (),
    )


def _files_are_due(batch: _Batch, *, completed: int, total: int) -> bool:
    """Say whether a file is still to come: ``completed`` shows for a moment before its files do (observed)."""
    if batch.output_file_id is None and completed > 0:
        return True
    nothing = batch.output_file_id is None and batch.error_file_id is None
    return nothing and total > 0 and batch.status.lower() == "completed"


def _batch_problems(batch: _Batch) -> tuple[LineProblem, ...]:
    """Give why a batch failed as a whole; lines are counted from 1."""
    said = (batch.errors.data or []) if batch.errors is not None else []
    problems = [
        LineProblem(
            line=one.line,
            code=one.code or "unknown_error",
            message=f"{one.message or ''} ({one.param})" if one.param else one.message or "",
        )
        for one in said
    ]
    if not problems and batch.error:
        problems.append(LineProblem(line=None, code="unknown_error", message=batch.error))
    return tuple(problems)


def _ended_at(batch: _Batch) -> datetime | None:
    times = [batch.completed_at, batch.failed_at, batch.expired_at, batch.cancelled_at]
    return next((_instant(time) for time in times if time), None)


EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
SECONDS_MAX: Final = 10**11


def _instant(said: Instant) -> datetime:
    """Read epoch seconds, or a date as text. Raises: msgspec.ValidationError for anything that is no time."""
    if isinstance(said, int):
        if not 0 <= said < SECONDS_MAX:
            raise msgspec.ValidationError(f"{said} is no time in seconds")
        return EPOCH + timedelta(seconds=said)
    try:
        found = datetime.fromisoformat(said)
    except ValueError as error:
        raise msgspec.ValidationError(f"{said!r} is no time") from error
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
