"""What OpenAI and its like refuse, and the rate limits they tell: every reply that says no gets its two answers.

May it be tried again, and did it cost money? The table of codes is ``lowtide.result.REFUSALS``; a code that is not in it
is judged by the reply's status. Read are all the shapes that compatible servers give: nested, flat, a bare string, none.

Sources: openai SDK 3.54.0, the error and rate limit guides, recorded traffic, checked 2026-11-21.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any, Final

import msgspec

from lowtide.pacing import Measure, Seen
from lowtide.providers import ApiError
from lowtide.providers.headers import retry_after, whole_number
from lowtide.providers.replies import DOUBT, FINAL, UNREADABLE, shown
from lowtide.result import REFUSALS, Billed, Refusal, Retry

# For replies that carry no code that we know.
CODES: Final = {
    400: "invalid_request_error",
    401: "invalid_api_key",
    402: "insufficient_quota",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    409: "conflict_error",
    413: "request_too_large",
    422: "unprocessable_entity",
    429: "rate_limit_exceeded",
    498: "capacity_exceeded",  # Groq's flex
    500: "server_error",
    502: "server_error",
    503: "server_overloaded",
    529: "server_overloaded",
}
# Limits on money, which no waiting of ours lifts. A spend alert that enforces is told as one of them.
SPEND_CODES: Final = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"})
TOO_LARGE: Final = "Request too large for "  # a 429 that no waiting lifts: more than a whole minute's tokens
SPEND_MESSAGES: Final = ("You exceeded your current quota", "Insufficient Balance", "Your credit balance is too low")
LATER: Final = Refusal(retry=Retry.LATER, billed=Billed.NO)


@dataclass(frozen=True, slots=True, kw_only=True)
class Complaint:
    """The words of an error body. ``code`` is the provider's own, ``known`` the one that our table has."""

    code: str
    known: str
    message: str


class _Error(msgspec.Struct):
    message: Any = None
    type: Any = None
    code: Any = None


class _ErrorBody(msgspec.Struct):
    """``error`` in the nested shape, or the others: flat (vLLM's old one), ``detail`` (FastAPI's)."""

    error: Any = None
    message: Any = None
    type: Any = None
    code: Any = None
    detail: Any = None


_decode_body = msgspec.json.Decoder(_ErrorBody).decode


def read_complaint(body: bytes, status: int) -> Complaint | None:
    """Read an error body in any shape; ``None`` when it is none."""
    try:
        found = _decode_body(body)
    except UNREADABLE:
        return None
    if isinstance(found.error, dict):
        said = _Error(message=found.error.get("message"), type=found.error.get("type"), code=found.error.get("code"))
    elif isinstance(found.error, str):
        said = _Error(message=found.error)
    elif isinstance(found.message, str):
        said = _Error(message=found.message, type=found.type, code=found.code)
    elif found.detail is not None:
        said = _Error(
            message=found.detail if isinstance(found.detail, str) else msgspec.json.encode(found.detail).decode()
        )
    else:
        return None
    return complaint_of(code=said.code, kind=said.type, message=said.message, status=status)


def complaint_of(*, code: object, kind: object, message: object, status: int) -> Complaint:
    """Choose the words: the code where there is one, else the type, else what the status is called here."""
    by_status = CODES.get(status, f"http_{status}" if status else "unknown_error")
    words = [word for word in (code, kind) if isinstance(word, str) and word and not word.isdigit() and word != "None"]
    own = words[0] if words else by_status
    known = next((word for word in words if word in REFUSALS), by_status)
    # An invalid_request_error that came with a 429 or a 401 is not told by its type.
    if known == "invalid_request_error" and status not in (0, 400):
        known = by_status
    text = message if isinstance(message, str) and message else f"HTTP {status} without a message"
    return Complaint(code=own, known=known, message=text)


