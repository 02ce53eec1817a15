"""OpenAI's dialect, and that of every server that speaks like it: Chat Completions, Responses, Files and Batches.

Bytes in and values out; no socket, no clock, no price. What one server does otherwise than another is a row in
``openai_profiles``. Here are the calls; bodies, replies, refusals and batches are read in the files of those names.

Sources: openai SDK 3.54.0, the published OpenAPI document of 2026-08-21 and recorded traffic, checked 2026-11-21.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from urllib.parse import quote, urlsplit

import msgspec

from lowtide.batch import BatchView
from lowtide.catalog import Lane
from lowtide.pacing import Seen
from lowtide.providers import ApiError, BatchLimits, BatchPage, BodyFacts, CallParts, Codec, Queued, ResultLine
from lowtide.providers import openai_batches as batches
from lowtide.providers.headers import http_date
from lowtide.providers.openai_bodies import OutputLimit, countable, encode_body, read_body, with_window
from lowtide.providers.openai_errors import read_error, read_rates
from lowtide.providers.openai_profiles import OPENAI, Profile
from lowtide.providers.openai_replies import read_message, read_response, read_result_line
from lowtide.providers.replies import attempt, unreadable
from lowtide.request import Endpoint, Neutral
from lowtide.result import Outcome
from lowtide.usage import Usage

CUSTOM_ID: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")
UPLOAD_TIMEOUT_SECONDS: Final = 600
MESSAGE_TIMEOUT_SECONDS: Final = 600
PAGE_MAX: Final = 100
SERVED: Final = {
    "default": Lane.REALTIME,
    "flex": Lane.FLEX,
    "priority": Lane.FAST,
    "fast": Lane.FAST,
}


def no_limit(_model: str) -> int | None:
    """Know no model's output limit: a body must then say its own."""
    return None


