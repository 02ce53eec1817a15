"""Shards, their batches, what landed of them, and the requests' states. One statement a function, bulk where it counts."""

from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import BigInteger, ColumnElement, Row, String, bindparam, func, literal, literal_column, select, update

from lowtide.attempt import AttemptState, CallState
from lowtide.batch import AT_PROVIDER, BatchState, BatchView, LineProblem
from lowtide.dispatch import BatchId, KnownLot, PlanId, Role, RunId
from lowtide.money import Nanos
from lowtide.packing import Candidate, ShardId, ordinal_of, unpack_members
from lowtide.request import Endpoint
from lowtide.store import Store, Transaction
from lowtide.store.runs import RETRYING, RunRow, retrying_count
from lowtide.store.schema import (
    ATTEMPTS,
    BATCHES,
    CALLS,
    HOLDS,
    KINDS,
    LOTS,
    REQUESTS,
    SHARDS,
    foreign_text,
    instant_text,
)
from lowtide.usage import Usage

PAGE = 2000
CODE_CHARACTERS_MAX = 100
MESSAGE_CHARACTERS_MAX = 1000
LOTS_MAX = 16  # of those that wait, this many are told at a time


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardRow:
    """A shard as it is kept; ``members`` are the requests' sequence numbers, the index is the ordinal."""

    shard_id: ShardId
    run_id: RunId
    plan_id: PlanId
    wave: int
    provider: str
    lot: int
    route: str
    kind: str
    members: "array[int]"
    requests: int
    bytes: int
    hold_id: int
    state: AttemptState


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchRow:
    """A batch as it is kept; times other than ``submitting_at`` and ``doubtful_at`` are the provider's."""

    batch_id: BatchId
    shard_id: ShardId
    provider: str
    role: Role
    state: BatchState
    input_file_id: str | None
    provider_batch_id: str | None
    newest_before: str | None
    newest_before_at: datetime | None
    results_paths: tuple[str, ...]
    rejected: str
    submitting_at: datetime | None
    doubtful_at: datetime | None
    creates: int
    created_at: datetime | None
    ended_at: datetime | None
    total: int
    succeeded: int
    verified: bool
    cancel_asked: bool
    not_found: int
    downloads: int
    problems: tuple[LineProblem, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Moments:
    """When things happened to a shard, by our clock; ``None`` for what has not, or does not in its lane."""

    route: str
    created_at: datetime
    submitting_at: datetime | None
    accepted_at: datetime | None
    over_at: datetime | None
    landed_at: datetime | None
    delivered_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LotRow:
    """A lot as it is kept: requests that may share a batch."""

    lot: int
    provider: str
    model: str
    endpoint: Endpoint
    route: str
    turn: int
    packed_seq: int
    requests_max: int | None


class Landed(NamedTuple):
    """One request's outcome as it is written: its attempt and its new state (``succeeded``, ``failed``, ``retry``...).

    A tuple: one is made for every answer.
    """

    ordinal: int
    seq: int
    outcome: str
    code: str
    message: str
    answer_at: int | None
    usage: Usage | None
    cost: Nanos
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """One request of a shard, as sending it needs it."""

    seq: int
    key: str
    kind: str
    model: str
    lot: int
    body_at: int
    body_bytes: int
    ceiling: Nanos
    realtime: Nanos
    input_tokens: int
    output_tokens: int
    tries: int


def _pending(packed_seq: ColumnElement[int] | int, sealed_seq: ColumnElement[int] | int) -> ColumnElement[bool]:
    """Requests of whole waves that were in no shard yet."""
    seq = REQUESTS.c.seq
    return (REQUESTS.c.state == "pending") & (seq > packed_seq) & (seq <= sealed_seq)


# What every turn asks, made once: making a statement takes longer than asking a small one.
_PLAN = bindparam("plan_id", type_=String)
_LOTS = (
    select(
        LOTS.c.lot,
        LOTS.c.provider,
        LOTS.c.model,
        LOTS.c.endpoint,
        LOTS.c.turn,
        LOTS.c.route,
        select(func.min(REQUESTS.c.seq))
        .where(
            REQUESTS.c.plan_id == _PLAN,
            REQUESTS.c.lot == LOTS.c.lot,
            _pending(LOTS.c.packed_seq, bindparam("sealed_seq", type_=BigInteger)),
        )
        .scalar_subquery()
        .label("first"),
    )
    .where(LOTS.c.plan_id == _PLAN)
    .order_by(LOTS.c.turn, LOTS.c.lot)
)
# Found by their numbers and grouped by what is no plain column: asked for plainly, SQLite takes the index of the lots and
# walks through the whole plan.
_LOT = REQUESTS.c.lot + literal_column("0")
_RETRYING = (
    select(_LOT, func.count(), func.min(REQUESTS.c.seq))
    .where(
        REQUESTS.c.plan_id == _PLAN,
        REQUESTS.c.seq.in_(select(REQUESTS.c.seq).where(REQUESTS.c.plan_id == _PLAN, RETRYING)),
    )
    .group_by(_LOT)
)


def waiting_lots(tx: Transaction, run: RunRow) -> tuple[KnownLot, ...]:
    """Read the first ``LOTS_MAX`` lots of which something waits, in order of turns, each with what comes first of it."""
    plan_id = run.plan_id
    rows = tx.execute(_LOTS, {"plan_id": plan_id, "sealed_seq": run.sealed_seq}).all()
    out = _lots_out(tx, run) if any(row.turn for row in rows) else frozenset[int]()
    goes_first: dict[tuple[str, str, str], int] = {}  # the lowest turn of which something waits or is out
    retrying = _retrying(tx, plan_id)
    found: list[KnownLot] = []
    for row in rows:
        count, seq = retrying.get(row.lot, (0, row.first))
        if seq is not None or row.lot in out:
            goes_first.setdefault((row.provider, row.model, row.endpoint), row.turn)
        if seq is None:
            continue
        costs = select(REQUESTS.c.ceiling_nanos, REQUESTS.c.realtime_nanos)
        batch, realtime = tx.execute(costs.where(REQUESTS.c.plan_id == plan_id, REQUESTS.c.seq == seq)).one()
        found.append(
            KnownLot(
                lot=row.lot,
                provider=row.provider,
                route=row.route,
                pending=row.first is not None,
                retrying=count,
                batch_ceiling=Nanos(batch),
                realtime_ceiling=Nanos(realtime),
                behind=goes_first[row.provider, row.model, row.endpoint] < row.turn,
            )
        )
        if len(found) == LOTS_MAX:
            break
    return tuple(found)


def _retrying(tx: Transaction, plan_id: str) -> dict[int, tuple[int, int]]:
    """Give how many requests of each lot go out again, and the first of them."""
    return {lot: (count, seq) for lot, count, seq in tx.execute(_RETRYING, {"plan_id": plan_id})}


def _lots_out(tx: Transaction, run: RunRow) -> frozenset[int]:
    """List the lots of which something is in a shard that is not back."""
    open_states = [AttemptState.OUT, AttemptState.RESERVED]
    query = select(SHARDS.c.lot).where(SHARDS.c.run_id == run.run_id, SHARDS.c.state.in_(open_states))
    return frozenset(tx.execute(query.distinct()).scalars())


def lot_row(tx: Transaction, plan_id: str, lot: int) -> LotRow:
    """Read a lot."""
    row = tx.execute(select(LOTS).where(LOTS.c.plan_id == plan_id, LOTS.c.lot == lot)).one()
    own = {name: getattr(row, name) for name in LotRow.__slots__ if name != "endpoint"}
    return LotRow(endpoint=Endpoint(row.endpoint), **own)


def set_lot(tx: Transaction, plan_id: str, lot: int, **values: object) -> None:
    """Write columns of a lot."""
    tx.execute(LOTS.update().where(LOTS.c.plan_id == plan_id, LOTS.c.lot == lot).values(**values))


def candidates(tx: Transaction, run: RunRow, lot: LotRow, *, realtime: bool) -> Iterator[Candidate]:
    """Stream what waits of a lot, in order: those that go out again, then those that were in no shard yet.

    Those of whose earlier real-time call the reply was lost are ``doubted``.
    """
    plan_id = run.plan_id
    ceiling = REQUESTS.c.realtime_nanos if realtime else REQUESTS.c.ceiling_nanos
    doubted = (
        select(CALLS.c.seq)
        .where(CALLS.c.plan_id == plan_id, CALLS.c.seq == REQUESTS.c.seq, CALLS.c.state == CallState.DOUBTFUL)
        .exists()
    )
    for fresh, where in ((False, RETRYING), (True, _pending(lot.packed_seq, run.sealed_seq))):
        if not fresh and not retrying_count(tx, run):
            continue  # a look at an index, where the ordered query would walk through the whole plan
        again = literal(value=False) if fresh else doubted
        query = select(REQUESTS.c.seq, REQUESTS.c.body_bytes, ceiling, again)
        query = query.where(REQUESTS.c.plan_id == plan_id, REQUESTS.c.lot == lot.lot, where).order_by(REQUESTS.c.seq)
        with tx.execute(query, execution_options={"yield_per": PAGE}) as rows:  # closed when a reader stops early
            for seq, body_bytes, most, lost_before in rows:
                yield Candidate(
                    seq=seq, body_bytes=body_bytes, ceiling=Nanos(most), fresh=fresh, doubted=bool(lost_before)
                )


def first_of_kind(tx: Transaction, run: RunRow, kind: str, provider: str, model: str) -> int | None:
    """Find the next waiting request of a kind."""
    query = (
        select(REQUESTS.c.seq)
        .join_from(REQUESTS, LOTS, (LOTS.c.plan_id == REQUESTS.c.plan_id) & (LOTS.c.lot == REQUESTS.c.lot))
        .where(
            REQUESTS.c.plan_id == run.plan_id,
            REQUESTS.c.kind == kind,
            REQUESTS.c.model == model,
            LOTS.c.provider == provider,
            RETRYING | _pending(LOTS.c.packed_seq, run.sealed_seq),
        )
    )
    found: int | None = tx.execute(query.order_by(REQUESTS.c.seq).limit(1)).scalar()
    return found


def insert_shard(tx: Transaction, row: ShardRow, *, members: bytes, created_at: datetime, state: AttemptState) -> None:
    """Write a shard that was reserved for."""
    tx.execute(
        SHARDS.insert().values(
            shard_id=row.shard_id,
            run_id=row.run_id,
            plan_id=row.plan_id,
            wave=row.wave,
            provider=row.provider,
            lot=row.lot,
            route=row.route,
            kind=row.kind,
            members=members,
            requests=row.requests,
            bytes=row.bytes,
            hold_id=row.hold_id,
            state=state,
            created_at=created_at,
        )
    )


def insert_batch(
    tx: Transaction,
    *,
    shard_id: ShardId,
    provider: str,
    total: int,
    role: Role,
    state: BatchState,
    values: Mapping[str, object] | None = None,
) -> BatchId:
    """Write a batch row: ours before it is sent, a suspect or an adopted one as it was found."""
    return BatchId(
        tx.execute(
            BATCHES.insert()
            .values(
                shard_id=shard_id,
                provider=provider,
                role=role,
                state=state,
                total=total,
                cancel_asked=False,
                **{"verified": False, **(values or {})},
            )
            .returning(BATCHES.c.batch_id)
        ).scalar_one()
    )


def shard(tx: Transaction, shard_id: str) -> ShardRow:
    """Read a shard."""
    row = tx.execute(select(SHARDS).where(SHARDS.c.shard_id == shard_id)).one()
    values = {name: getattr(row, name) for name in ShardRow.__slots__ if name not in ("members", "state")}
    return ShardRow(members=unpack_members(row.members), state=AttemptState(row.state), **values)


def provider_of(tx: Transaction, shard_id: str) -> str:
    """Name who a shard's requests are asked of, without reading its members."""
    found: str = tx.execute(select(SHARDS.c.provider).where(SHARDS.c.shard_id == shard_id)).scalar_one()
    return found


def shard_of_name(tx: Transaction, name: str) -> ShardId | None:
    """Find the shard that a name on the wire belongs to, ``None`` when it is none of this store's."""
    shard_id = ShardId(name.rpartition("-")[0])
    if ordinal_of(name, shard_id) is None:
        return None
    found = tx.execute(select(SHARDS.c.shard_id).where(SHARDS.c.shard_id == shard_id)).scalar()
    return None if found is None else shard_id


def set_shard(tx: Transaction, shard_id: str, **values: object) -> None:
    """Write columns of a shard."""
    tx.execute(SHARDS.update().where(SHARDS.c.shard_id == shard_id).values(**values))


def batch(tx: Transaction, batch_id: int) -> BatchRow:
    """Read a batch."""
    return _batch(tx.execute(select(BATCHES).where(BATCHES.c.batch_id == batch_id)).one())


def batches(tx: Transaction, batch_ids: Sequence[BatchId], *, lock: bool = False) -> list[BatchRow]:
    """Read some batches, in the order they were made. ``lock``: whoever else would change them waits for our end."""
    query = select(BATCHES).where(BATCHES.c.batch_id.in_(batch_ids)).order_by(BATCHES.c.batch_id)
    return [_batch(row) for row in tx.execute(query.with_for_update() if lock else query)]


def set_batch(tx: Transaction, batch_id: int, **values: object) -> None:
    """Write columns of a batch."""
    said = values.get("error")
    if isinstance(said, str):
        values["error"] = foreign_text(said, MESSAGE_CHARACTERS_MAX)
    tx.execute(BATCHES.update().where(BATCHES.c.batch_id == batch_id).values(**values))


def batches_of_run(tx: Transaction, run_id: str) -> list[BatchRow]:
    """Read every batch of a run, in order."""
    query = select(BATCHES).join_from(BATCHES, SHARDS, BATCHES.c.shard_id == SHARDS.c.shard_id)
    return [_batch(row) for row in tx.execute(query.where(SHARDS.c.run_id == run_id).order_by(BATCHES.c.batch_id))]


def open_batches(tx: Transaction, provider: str, *, but: str) -> int:
    """Count batches at a provider that are not over, but for one shard's."""
    query = select(func.count()).where(
        BATCHES.c.provider == provider, BATCHES.c.state.in_(list(AT_PROVIDER)), BATCHES.c.shard_id != but
    )
    return int(tx.execute(query).scalar_one())


def known_provider_ids(tx: Transaction, provider: str, ids: Sequence[str], *, suspects: bool = True) -> set[str]:
    """Say which of these provider batch ids our rows know already; without ``suspects``, only those taken for ours."""
    query = select(BATCHES.c.provider_batch_id).where(
        BATCHES.c.provider == provider, BATCHES.c.provider_batch_id.in_(ids)
    )
    if not suspects:
        query = query.where(BATCHES.c.role != Role.SUSPECT)
    return set(tx.execute(query).scalars())


def drop_suspect(tx: Transaction, provider: str, provider_batch_id: str) -> None:
    """Forget a suspicion: the batch turned out to be the answer to a doubt of ours."""
    tx.execute(
        BATCHES.delete().where(
            BATCHES.c.provider == provider,
            BATCHES.c.provider_batch_id == provider_batch_id,
            BATCHES.c.role == Role.SUSPECT,
        )
    )


def _batch(row: Row[Any]) -> BatchRow:
    own = ("role", "state", "results_paths", "problems")
    values = {name: getattr(row, name) for name in BatchRow.__slots__ if name not in own}
    return BatchRow(
        role=Role(row.role),
        state=BatchState(row.state),
        results_paths=tuple(row.results_paths.split()),
        problems=_decode_problems(row.problems) if row.problems else (),
        **values,
    )


_decode_problems = msgspec.json.Decoder(tuple[LineProblem, ...]).decode


def view_values(view: BatchView) -> dict[str, object]:
    """Give the columns that follow from how the provider shows a batch: its times and counts."""
    return {
        "created_at": view.created_at,
        "ended_at": view.ended_at,
        "expires_at": view.expires_at,
        "results_paths": " ".join(view.results_paths),
        "problems": msgspec.json.encode(view.problems) if view.problems else b"",
        "succeeded": view.counts.succeeded,
        "errored": view.counts.errored,
        "canceled": view.counts.canceled,
        "expired": view.counts.expired,
    }


def bodies(store: Store, plan_id: PlanId, members: "array[int]") -> Iterator[Body]:
    """Stream a shard's requests in ordinal order, a page a snapshot."""
    columns = (
        REQUESTS.c.seq,
        REQUESTS.c.key,
        REQUESTS.c.kind,
        REQUESTS.c.model,
        REQUESTS.c.lot,
        REQUESTS.c.body_at,
        REQUESTS.c.body_bytes,
        REQUESTS.c.ceiling_nanos,
        REQUESTS.c.realtime_nanos,
        REQUESTS.c.input_tokens,
        REQUESTS.c.output_tokens,
        REQUESTS.c.tries,
    )
    for row in _of_members(store, plan_id, members, columns):
        yield Body(
            seq=row.seq,
            key=row.key,
            kind=row.kind,
            model=row.model,
            lot=row.lot,
            body_at=row.body_at,
            body_bytes=row.body_bytes,
            ceiling=Nanos(row.ceiling_nanos),
            realtime=Nanos(row.realtime_nanos),
            input_tokens=row.input_tokens,
            output_tokens=row.output_tokens,
            tries=row.tries,
        )


def body_places(store: Store, plan_id: PlanId, members: "array[int]") -> Iterator[int]:
    """Stream where the bodies of a shard's requests lie, in ordinal order: all that sending a batch needs."""
    for (body_at,) in _of_members(store, plan_id, members, (REQUESTS.c.body_at,)):
        yield body_at


def _of_members(
    store: Store, plan_id: PlanId, members: "array[int]", columns: Sequence[ColumnElement[Any]]
) -> Iterator[Row[Any]]:
    """Stream some columns of a shard's requests in ordinal order, a page a snapshot."""
    for start in range(0, len(members), PAGE):
        page = members[start : start + PAGE]
        query = select(*columns).where(REQUESTS.c.plan_id == plan_id)
        if page[-1] - page[0] == len(page) - 1:
            query = query.where(REQUESTS.c.seq >= page[0], REQUESTS.c.seq <= page[-1])
        else:
            query = query.where(REQUESTS.c.seq.in_(page.tolist()))
        with store.read() as tx:
            rows = tx.execute(query.order_by(REQUESTS.c.seq)).all()
        assert len(rows) == len(page), "every member has its row"
        yield from rows


def models_of(store: Store, plan_id: PlanId, members: "array[int]") -> list[str]:
    """Give the model of each member by ordinal; the rows are read only where the plan has several models."""
    with store.read() as tx:
        models = tx.execute(select(KINDS.c.model).where(KINDS.c.plan_id == plan_id).distinct()).scalars().all()
    if len(models) == 1:
        return [models[0]] * len(members)
    return [body.model for body in bodies(store, plan_id, members)]


def tries_of(tx: Transaction, plan_id: PlanId, members: "array[int]") -> dict[int, int]:
    """Give the tries of those members that had any."""
    query = select(REQUESTS.c.seq, REQUESTS.c.tries).where(
        REQUESTS.c.plan_id == plan_id,
        REQUESTS.c.seq >= members[0],
        REQUESTS.c.seq <= members[-1],
        REQUESTS.c.tries > 0,
    )
    return dict(tx.execute(query).all())


def ceilings_of(tx: Transaction, plan_id: PlanId, seqs: Sequence[int]) -> list[int]:
    """Give the ceilings of some requests."""
    found: list[int] = []
    for start in range(0, len(seqs), PAGE):
        query = select(REQUESTS.c.ceiling_nanos).where(
            REQUESTS.c.plan_id == plan_id, REQUESTS.c.seq.in_(seqs[start : start + PAGE])
        )
        found.extend(tx.execute(query).scalars())
    return found


def count_try(tx: Transaction, plan_id: PlanId, seq: int) -> None:
    """Count one more try of a request."""
    where = (REQUESTS.c.plan_id == plan_id) & (REQUESTS.c.seq == seq)
    tx.execute(REQUESTS.update().where(where).values(tries=REQUESTS.c.tries + 1))


def set_requests(store: Store, tx: Transaction, plan_id: PlanId, seqs: Sequence[int], *, state: str, was: str) -> int:
    """Move requests from one state to another; gives how many."""
    return store.bulk(
        tx,
        "update requests set state = ? where plan_id = ? and seq = ? and state = ?",
        [(state, plan_id, seq, was) for seq in seqs],
    )


def set_all(tx: Transaction, plan_id: PlanId, *, state: str, was: Sequence[str]) -> int:
    """Move every request of a plan that is in one of some states to another; gives how many."""
    return tx.execute(
        update(REQUESTS).where(REQUESTS.c.plan_id == plan_id, REQUESTS.c.state.in_(was)).values(state=state)
    ).rowcount


def landed_ordinals(tx: Transaction, shard_id: str) -> list[int]:
    """List the ordinals of a shard whose outcome is written."""
    return list(tx.execute(select(ATTEMPTS.c.ordinal).where(ATTEMPTS.c.shard_id == shard_id)).scalars())


def unreadable_ordinals(tx: Transaction, shard_id: str) -> list[int]:
    """List the ordinals of a shard whose row came and could not be read: they may have been bought."""
    query = select(ATTEMPTS.c.ordinal).where(ATTEMPTS.c.shard_id == shard_id, ATTEMPTS.c.code == "row_unreadable")
    return list(tx.execute(query).scalars())


def keys_of(tx: Transaction, plan_id: PlanId) -> set[str]:
    """List the keys of a plan: of an adopted batch, at most a hundred thousand."""
    return set(tx.execute(select(REQUESTS.c.key).where(REQUESTS.c.plan_id == plan_id)).scalars())


def landed_succeeded(tx: Transaction, shard_id: str) -> int:
    """Count the answers of a shard that are written."""
    query = select(func.count()).where(ATTEMPTS.c.shard_id == shard_id, ATTEMPTS.c.outcome == "succeeded")
    return int(tx.execute(query).scalar_one())


def land(
    store: Store, tx: Transaction, *, shard_id: ShardId, plan_id: PlanId, rows: Sequence[Landed], at: datetime
) -> None:
    """Write a block of outcomes and the requests' new states, in the caller's transaction with their settlement."""
    moment = instant_text(at)
    store.insert(
        tx,
        "attempts (shard_id, ordinal, plan_id, seq, outcome, code, message, answer_at, input_tokens,"
        " cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens, cache_write_30m_tokens,"
        ' cache_write_12h_tokens, output_tokens, reasoning_tokens, cost_nanos, "at")',
        "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                shard_id,
                row.ordinal,
                plan_id,
                row.seq,
                row.outcome,
                foreign_text(row.code, CODE_CHARACTERS_MAX),
                foreign_text(row.message, MESSAGE_CHARACTERS_MAX),
                row.answer_at,
                *_tokens(row.usage),
                row.cost,
                moment,
            )
            for row in rows
        ],
    )
    store.bulk(
        tx,
        "update requests set state = ?, tries = tries + 1, shard_id = ?, ordinal = ? where plan_id = ? and seq = ?",
        [(row.state, shard_id, row.ordinal, plan_id, row.seq) for row in rows],
    )


