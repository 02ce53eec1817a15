"""Finished requests read back: by key for later waves, in order for results and delivery. One statement a function."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import and_, case, func, literal, select

from lowtide.dispatch import PlanId
from lowtide.ledger import Reason
from lowtide.money import ZERO, Nanos
from lowtide.result import Billed, OutcomeName, refusal
from lowtide.store import Store, Transaction
from lowtide.store.schema import ATTEMPTS, HOLDS, REQUESTS, RUNS, SHARDS
from lowtide.usage import Usage

PAGE = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A request and the attempt that decided it. ``outcome`` is empty while it has none.

    ``cost`` is what that attempt cost; ``None`` where nobody knows: an answer without a known price, a lost reply.
    """

    seq: int
    wave: int
    key: str
    kind: str
    model: str
    state: str
    tries: int
    gaps: tuple[str, ...]
    outcome: str
    code: str
    message: str
    answer_at: int | None
    usage: Usage
    cost: Nanos | None
    route: str
    provider: str
    at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StateCount:
    """How many requests of a run are in a state, with the tokens and the cost of their deciding attempts."""

    state: str
    requests: int
    input_tokens: int
    output_tokens: int
    cost: Nanos


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureCount:
    """How many requests failed, or go out again, for one reason. ``example`` is one provider's message, quoted."""

    state: str
    outcome: str
    code: str
    requests: int
    example: str


_FINISHED = select(
    REQUESTS.c.seq,
    REQUESTS.c.wave,
    REQUESTS.c.key,
    REQUESTS.c.kind,
    REQUESTS.c.model,
    REQUESTS.c.state,
    REQUESTS.c.tries,
    REQUESTS.c.gaps,
    ATTEMPTS.c.outcome,
    ATTEMPTS.c.code,
    ATTEMPTS.c.message,
    ATTEMPTS.c.answer_at,
    ATTEMPTS.c.input_tokens,
    ATTEMPTS.c.cache_read_tokens,
    ATTEMPTS.c.cache_write_5m_tokens,
    ATTEMPTS.c.cache_write_1h_tokens,
    ATTEMPTS.c.cache_write_30m_tokens,
    ATTEMPTS.c.cache_write_12h_tokens,
    ATTEMPTS.c.output_tokens,
    ATTEMPTS.c.reasoning_tokens,
    ATTEMPTS.c.cost_nanos,
    ATTEMPTS.c.at,
    SHARDS.c.route,
    SHARDS.c.provider,
    ATTEMPTS.c.shard_id.label("decided_by"),
).select_from(
    REQUESTS.outerjoin(
        ATTEMPTS, and_(ATTEMPTS.c.shard_id == REQUESTS.c.shard_id, ATTEMPTS.c.ordinal == REQUESTS.c.ordinal)
    ).outerjoin(SHARDS, SHARDS.c.shard_id == REQUESTS.c.shard_id)
)


def by_key(tx: Transaction, plan_id: PlanId, key: str) -> Finished | None:
    """Read one request by its key."""
    rows = tx.execute(_FINISHED.where(REQUESTS.c.plan_id == plan_id, REQUESTS.c.key == key)).all()
    assert len(rows) <= 1, "a key is one request's"
    return next(iter(_finished_of(tx, rows)), None)


def in_order(store: Store, plan_id: PlanId, *, after_seq: int = -1, states: Sequence[str] = ()) -> Iterator[Finished]:
    """Stream every request of a plan in order, a page a snapshot; ``states`` leaves the others out."""
    while True:
        query = _FINISHED.where(REQUESTS.c.plan_id == plan_id, REQUESTS.c.seq > after_seq)
        if states:
            query = query.where(REQUESTS.c.state.in_(states))
        with store.read() as tx:
            rows = tx.execute(query.order_by(REQUESTS.c.seq).limit(PAGE)).all()
            found = _finished_of(tx, rows)
        yield from found
        if len(rows) < PAGE:
            return
        after_seq = rows[-1].seq


