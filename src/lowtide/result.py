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


# Anthropic's error types, reference platform.claude.com/docs/en/api/errors, checked 2026-11-21. The last three are ours.
REFUSALS: dict[str, Refusal] = {
    "invalid_request_error": Refusal(retry=Retry.NEVER, billed=Billed.NO),
    "authentication_error": Refusal(retry=Retry.NEVER, billed=Billed.NO),
    "billing_error": Refusal(retry=Retry.NEVER, billed=Billed.NO),
    "permission_error": Refusal(retry=Retry.NEVER, billed=Billed.NO),
    "not_found_error": Refusal(retry=Retry.NEVER, billed=Billed.NO),
    "conflict_error": Refusal(retry=Retry.LATER, billed=Billed.NO),
    "request_too_large": Refusal(retry=Retry.NEVER, billed=Billed.NO),
    "rate_limit_error": Refusal(retry=Retry.LATER, billed=Billed.NO),
    "api_error": Refusal(retry=Retry.LATER, billed=Billed.NO),
    "timeout_error": Refusal(retry=Retry.LATER, billed=Billed.NO),
    "overloaded_error": Refusal(retry=Retry.LATER, billed=Billed.NO),
    "row_missing": Refusal(retry=Retry.LATER, billed=Billed.MAYBE),  # the batch ended without a row for it
    "row_unreadable": Refusal(retry=Retry.LATER, billed=Billed.MAYBE),  # a whole line we cannot decode
    "reply_lost": Refusal(retry=Retry.AFTER_RECONCILE, billed=Billed.MAYBE),  # a real-time call whose reply was lost
}
UNKNOWN_REFUSAL = Refusal(retry=Retry.LATER, billed=Billed.NO)


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
