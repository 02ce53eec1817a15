"""What every provider's codec must do: requests into HTTP calls, HTTP replies into our words. No codec sees a socket.

Adding a provider is one file with these functions and one table of facts. A provider's dialect is translated here and
nowhere else; everything decoded is ours, everything encoded is bytes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from lowtide.batch import BatchView
from lowtide.catalog import Lane
from lowtide.pacing import Seen
from lowtide.request import Endpoint, Neutral
from lowtide.result import Outcome, Refusal, Succeeded
from lowtide.usage import Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyFacts:
    """What lowtide must know of a body that it otherwise leaves alone.

    ``content_bytes``: UTF-8 bytes of everything that becomes input tokens (texts, tools, schemas), images left out.
    ``non_ascii_bytes`` is the part of it outside ASCII. ``images`` counts images of known kind (base64 or URL).
    ``input_unbounded`` is True where the body names a document or file whose length we cannot see; the bound of the input
    is then the model's context window. ``cache_breakpoints`` counts the user's own ``cache_control`` marks.
    ``us_only`` is True where the body may be served, and so priced, in the US alone: it asks for it, or leaves the place to
    its workspace.
    ``dearest_write`` is the dearest cache write the body may cause: ``""``, ``"5m"``, ``"1h"``, ``"30m"`` or ``"12h"``.
    ``lane`` is the lane it asks for when it is sent in real time, ``dearest_lane`` the dearest it may be served on then (a
    body that names no tier leaves that to its project). ``windows`` says whether it may go by a background window.
    ``text`` is all its text together, for counting; what the provider adds is in ``content_bytes`` alone.
    """

    model: str
    max_output_tokens: int
    content_bytes: int
    non_ascii_bytes: int
    images: int = 0
    input_unbounded: bool = False
    cache_breakpoints: int = 0
    dearest_write: str = ""
    us_only: bool = False
    lane: Lane = Lane.REALTIME
    dearest_lane: Lane = Lane.REALTIME
    windows: bool = False
    text: str = field(default="", repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiError:
    """A reply that says no. ``code`` and ``message`` are the provider's own words; ``retry_after_seconds`` if it said.

    ``spend_limit`` is True for a limit on money that no waiting of ours will lift (never retried).
    """

    status: int
    code: str
    message: str
    refusal: Refusal
    retry_after_seconds: int | None = None
    spend_limit: bool = False
    request_id: str = ""

    @property
    def about_us(self) -> bool:
        """Whether it refuses whoever asks, not what was asked: a key, a permission, a limit on money."""
        return self.spend_limit or self.status in (401, 402, 403)

    @property
    def undecided(self) -> bool:
        """Whether it says nothing of what was asked for: it is about us, or about now (load, a broken server)."""
        return self.about_us or self.status == 429 or self.status >= 500


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchPage:
    """One page of a listing, newest first; ``next_after`` asks for the next older page, ``None`` at the end."""

    batches: tuple[BatchView, ...]
    next_after: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultLine:
    """One line of a results file: the id it carries and what became of that request."""

    custom_id: str
    outcome: Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchLimits:
    """Limits of one batch at this provider: requests, bytes of its lines, and what its requests must have in common.

    ``expires_after_seconds`` is ``None`` where a batch never expires. ``one_model``: every line names the same model, and
    goes to the same endpoint. ``creates_per_hour`` is ``None`` where none is known.
    """

    requests_max: int
    bytes_max: int
    expires_after_seconds: int | None
    one_model: bool = False
    creates_per_hour: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Queued:
    """A response that is made in the background: the id to ask for it by."""

    response_id: str


class Codec(Protocol):
    """One provider's dialect. ``credential`` is the secret itself; it goes into headers and nowhere else.

    ``batch_limits`` is ``None`` where the provider has no batches: then no batch call is ever asked for. ``uploads`` says
    whether the lines of a batch go into a file first and the create call is a second one, which then carries our token
    (``BatchView.token``); without it the lines are the create call's own body. ``windows`` are the background windows.
    """

    provider: str
    base_url: str
    batch_limits: BatchLimits | None
    uploads: bool
    windows: tuple[Lane, ...]
    neutral_endpoint: Endpoint

    def encode(self, *, model: str, body: Neutral, cache: str = "", cache_at: tuple[int, ...] = ()) -> bytes:
        """Write a neutral body as the provider's own for ``neutral_endpoint`` (JSON bytes, stable).

        ``cache`` ends prefixes for a cache of that lifetime (``5m``, ``1h``, ``30m``, ``12h``); ``""`` writes nothing into a
        cache where the provider lets one choose. ``cache_at`` says where: places among the texts of (system, shared blocks)
        that are not empty; without any, after the last of them.
        """
        ...

    def read_body(self, params: bytes, endpoint: Endpoint) -> BodyFacts | tuple[str, ...]:
        """Read what must be known of a native body, or say all that is wrong with it."""
        ...

    def headers(self, credential: str) -> Mapping[str, str]:
        """Give the headers every call carries: key, version, content type."""
        ...

    # one generation

    def message_call(self, params: bytes, endpoint: Endpoint) -> "CallParts":
        """One generation in real time."""
        ...

    def decode_message(self, *, status: int, headers: Mapping[str, str], body: bytes) -> Outcome | ApiError:
        """Read the reply of a real-time generation, of any endpoint."""
        ...

    def rates(self, headers: Mapping[str, str]) -> tuple[Seen, ...]:
        """Read what a reply says of the rate limits in force."""
        ...

    def served(self, asked: Lane, usage: Usage) -> tuple[Lane, str]:
        """Say on which lane an answer is billed, and a note where it is not the one that was asked for (else ``""``)."""
        ...

    def window_call(self, params: bytes, window: Lane) -> "CallParts":
        """One generation in the background. Changes two fields of the body, ``background`` and its options, no others."""
        ...

    def response_call(self, response_id: str) -> "CallParts":
        """Ask for a response that is made in the background."""
        ...

    def cancel_response_call(self, response_id: str) -> "CallParts":
        """Ask to cancel it."""
        ...

    def decode_response(self, *, status: int, headers: Mapping[str, str], body: bytes) -> Queued | Outcome | ApiError:
        """Read the reply to any of these three: still under way, its outcome, or a refusal."""
        ...

    def count_call(self, params: bytes, endpoint: Endpoint) -> "CallParts | None":
        """Ask for the number of input tokens, free of charge; ``None`` where the provider has no counter."""
        ...

    def decode_count(self, *, status: int, headers: Mapping[str, str], body: bytes) -> int | ApiError:
        """Read the number of input tokens."""
        ...

    # batches

    def batch_open(self) -> bytes:
        """Bytes before the first line of a batch's lines."""
        ...

    def batch_line(self, *, custom_id: str, params: bytes, endpoint: Endpoint, first: bool) -> bytes:
        """Bytes of one request among a batch's lines, separator included."""
        ...

    def batch_line_length(self, *, custom_id_length: int, params_length: int, endpoint: Endpoint, first: bool) -> int:
        """Length in bytes of what ``batch_line`` gives, without making it."""
        ...

    def batch_close(self) -> bytes:
        """Bytes after the last line of a batch's lines."""
        ...

    def lines_call(self) -> "CallParts":
        """The call whose body are a batch's lines, streamed: it creates the batch, or (``uploads``) only a file."""
        ...

    def decode_file(self, *, status: int, headers: Mapping[str, str], body: bytes) -> str | ApiError:
        """Read the id of an uploaded file (``uploads`` only)."""
        ...

    def create_call(self, *, file_id: str, endpoint: Endpoint, token: str) -> "CallParts":
        """Create a batch of an uploaded file, marked with our token (``uploads`` only)."""
        ...

    def retrieve_call(self, provider_batch_id: str) -> "CallParts":
        """Ask for one batch."""
        ...

    def list_call(self, *, after: str | None, limit: int) -> "CallParts":
        """Ask for a page of batches, newest first; ``limit`` is cut to what the provider allows."""
        ...

    def results_call(self, path: str) -> "CallParts":
        """Ask for one of ``BatchView.results_paths``: a path of ours, for a host in a results URL never gets our key."""
        ...

    def cancel_call(self, provider_batch_id: str) -> "CallParts":
        """Ask to cancel a batch."""
        ...

    def models_call(self) -> "CallParts":
        """Ask for the models: the cheapest call that proves a key."""
        ...

    def decode_batch(self, *, status: int, headers: Mapping[str, str], body: bytes) -> BatchView | ApiError:
        """Read a batch object."""
        ...

    def decode_page(self, *, status: int, headers: Mapping[str, str], body: bytes) -> BatchPage | ApiError:
        """Read a page of a listing."""
        ...

    def decode_error(self, *, status: int, headers: Mapping[str, str], body: bytes) -> ApiError:
        """Read any refusal, also one without JSON (an edge's 413, a proxy's 502)."""
        ...

    def decode_result_line(self, line: bytes) -> ResultLine:
        """Read one whole line of results, of any of the results' paths.

        Raises: ValueError when the line is no result line at all; a line that names its request but cannot be read
        otherwise gives ``Errored(code="row_unreadable")``.
        """
        ...

    def provider_time(self, headers: Mapping[str, str]) -> datetime | None:
        """Read the provider's own clock from a reply's ``date`` header, ``None`` when it gave none."""
        ...


def kept_answer(codec: Codec, message: bytes) -> Succeeded:
    """Read an answer that was kept: the provider's bytes as they came in a reply or a row of results."""
    outcome = codec.decode_message(status=200, headers={}, body=message)
    assert isinstance(outcome, Succeeded), "what was kept was an answer"
    return outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class CallParts:
    """Method, path and body of a call; the worker adds headers and sends it. ``headers`` go over the codec's own."""

    method: str
    path: str
    body: bytes | None = None
    timeout_seconds: int = 120
    headers: Mapping[str, str] = field(default_factory=dict)