def of_shard(store: Store, shard_id: str) -> Iterator[Finished]:
    """Stream the requests that a shard decided, in ordinal order."""
    after = -1
    while True:
        query = _FINISHED.add_columns(ATTEMPTS.c.ordinal).where(
            REQUESTS.c.shard_id == shard_id, ATTEMPTS.c.shard_id == shard_id, ATTEMPTS.c.ordinal > after
        )
        with store.read() as tx:
            plan_id = tx.execute(select(SHARDS.c.plan_id).where(SHARDS.c.shard_id == shard_id)).scalar_one()
            query = query.where(REQUESTS.c.plan_id == plan_id, REQUESTS.c.seq == ATTEMPTS.c.seq)
            rows = tx.execute(query.order_by(ATTEMPTS.c.ordinal).limit(PAGE)).all()
            found = _finished_of(tx, rows)
        yield from found
        if len(rows) < PAGE:
            return
        after = rows[-1].ordinal


def states(tx: Transaction, plan_id: PlanId) -> list[StateCount]:
    """Count requests by state."""
    rows = tx.execute(
        select(
            REQUESTS.c.state,
            func.count().label("requests"),
            func.coalesce(func.sum(ATTEMPTS.c.input_tokens), 0).label("input_tokens"),
            func.coalesce(func.sum(ATTEMPTS.c.output_tokens), 0).label("output_tokens"),
            func.coalesce(func.sum(ATTEMPTS.c.cost_nanos), 0).label("cost"),
        )
        .select_from(
            REQUESTS.outerjoin(
                ATTEMPTS, and_(ATTEMPTS.c.shard_id == REQUESTS.c.shard_id, ATTEMPTS.c.ordinal == REQUESTS.c.ordinal)
            )
        )
        .where(REQUESTS.c.plan_id == plan_id)
        .group_by(REQUESTS.c.state)
    )
    return [
        StateCount(
            state=row.state,
            requests=row.requests,
            input_tokens=int(row.input_tokens),
            output_tokens=int(row.output_tokens),
            cost=Nanos(int(row.cost)),
        )
        for row in rows
    ]


def attempted(tx: Transaction, plan_id: PlanId, *, canceled: bool) -> list[StateCount]:
    """Count the requests of a pruned run by what their attempts say, which stay: answered once, or never.

    ``canceled``: the run was, so a request whose last attempt was never worked on was canceled with it.
    """
    last = func.row_number().over(partition_by=ATTEMPTS.c.seq, order_by=(ATTEMPTS.c.at.desc(), ATTEMPTS.c.shard_id))
    ranked = select(ATTEMPTS, last.label("place")).where(ATTEMPTS.c.plan_id == plan_id).subquery()
    answered = func.max(case((ranked.c.outcome == OutcomeName.SUCCEEDED.value, 1), else_=0)) == 1
    idle = ranked.c.outcome.in_([OutcomeName.CANCELED.value, OutcomeName.EXPIRED.value])
    unworked = func.max(case(((ranked.c.place == 1) & idle, 1), else_=0)) == 1
    otherwise = case((unworked, "canceled"), else_="failed") if canceled else literal("failed")
    each = (
        select(
            case((answered, "succeeded"), else_=otherwise).label("state"),
            func.sum(ranked.c.input_tokens).label("input_tokens"),
            func.sum(ranked.c.output_tokens).label("output_tokens"),
            func.sum(ranked.c.cost_nanos).label("cost"),
        )
        .group_by(ranked.c.seq)
        .subquery()
    )
    rows = tx.execute(
        select(
            each.c.state,
            func.count().label("requests"),
            func.sum(each.c.input_tokens).label("input_tokens"),
            func.sum(each.c.output_tokens).label("output_tokens"),
            func.sum(each.c.cost).label("cost"),
        ).group_by(each.c.state)
    )
    return [
        StateCount(
            state=row.state,
            requests=row.requests,
            input_tokens=int(row.input_tokens),
            output_tokens=int(row.output_tokens),
            cost=Nanos(int(row.cost)),
        )
        for row in rows
    ]


def failures(tx: Transaction, plan_id: PlanId) -> list[FailureCount]:
    """Count what failed or goes out again by reason, commonest first."""
    query = (
        select(
            REQUESTS.c.state,
            ATTEMPTS.c.outcome,
            ATTEMPTS.c.code,
            func.count().label("requests"),
            func.min(case((ATTEMPTS.c.message != "", ATTEMPTS.c.message), else_=None)).label("example"),
        )
        .join_from(
            REQUESTS,
            ATTEMPTS,
            and_(ATTEMPTS.c.shard_id == REQUESTS.c.shard_id, ATTEMPTS.c.ordinal == REQUESTS.c.ordinal),
        )
        .where(REQUESTS.c.plan_id == plan_id, REQUESTS.c.state.in_(["failed", "retry", "canceled"]))
        .group_by(REQUESTS.c.state, ATTEMPTS.c.outcome, ATTEMPTS.c.code)
        .order_by(func.count().desc(), ATTEMPTS.c.code)
    )
    return [
        FailureCount(
            state=row.state, outcome=row.outcome, code=row.code, requests=row.requests, example=row.example or ""
        )
        for row in tx.execute(query)
    ]