def _tokens(usage: Usage | None) -> tuple[int, ...]:
    if usage is None:
        return (0, 0, 0, 0, 0, 0, 0, 0)
    return (
        usage.input_tokens,
        usage.cache_read_tokens,
        usage.cache_write_5m_tokens,
        usage.cache_write_1h_tokens,
        usage.cache_write_30m_tokens,
        usage.cache_write_12h_tokens,
        usage.output_tokens,
        usage.reasoning_tokens,
    )


def send_again(tx: Transaction, plan_id: PlanId, never: Sequence[str]) -> tuple[int, int]:
    """Let failed and canceled requests go out again but for those whose error code can never succeed; counts of both."""
    deciding = (ATTEMPTS.c.shard_id == REQUESTS.c.shard_id) & (ATTEMPTS.c.ordinal == REQUESTS.c.ordinal)
    hopeless = select(ATTEMPTS.c.seq).where(deciding, ATTEMPTS.c.code.in_(never)).exists()
    over = (REQUESTS.c.plan_id == plan_id) & REQUESTS.c.state.in_(["failed", "canceled"])
    again = tx.execute(update(REQUESTS).where(over, ~hopeless).values(state="retry", tries=0)).rowcount
    query = (
        select(func.count()).select_from(REQUESTS).where(REQUESTS.c.plan_id == plan_id, REQUESTS.c.state == "failed")
    )
    return again, int(tx.execute(query).scalar_one())