def read_error(*, status: int, headers: Mapping[str, str], body: bytes, now: datetime | None) -> ApiError:
    """Read a refusal. ``now`` is the provider's time, for a ``retry-after`` that is a date."""
    found = read_complaint(body, status)
    if found is None:
        code = CODES.get(status, f"http_{status}")
        message = shown(body) or f"HTTP {status} without a body"
        # Promise 3: an edge or a proxy says so; the API behind it may have done the work.
        meaning = DOUBT if not 400 <= status < 500 else REFUSALS.get(code, FINAL)
    else:
        code, message = found.code, found.message
        meaning = _meaning(found.known, status)
        if status == 429 and message.startswith(TOO_LARGE):
            code, meaning = "request_too_large", FINAL
    spend_limit = code in SPEND_CODES or message.startswith(SPEND_MESSAGES) or status == 402
    return ApiError(
        status=status,
        code=code,
        message=message,
        refusal=FINAL if spend_limit else _asked(meaning, headers.get("x-should-retry", "")),
        retry_after_seconds=retry_after(headers, now),
        spend_limit=spend_limit,
        request_id=headers.get("x-request-id", ""),
    )


def _meaning(known: str, status: int) -> Refusal:
    """Look up what a code means; one that is in no table is judged by its status."""
    if status == 504 or not 400 <= status < 600:
        return DOUBT  # A gateway gave up waiting: what it waited for may have happened.
    if known in REFUSALS:
        return REFUSALS[known]
    return FINAL if status < 500 else LATER


def _asked(meaning: Refusal, should_retry: str) -> Refusal:
    """Follow ``x-should-retry``, as the official clients do; a doubt stays one."""
    if meaning.retry is Retry.LATER and should_retry == "false":
        return Refusal(retry=Retry.NEVER, billed=meaning.billed)
    if meaning.retry is Retry.NEVER and should_retry == "true":
        return Refusal(retry=Retry.LATER, billed=meaning.billed)
    return meaning


# ---------------------------------------------------------------- rate limits

RATES: Final = {Measure.REQUESTS: "requests", Measure.TOKENS: "tokens"}
UNITS: Final = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}
DURATION: Final = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)(ms|d|h|m|s)", re.ASCII)
DURATION_MAX: Final = timedelta(days=31)
WINDOW_SECONDS_MAX: Final = 90  # a minute, with room for rounding


def read_rates(headers: Mapping[str, str], now: datetime | None, *, requests: bool) -> tuple[Seen, ...]:
    """Read the rate limits that a reply tells. ``now`` is the provider's time, ``requests`` whether to believe its requests.

    The limit of requests may be one a day (small accounts: 10,000, refilled one in 8.64 s, recorded 2026-08). The window
    follows from how long what is used takes to come back; a limit that is not one a minute is left unsaid.
    """
    found: list[Seen] = []
    for measure, name in RATES.items():
        limit = whole_number(headers.get(f"x-ratelimit-limit-{name}"))
        remaining = whole_number(headers.get(f"x-ratelimit-remaining-{name}"))
        if (limit is None and remaining is None) or (measure is Measure.REQUESTS and not requests):
            continue
        told = headers.get(f"x-ratelimit-reset-{name}", "")
        reset = duration(told)
        if reset is not None and limit is not None and remaining is not None:
            rounding = timedelta(milliseconds=1 if "ms" in told or "." in told else 1000)
            limit = None if _is_long(limit, limit - remaining, reset - rounding) else limit
        reset_at = now + reset if now is not None and reset is not None else None
        found.append(Seen(measure=measure, limit=limit, remaining=remaining, reset_at=reset_at))
    return tuple(found)


def _is_long(limit: int, used: int, reset: timedelta) -> bool:
    """Say whether a limit is surely one of more than a minute: what is used comes back too slowly."""
    return used > 0 and reset // timedelta(milliseconds=1) * limit > used * 1000 * WINDOW_SECONDS_MAX


def duration(text: str) -> timedelta | None:
    """Read ``6m0s``, ``1s``, ``120ms``, ``1m4.296s``; ``None`` for anything else, and for more than a month."""
    parts = DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return None
    milliseconds = sum(Fraction(number) * UNITS[unit] for number, unit in parts)
    if milliseconds > DURATION_MAX // timedelta(milliseconds=1):
        return None
    return timedelta(microseconds=int(milliseconds * 1000))
