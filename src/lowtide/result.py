"""What came back for one request: a closed set of outcomes, and for every refusal two answers.

May it be tried again (``never``, ``later``, ``after_reconcile``), and did it cost money (``no``, ``yes``, ``maybe``)?
The table of codes is data (``REFUSALS``), so a new code cannot be added without deciding both.
"""

from dataclasses import dataclass
from enum import StrEnum

from lowtide.usage import Usage


class Retry(StrEnum):
    """Whether it may be tried again."""

    NEVER = "never"
    LATER = "later"
    AFTER_RECONCILE = "after_reconcile"


class Billed(StrEnum):
    """Whether it cost money."""

    NO = "no"
    YES = "yes"
    MAYBE = "maybe"


class OutcomeName(StrEnum):
    """The four ends of a request, spelled as Anthropic spells them."""

    SUCCEEDED = "succeeded"
    ERRORED = "errored"
    CANCELED = "canceled"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class Succeeded:
    """An answer. A refusal and a truncation are answers too (``stop_reason``), billed as the provider bills them.

    ``message`` are the JSON bytes of the provider's message, untouched. ``text`` is its visible text, possibly empty.
    """

    message: bytes
    text: str
    stop_reason: str
    model: str
    usage: Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Errored:
    """The provider could not or would not. ``code`` is its own error type, ``message`` its own words, quoted."""

    code: str
    message: str
    request_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Canceled:
    """Canceled before it was worked on; costs nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expired:
    """Its time ran out before it was worked on; costs nothing."""


Outcome = Succeeded | Errored | Canceled | Expired


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """What an error code means for us."""

    retry: Retry
    billed: Billed


_FINAL = Refusal(retry=Retry.NEVER, billed=Billed.NO)
_PASSES = Refusal(retry=Retry.LATER, billed=Billed.NO)
_COSTLY = Refusal(retry=Retry.LATER, billed=Billed.MAYBE)
_DOUBTFUL = Refusal(retry=Retry.AFTER_RECONCILE, billed=Billed.MAYBE)

REFUSALS: dict[str, Refusal] = {
    # Anthropic's error types, platform.claude.com/docs/en/api/errors, checked 2026-11-21.
    "invalid_request_error": _FINAL,
    "authentication_error": _FINAL,
    "billing_error": _FINAL,
    "permission_error": _FINAL,
    "not_found_error": _FINAL,
    "conflict_error": _PASSES,
    "request_too_large": _FINAL,
    "rate_limit_error": _PASSES,
    "api_error": _PASSES,
    "timeout_error": _PASSES,
    "overloaded_error": _PASSES,
    # OpenAI's codes and types (error guide and openai SDK 3.54.0, checked 2026-11-21). It publishes no closed list: a
    # code that is not here is judged by the status it came with, in the codec.
    "invalid_api_key": _FINAL,
    "insufficient_quota": _FINAL,
    "billing_hard_limit_reached": _FINAL,
    "billing_not_active": _FINAL,
    "model_not_found": _FINAL,
    "unsupported_country_region_territory": _FINAL,
    "context_length_exceeded": _FINAL,
    "string_above_max_length": _FINAL,
    "missing_required_parameter": _FINAL,
    "unprocessable_entity": _FINAL,
    "content_policy_violation": _FINAL,
    "invalid_prompt": _FINAL,
    "data_residency_mismatch": _FINAL,
    "bio_policy": _FINAL,
    "misalignment_policy_violation": _FINAL,
    "invalid_image": _FINAL,
    "invalid_image_format": _FINAL,
    "invalid_base64_image": _FINAL,
    "invalid_image_url": _FINAL,
    "image_too_large": _FINAL,
    "image_too_small": _FINAL,
    "image_parse_error": _FINAL,
    "image_content_policy_violation": _FINAL,
    "invalid_image_mode": _FINAL,
    "image_file_too_large": _FINAL,
    "unsupported_image_media_type": _FINAL,
    "empty_image_file": _FINAL,
    "failed_to_download_image": _PASSES,
    "image_file_not_found": _FINAL,
    "rate_limit_exceeded": _PASSES,
    "resource_unavailable": _PASSES,  # flex without room; not billed (flex guide)
    "capacity_exceeded": _PASSES,  # the same at Groq
    "server_error": _PASSES,
    "server_overloaded": _PASSES,
    "service_unavailable": _PASSES,
    "response_failed": _COSTLY,  # a response that broke off; what was made of it may be billed
    "response_unfinished": _DOUBTFUL,  # a response that is made in the background though nobody asked for that
    # A batch as a whole (``LineProblem``; seen at OpenAI or documented by Azure, checked 2026-11-21).
    "token_limit_exceeded": _PASSES,  # too many tokens enqueued: room comes as other batches end
    "invalid_json_line": _FINAL,
    "mismatched_model": _FINAL,
    "model_mismatch": _FINAL,
    "too_many_tasks": _FINAL,
    "url_mismatch": _FINAL,
    "duplicate_custom_id": _FINAL,
    "empty_file": _FINAL,
    "invalid_request": _FINAL,
    # Ours.
    "row_missing": _COSTLY,  # the batch ended without a row for it
    "row_unreadable": _COSTLY,  # a whole line we cannot decode
    "reply_lost": _DOUBTFUL,  # a real-time call whose reply was lost
}
UNKNOWN_REFUSAL = _PASSES


def refusal(code: str) -> Refusal:
    """Look up what an error code means; a code we do not know is retried, up to the stated number."""
    return REFUSALS.get(code, UNKNOWN_REFUSAL)


def outcome_name(outcome: Outcome) -> OutcomeName:
    """Name the outcome."""
    match outcome:
        case Succeeded():
            return OutcomeName.SUCCEEDED
        case Errored():
            return OutcomeName.ERRORED
        case Canceled():
            return OutcomeName.CANCELED
        case Expired():
            return OutcomeName.EXPIRED


def may_retry(outcome: Outcome) -> bool:
    """Say whether asking again can help. An answer is never asked again, whatever it says."""
    match outcome:
        case Succeeded():
            return False
        case Errored(code=code):
            return refusal(code).retry is not Retry.NEVER
        case Canceled() | Expired():
            return True