@dataclass(slots=True, kw_only=True)
class OpenAICodec:
    """The codec of OpenAI's API and its like.

    ``base_url`` is what the official clients take; without a path the profile's own is meant (``/v1``), so that both
    ``http://127.0.0.1:8080`` and ``http://127.0.0.1:8080/v1`` will do. Afterwards it holds scheme and host alone: paths
    of calls begin with the rest. ``output_limit`` gives the most tokens a model can write, for bodies that name no limit of
    their own; they are refused where it is ``None``.
    """

    provider: str = "openai"
    profile: Profile = OPENAI
    base_url: str = ""
    output_limit: OutputLimit = no_limit
    batch_limits: BatchLimits | None = field(init=False)
    uploads: bool = field(init=False)
    windows: tuple[Lane, ...] = field(init=False)
    neutral_endpoint: Endpoint = field(init=False)
    root: str = field(init=False)

    def __post_init__(self) -> None:
        address = urlsplit(self.base_url or self.profile.base_url)
        self.base_url = f"{address.scheme}://{address.netloc}" if address.netloc else ""
        self.root = address.path.rstrip("/") or self.profile.root
        self.batch_limits = self.profile.batch_limits
        self.uploads = self.batch_limits is not None
        self.windows = self.profile.windows
        self.neutral_endpoint = self.profile.endpoints[0]

    def encode(self, *, model: str, body: Neutral, cache: str = "", cache_at: tuple[int, ...] = ()) -> bytes:
        """Write a neutral body: JSON bytes, the same for the same body, always on the standard tier.

        ``cache`` is ``30m``, on Responses also ``12h``, or ``""``: then nothing is written into a cache.
        """
        assert cache in ("", "30m", "12h"), f"no cache here lives for {cache}"
        assert cache != "12h" or self.neutral_endpoint is Endpoint.RESPONSES, "Chat Completions keeps 30 minutes alone"
        return encode_body(
            model, body, endpoint=self.neutral_endpoint, profile=self.profile, cache=cache, cache_at=cache_at
        )

    def read_body(self, params: bytes, endpoint: Endpoint) -> BodyFacts | tuple[str, ...]:
        """Read what must be known of a native body, or say all that is wrong with it."""
        if endpoint not in self.profile.endpoints:
            return (f"{self.provider} has no {endpoint} endpoint",)
        return read_body(params, endpoint=endpoint, profile=self.profile, output_limit=self.output_limit)

    def headers(self, credential: str) -> Mapping[str, str]:
        """Give the headers every call carries. Without a credential (servers on this machine) there is no key header."""
        name = self.profile.key_header
        key = {name: f"Bearer {credential}" if name == "authorization" else credential} if credential else {}
        return key | {"content-type": "application/json"}

    # ------------------------------------------------------------ one generation

    def message_call(self, params: bytes, endpoint: Endpoint) -> CallParts:
        """Ask for one generation in real time."""
        assert endpoint in self.profile.endpoints, f"no {endpoint} here"
        return self._post(batches.PATHS[endpoint], params, timeout_seconds=MESSAGE_TIMEOUT_SECONDS)

    def decode_message(self, *, status: int, headers: Mapping[str, str], body: bytes) -> Outcome | ApiError:
        """Read the reply of a real-time generation, of either endpoint."""
        if status != 200:
            return self.decode_error(status=status, headers=headers, body=body)
        return read_message(body)

    def rates(self, headers: Mapping[str, str]) -> tuple[Seen, ...]:
        """Read the rate limits in force; a reset is a duration, counted from the reply's own date."""
        return read_rates(headers, self.provider_time(headers), requests=self.profile.requests_per_minute)

    def served(self, asked: Lane, usage: Usage) -> tuple[Lane, str]:
        """Say on which lane an answer is billed: by the tier that the reply names. In a batch it says ``default``.

        A fast one may come back as ``default``, at its price; without a tier it was served as asked.
        """
        tier = usage.service_tier
        served = SERVED.get(tier or "")
        usual = served is Lane.REALTIME and asked in (Lane.BATCH, Lane.WINDOW_2H, Lane.WINDOW_8H)
        if not self.profile.tiers or tier is None or served is asked or usual:
            return asked, ""
        if served is None:
            return asked, f"was served on tier {tier}, which has no price of its own here"
        return served, f"was served on tier {tier} though {asked} was asked for"

    def window_call(self, params: bytes, window: Lane) -> CallParts:
        """Ask for one response in the background. Changes ``background`` and its options, no other field."""
        assert window in self.windows, f"no window {window} here"
        return self._post(batches.PATHS[Endpoint.RESPONSES], with_window(params, window.value))

    def response_call(self, response_id: str) -> CallParts:
        """Ask for a response that is made in the background."""
        return CallParts(method="GET", path=self._response(response_id))

    def cancel_response_call(self, response_id: str) -> CallParts:
        """Ask to cancel it."""
        return CallParts(method="POST", path=f"{self._response(response_id)}/cancel", body=b"")

    def decode_response(self, *, status: int, headers: Mapping[str, str], body: bytes) -> Queued | Outcome | ApiError:
        """Read the reply to any of these three."""
        if status != 200:
            return self.decode_error(status=status, headers=headers, body=body)
        return read_response(body)

    def count_call(self, params: bytes, endpoint: Endpoint) -> CallParts | None:
        """Ask for the input tokens of a Responses body; for Chat there is no counter (checked 2026-11-21)."""
        if endpoint is not Endpoint.RESPONSES or not self.profile.counts_input:
            return None
        return self._post("/responses/input_tokens", countable(params), timeout_seconds=60)

    def decode_count(self, *, status: int, headers: Mapping[str, str], body: bytes) -> int | ApiError:
        """Read the number of input tokens."""
        if status != 200:
            return self.decode_error(status=status, headers=headers, body=body)
        found = attempt(_decode_count, body)
        return (
            unreadable(body, headers.get("x-request-id", ""))
            if found is None or found.input_tokens < 0
            else found.input_tokens
        )

    # ------------------------------------------------------------ batches

    def batch_open(self) -> bytes:
        """Bytes before the first line: the head of the upload."""
        return batches.multipart_head(self.profile)

    def batch_line(self, *, custom_id: str, params: bytes, endpoint: Endpoint, first: bool) -> bytes:
        """Bytes of one request, on one line."""
        assert CUSTOM_ID.fullmatch(custom_id), f"{custom_id!r} does not fit on the wire"
        middle = batches.line_middle(endpoint, self.profile)
        separator = b"" if first else b"\n"
        return b"".join(
            (separator, batches.LINE_START, custom_id.encode(), middle, batches.one_line(params), batches.LINE_END)
        )

    def batch_line_length(self, *, custom_id_length: int, params_length: int, endpoint: Endpoint, first: bool) -> int:
        """Length in bytes of what ``batch_line`` gives, without making it."""
        frame = len(batches.LINE_START) + len(batches.line_middle(endpoint, self.profile)) + len(batches.LINE_END)
        return frame + custom_id_length + params_length + (not first)

    def batch_close(self) -> bytes:
        """Bytes after the last line: its end, and the tail of the upload."""
        return b"\n" + batches.TAIL

    def lines_call(self) -> CallParts:
        """Upload the lines. A file whose reply was lost costs nothing and goes by itself."""
        kind = {"content-type": f"multipart/form-data; boundary={batches.BOUNDARY}"}
        path = f"{self.root}/files"
        return CallParts(method="POST", path=path, timeout_seconds=UPLOAD_TIMEOUT_SECONDS, headers=kind)

    def decode_file(self, *, status: int, headers: Mapping[str, str], body: bytes) -> str | ApiError:
        """Read the id of an uploaded file."""
        if not 200 <= status < 300:
            return self.decode_error(status=status, headers=headers, body=body)
        found = attempt(batches.decode_file_id, body)
        return unreadable(body, headers.get("x-request-id", "")) if found is None else found.id

    def create_call(self, *, file_id: str, endpoint: Endpoint, token: str) -> CallParts:
        """Create a batch of an uploaded file. Never repeated blindly: found again by its token."""
        body = batches.create_body(file_id=file_id, endpoint=endpoint, token=token, profile=self.profile)
        return self._post("/batches", body)

    def retrieve_call(self, provider_batch_id: str) -> CallParts:
        """Ask for one batch."""
        return CallParts(method="GET", path=self._batch(provider_batch_id))

    def list_call(self, *, after: str | None, limit: int) -> CallParts:
        """Ask for a page of batches, newest first; the provider gives at most 100."""
        assert limit >= 1, "a page has at least one"
        follow = f"&after={quote(after, safe='')}" if after is not None else ""
        return CallParts(method="GET", path=f"{self.root}/batches?limit={min(limit, PAGE_MAX)}{follow}")

    def results_call(self, path: str) -> CallParts:
        """Ask for the content of an output or error file."""
        assert path.startswith(f"{self.root}/files/"), f"{path} holds no results"
        return CallParts(method="GET", path=path, timeout_seconds=UPLOAD_TIMEOUT_SECONDS)

    def cancel_call(self, provider_batch_id: str) -> CallParts:
        """Ask to cancel a batch."""
        return CallParts(method="POST", path=f"{self._batch(provider_batch_id)}/cancel", body=b"")

    def models_call(self) -> CallParts:
        """Ask for the models: free, and proves a key."""
        return CallParts(method="GET", path=f"{self.root}/models", timeout_seconds=30)

    def decode_batch(self, *, status: int, headers: Mapping[str, str], body: bytes) -> BatchView | ApiError:
        """Read a batch object. A 200 that cannot be read is a refusal to be cleared up by asking again."""
        if not 200 <= status < 300:
            return self.decode_error(status=status, headers=headers, body=body)
        found = attempt(lambda content: batches.read_batch(content, f"{self.root}/files"), body)
        return unreadable(body, headers.get("x-request-id", "")) if found is None else found

    def decode_page(self, *, status: int, headers: Mapping[str, str], body: bytes) -> BatchPage | ApiError:
        """Read a page of a listing."""
        if status != 200:
            return self.decode_error(status=status, headers=headers, body=body)
        found = attempt(lambda content: batches.read_page(content, f"{self.root}/files"), body)
        return unreadable(body, headers.get("x-request-id", "")) if found is None else found

    def decode_error(self, *, status: int, headers: Mapping[str, str], body: bytes) -> ApiError:
        """Read any refusal, also one without JSON (an edge's 413, a proxy's 502)."""
        return read_error(status=status, headers=headers, body=body, now=self.provider_time(headers))

    def decode_result_line(self, line: bytes) -> ResultLine:
        """Read one whole line of an output or error file.

        Raises: ValueError when the line is no result line at all; a line that names its request but cannot be read
        otherwise gives ``Errored(code="row_unreadable")``.
        """
        return read_result_line(line)

    def provider_time(self, headers: Mapping[str, str]) -> datetime | None:
        """Read the provider's own clock from a reply's ``date`` header, ``None`` when it gave none."""
        return http_date(headers.get("date", ""))

    def _post(self, path: str, body: bytes, *, timeout_seconds: int = 120) -> CallParts:
        return CallParts(method="POST", path=self.root + path, body=body, timeout_seconds=timeout_seconds)

    def _batch(self, provider_batch_id: str) -> str:
        return f"{self.root}/batches/{quote(provider_batch_id, safe='')}"

    def _response(self, response_id: str) -> str:
        return f"{self.root}/responses/{quote(response_id, safe='')}"


class _CountReply(msgspec.Struct):
    input_tokens: int


_decode_count: Callable[[bytes], _CountReply] = msgspec.json.Decoder(_CountReply).decode

CODEC: Codec = OpenAICodec()
