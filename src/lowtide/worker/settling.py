"""What an outcome costs and what becomes of its request: the same for both lanes."""

from collections.abc import Sequence
from datetime import date, datetime

from lowtide.catalog import Lane
from lowtide.errors import PriceUnknown, counted
from lowtide.ledger import Reason
from lowtide.money import ZERO, Nanos
from lowtide.result import Canceled, Errored, Expired, Outcome, Succeeded, outcome_name
from lowtide.store import Transaction, books
from lowtide.store.runs import RunRow
from lowtide.store.shards import Landed, ShardRow
from lowtide.worker.hands import Hands, pause, payer


def price_or_hold(hands: Hands, answer: Succeeded, asked_model: str, lane: Lane, day: date) -> tuple[Nanos | None, str]:
    """Price an answer as ``price`` does; ``None`` where our prices do not cover it, and the note says so.

    The answer was bought: it is kept all the same, and what it can have cost at most stays held by name.
    """
    try:
        return price(hands, answer, asked_model, lane, day)
    except PriceUnknown as error:
        return None, f"{error.message}: what it can have cost stays held; {error.hint}"


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
    name = outcome_name(outcome).value
    code, message, usage = name, "", None
    match outcome:
        case Succeeded():
            code, usage = outcome.stop_reason, outcome.usage
        case Errored():
            code, message = outcome.code, outcome.message
        case Canceled() | Expired():
            pass
    return Landed(
        ordinal=ordinal,
        seq=seq,
        outcome=name,
        code=code,
        message=message,
        answer_at=answer_at,
        usage=usage,
        cost=cost,
        state=state,
    )


def hold_unpriced(
    hands: Hands, tx: Transaction, run: RunRow, row: ShardRow, ceilings: Sequence[Nanos], now: datetime
) -> None:
    """Keep what answers without a known price can have cost, in a hold of their own, and pause the run."""
    if not ceilings:
        return
    books.split(
        tx,
        row.hold_id,
        Nanos(sum(ceilings)),
        payer=payer(run),
        payee=hands.payee,
        reason=Reason.PRICE_UNKNOWN,
        shard_id=row.shard_id,
        at=now,
    )
    pause(tx, run, f"{counted(len(ceilings), 'answer')} without a known price: lowtide status {run.run_id} says which")