def stop_reasons(tx: Transaction, plan_id: PlanId, *, pruned: bool = False) -> dict[str, int]:
    """Count answers by stop reason: refusals and truncations are answers, and shown apart.

    ``pruned``: the requests are gone, and the attempts tell.
    """
    query = select(ATTEMPTS.c.code, func.count()).group_by(ATTEMPTS.c.code)
    if pruned:
        query = query.where(ATTEMPTS.c.plan_id == plan_id, ATTEMPTS.c.outcome == OutcomeName.SUCCEEDED.value)
    else:
        query = query.join_from(
            REQUESTS,
            ATTEMPTS,
            and_(ATTEMPTS.c.shard_id == REQUESTS.c.shard_id, ATTEMPTS.c.ordinal == REQUESTS.c.ordinal),
        ).where(REQUESTS.c.plan_id == plan_id, REQUESTS.c.state == "succeeded")
    return dict(tx.execute(query).all())


def plan_of_run(tx: Transaction, run_id: str) -> str:
    """Name the plan of a run."""
    found: str = tx.execute(select(RUNS.c.plan_id).where(RUNS.c.run_id == run_id)).scalar_one()
    return found


def _finished_of(tx: Transaction, rows: Sequence[Any]) -> list[Finished]:
    """Make values of rows. Only where nothing was booked is it looked up whether it was free or its price not known."""
    free = {row.decided_by for row in rows if row.outcome == OutcomeName.SUCCEEDED and not row.cost_nanos}
    unpriced = _unpriced(tx, free) if free else frozenset[str]()
    return [_finished(row, _cost(row, unpriced)) for row in rows]


def _unpriced(tx: Transaction, shard_ids: Iterable[str]) -> frozenset[str]:
    """Name the shards of which answers without a known price are held for."""
    query = select(HOLDS.c.shard_id).where(
        HOLDS.c.shard_id.in_(sorted(shard_ids)),
        HOLDS.c.reason == Reason.PRICE_UNKNOWN.value,
        HOLDS.c.remaining_nanos > 0,
    )
    return frozenset(tx.execute(query).scalars())


def _cost(row: Any, unpriced: Collection[str]) -> Nanos | None:  # noqa: ANN401 as below
    """Say what a request's attempt cost; promise 5: unknown is no zero."""
    if row.cost_nanos:
        return Nanos(row.cost_nanos)
    if row.outcome == OutcomeName.SUCCEEDED:
        return None if row.decided_by in unpriced else ZERO
    maybe = row.outcome == OutcomeName.ERRORED and refusal(row.code).billed is not Billed.NO
    return None if maybe else ZERO


def _finished(row: Any, cost: Nanos | None) -> Finished:  # noqa: ANN401 a row of many columns
    return Finished(
        seq=row.seq,
        wave=row.wave,
        key=row.key,
        kind=row.kind,
        model=row.model,
        state=row.state,
        tries=row.tries,
        gaps=tuple(row.gaps.split("\n")) if row.gaps else (),
        outcome=row.outcome or "",
        code=row.code or "",
        message=row.message or "",
        answer_at=row.answer_at,
        usage=Usage(
            input_tokens=row.input_tokens or 0,
            output_tokens=row.output_tokens or 0,
            cache_read_tokens=row.cache_read_tokens or 0,
            cache_write_5m_tokens=row.cache_write_5m_tokens or 0,
            cache_write_1h_tokens=row.cache_write_1h_tokens or 0,
            cache_write_30m_tokens=row.cache_write_30m_tokens or 0,
            cache_write_12h_tokens=row.cache_write_12h_tokens or 0,
            reasoning_tokens=row.reasoning_tokens or 0,
        ),
        cost=cost,
        route=row.route or "",
        provider=row.provider or "",
        at=row.at,
    )