def unanswered(tx: Transaction, plan_id: PlanId, wave: int) -> int:
    """Count requests of a wave that have no outcome which stands."""
    open_states = ["pending", "trying", "retry"]
    query = select(func.count()).where(
        REQUESTS.c.plan_id == plan_id, REQUESTS.c.wave == wave, REQUESTS.c.state.in_(open_states)
    )
    return int(tx.execute(query).scalar_one())


def forget_tries(tx: Transaction, plan_id: PlanId, wave: int) -> None:
    """Let requests of a wave that have no outcome begin to count their tries anew."""
    where = (REQUESTS.c.plan_id == plan_id) & (REQUESTS.c.wave == wave) & (REQUESTS.c.tries > 0)
    tx.execute(update(REQUESTS).where(where, REQUESTS.c.state.in_(["pending", "trying", "retry"])).values(tries=0))


def held_open(tx: Transaction, run_id: str) -> int:
    """Sum up what is held for shards of a run that are not over: it comes back, or is spent."""
    query = select(func.coalesce(func.sum(HOLDS.c.remaining_nanos), 0)).join_from(
        HOLDS, SHARDS, SHARDS.c.hold_id == HOLDS.c.hold_id
    )
    open_states = [AttemptState.OUT, AttemptState.RESERVED]
    return int(tx.execute(query.where(SHARDS.c.run_id == run_id, SHARDS.c.state.in_(open_states))).scalar_one())


