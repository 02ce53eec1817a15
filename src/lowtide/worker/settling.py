"""What an outcome costs and what becomes of its request: the same for both lanes."""

from datetime import date

from lowtide.catalog import Lane
from lowtide.errors import PriceUnknown
from lowtide.money import ZERO, Nanos
from lowtide.result import Canceled, Errored, Expired, Outcome, Succeeded, outcome_name
from lowtide.store.shards import Landed
from lowtide.worker.hands import Hands

MESSAGE_CHARACTERS_MAX = 1000


def price(hands: Hands, answer: Succeeded, asked_model: str, lane: Lane, day: date) -> tuple[Nanos, str]:
    """Price an answer from its own usage, on the lane and the day it was bought. Gives the cost and a note, or "".

    The model that answered is billed; one that the catalog does not know is billed as the one asked for, with a note.
    An answer that the provider says it served on another lane is priced there, with a note where that is a surprise.
    """
    lane, note = hands.codec.served(lane, answer.usage)
    if note:
        note = f"{answer.model} {note}"
    try:
        sheet = hands.catalog.sheet(hands.codec.provider, answer.model or asked_model, lane, day)
    except PriceUnknown:
        sheet = hands.catalog.sheet(hands.codec.provider, asked_model, lane, day)
        note = f"{answer.model} answered for {asked_model}; its price is unknown, so {asked_model}'s is booked"
    return sheet.cost_nanos(answer.usage), note


def request_state(outcome: Outcome, *, retry: bool, canceling: bool) -> str:
    """Give a request's state after an outcome."""
    match outcome:
        case Succeeded():
            return "succeeded"
        case Canceled() | Expired() if canceling:
            return "canceled"
        case Errored() | Canceled() | Expired():
            return "retry" if retry and not canceling else "failed"


def landed_row(
    outcome: Outcome, *, ordinal: int, seq: int, state: str, answer_at: int | None = None, cost: Nanos = ZERO
) -> Landed:
    """Make the row of an outcome. ``answer_at`` and ``cost`` are an answer's; nothing else has or costs anything."""
    code, message, usage = str(outcome_name(outcome)), "", None
    match outcome:
        case Succeeded():
            code, usage = outcome.stop_reason, outcome.usage
        case Errored():
            code, message = outcome.code, outcome.message[:MESSAGE_CHARACTERS_MAX]
        case Canceled() | Expired():
            pass
    return Landed(
        ordinal=ordinal,
        seq=seq,
        outcome=outcome_name(outcome),
        code=code,
        message=message,
        answer_at=answer_at,
        usage=usage,
        cost=cost,
        state=state,
    )