@dataclass(frozen=True, slots=True, kw_only=True)
class RealtimeSpan:
    """How many requests of a wave were bought in real time, from when until when."""

    wave: int
    requests: int
    begun_at: datetime
    ended_at: datetime


def realtime_spans(tx: Transaction, run_id: str) -> list[RealtimeSpan]:
    """Read how long a run's real-time blocks took, by wave; those that went alone as the first of their kind apart."""
    query = (
        select(
            SHARDS.c.wave,
            func.sum(SHARDS.c.requests).label("requests"),
            func.min(SHARDS.c.created_at).label("begun_at"),
            func.max(SHARDS.c.landed_at).label("ended_at"),
        )
        .where(
            SHARDS.c.run_id == run_id,
            SHARDS.c.route == "realtime",
            SHARDS.c.kind == "",
            SHARDS.c.state == AttemptState.LANDED,
        )
        .group_by(SHARDS.c.wave)
    )
    return [
        RealtimeSpan(wave=row.wave, requests=int(row.requests), begun_at=row.begun_at, ended_at=row.ended_at)
        for row in tx.execute(query)
    ]


def out_count(tx: Transaction, run_id: str) -> int:
    """Count requests of a run that are in shards which have not landed, less what landed of them already."""
    query = select(func.coalesce(func.sum(SHARDS.c.requests), 0)).where(
        SHARDS.c.run_id == run_id,
        SHARDS.c.state.in_([AttemptState.OUT, AttemptState.RESERVED]),
    )
    landed = (
        select(func.count())
        .select_from(ATTEMPTS)
        .join(SHARDS, SHARDS.c.shard_id == ATTEMPTS.c.shard_id)
        .where(SHARDS.c.run_id == run_id, SHARDS.c.state == AttemptState.OUT)
    )
    return int(tx.execute(query).scalar_one()) - int(tx.execute(landed).scalar_one())


def landed_counts(tx: Transaction, run_id: str) -> dict[str, int]:
    """Count the outcomes stored here, by shard."""
    query = (
        select(ATTEMPTS.c.shard_id, func.count())
        .join_from(ATTEMPTS, SHARDS, SHARDS.c.shard_id == ATTEMPTS.c.shard_id)
        .where(SHARDS.c.run_id == run_id)
        .group_by(ATTEMPTS.c.shard_id)
    )
    return dict(tx.execute(query).all())


def moments(tx: Transaction, run_id: str) -> list[Moments]:
    """Read when each shard of a run was reserved for, sent, accepted, over, landed and delivered."""
    query = (
        select(
            SHARDS.c.route,
            SHARDS.c.created_at,
            SHARDS.c.landed_at,
            SHARDS.c.delivered_at,
            BATCHES.c.submitting_at,
            BATCHES.c.accepted_at,
            BATCHES.c.over_at,
        )
        .select_from(
            SHARDS.outerjoin(
                BATCHES, (BATCHES.c.shard_id == SHARDS.c.shard_id) & BATCHES.c.role.in_([Role.OURS, Role.ADOPTED])
            )
        )
        .where(SHARDS.c.run_id == run_id, SHARDS.c.state != AttemptState.DROPPED)
    )
    return [Moments(**row) for row in tx.execute(query).mappings()]


def next_look(tx: Transaction, run_id: str) -> datetime | None:
    """Give when the next batch of a run is looked at."""
    query = (
        select(func.min(BATCHES.c.next_at))
        .join_from(BATCHES, SHARDS, SHARDS.c.shard_id == BATCHES.c.shard_id)
        .where(SHARDS.c.run_id == run_id, BATCHES.c.landed_at.is_(None))
    )
    found: datetime | None = tx.execute(query).scalar()
    return found


def cheap_spent(tx: Transaction, run_id: str) -> list[tuple[str, str, str, Nanos]]:
    """Sum what answers of a run cost that were not bought in real time: (provider, model asked for, route, amount)."""
    query = (
        select(SHARDS.c.provider, REQUESTS.c.model, SHARDS.c.route, func.sum(ATTEMPTS.c.cost_nanos).label("amount"))
        .select_from(ATTEMPTS)
        .join(SHARDS, SHARDS.c.shard_id == ATTEMPTS.c.shard_id)
        .join(REQUESTS, (REQUESTS.c.plan_id == ATTEMPTS.c.plan_id) & (REQUESTS.c.seq == ATTEMPTS.c.seq))
        .where(SHARDS.c.run_id == run_id, SHARDS.c.route != "realtime")
        .group_by(SHARDS.c.provider, REQUESTS.c.model, SHARDS.c.route)
    )
    return [(row.provider, row.model, row.route, Nanos(int(row.amount))) for row in tx.execute(query)]
