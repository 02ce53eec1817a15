"""Plans, their first wave and their requests as they are made. One statement a function."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import zstandard
from sqlalchemy import Row, delete, func, select

from lowtide.dispatch import PlanId
from lowtide.request import Endpoint, Native, Request, RequestKey
from lowtide.store import Store, Transaction
from lowtide.store.schema import KINDS, LOTS, PLANS, REQUESTS, RUNS, WAVES


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanRow:
    """A plan as it is kept. ``figures`` are the JSON bytes of the plan as it was shown; ``scope`` the workload's."""

    plan_id: PlanId
    title: str
    workload: str
    source: str
    source_digest: str
    model: str
    provider: str
    digest: str
    figures: bytes
    scope: bytes
    waves: int
    created_at: datetime
    sealed_at: datetime | None = None


class NewRequest(NamedTuple):
    """One row of a wave being made. ``body_at`` is the place of its body; money in nano-dollars.

    ``likely`` and ``ceiling`` are for the batch lane, ``realtime`` is the ceiling on every other one. ``input_tokens`` are
    likely, ``output_tokens`` the limit. A tuple in the order of ``insert_requests``, so that a row is made once.
    """

    seq: int
    wave: int
    key: str
    kind: str
    model: str
    body_at: int
    body_bytes: int
    likely: int
    ceiling: int
    realtime: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    lot: int = 0
    gaps: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lot:
    """Requests that may share a batch: of one provider and endpoint, and one model where it wants that.

    Those of a lower ``turn`` write into a cache what the others read: batches of the others wait until they are back.
    """

    provider: str
    model: str
    endpoint: Endpoint
    turn: int = 0


def insert_plan(tx: Transaction, row: PlanRow, *, sealed: bool) -> None:
    """Write a plan; its first wave may not be whole yet."""
    values = {name: getattr(row, name) for name in PlanRow.__slots__}
    values["scope"] = zstandard.compress(row.scope)
    tx.execute(PLANS.insert().values(**values, sealed=sealed))


def seal_plan(tx: Transaction, row: PlanRow, at: datetime) -> None:
    """Write what is known at the end of planning, and that the first wave is whole."""
    values = {name: getattr(row, name) for name in PlanRow.__slots__ if name not in ("plan_id", "sealed_at")}
    values["scope"] = zstandard.compress(row.scope)
    tx.execute(PLANS.update().where(PLANS.c.plan_id == row.plan_id).values(**values, sealed=True, sealed_at=at))


def find_plan(tx: Transaction, plan_id: str) -> PlanRow | None:
    """Read one whole plan."""
    row = tx.execute(select(PLANS).where(PLANS.c.plan_id == plan_id, PLANS.c.sealed)).one_or_none()
    return None if row is None else _plan(row)


def newest_without_run(tx: Transaction, limit: int) -> list[PlanRow]:
    """Read the newest whole plans that are no run."""
    query = select(PLANS).outerjoin(RUNS, RUNS.c.plan_id == PLANS.c.plan_id)
    query = query.where(PLANS.c.sealed, RUNS.c.run_id.is_(None))
    rows = tx.execute(query.order_by(PLANS.c.created_at.desc(), PLANS.c.plan_id).limit(limit))
    return [_plan(row) for row in rows]


def plans_of_source(tx: Transaction, source: str) -> Iterator[PlanRow]:
    """Read the whole plans of an input, newest first."""
    query = select(PLANS).where(PLANS.c.source == source, PLANS.c.sealed)
    yield from (_plan(row) for row in tx.execute(query.order_by(PLANS.c.created_at.desc(), PLANS.c.plan_id)))


def _plan(row: Row[Any]) -> PlanRow:
    values = {name: getattr(row, name) for name in PlanRow.__slots__}
    values["scope"] = zstandard.decompress(row.scope)
    return PlanRow(**values)


def drop_plan(tx: Transaction, plan_id: str) -> None:
    """Forget a plan that never became a run."""
    assert tx.execute(select(RUNS.c.run_id).where(RUNS.c.plan_id == plan_id)).first() is None
    for table in (REQUESTS, WAVES, KINDS, LOTS, PLANS):
        tx.execute(delete(table).where(table.c.plan_id == plan_id))


def unsealed_plans(tx: Transaction, before: datetime) -> list[str]:
    """List plans whose making was broken off before ``before``."""
    return list(tx.execute(select(PLANS.c.plan_id).where(~PLANS.c.sealed, PLANS.c.created_at < before)).scalars())


def insert_requests(store: Store, tx: Transaction, plan_id: str, rows: Sequence[NewRequest]) -> list[NewRequest]:
    """Write a block of requests; gives those whose key the plan has already (nothing is written for them)."""
    written = store.insert(
        tx,
        "requests (plan_id, seq, wave, key, kind, model, body_at, body_bytes, likely_nanos, ceiling_nanos,"
        " realtime_nanos, input_tokens, output_tokens, lot, gaps, state)",
        "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'pending')",
        [(plan_id, *row) for row in rows],
        "on conflict (plan_id, key) do nothing",
    )
    if written == len(rows):
        return []
    seqs = dict(
        tx.execute(
            select(REQUESTS.c.key, REQUESTS.c.seq).where(
                REQUESTS.c.plan_id == plan_id, REQUESTS.c.key.in_([row.key for row in rows])
            )
        ).all()
    )
    return [row for row in rows if seqs.get(row.key) != row.seq]


def reweigh(tx: Transaction, plan_id: str, key: str, **values: int) -> None:
    """Write what a request is likely to cost, and at most, once its prompt was counted; its plan is not whole yet."""
    tx.execute(REQUESTS.update().where(REQUESTS.c.plan_id == plan_id, REQUESTS.c.key == key).values(**values))


def drop_wave(tx: Transaction, plan_id: str, wave: int) -> None:
    """Forget a later wave whose making was broken off; nothing of it was sent."""
    tx.execute(delete(REQUESTS).where(REQUESTS.c.plan_id == plan_id, REQUESTS.c.wave == wave))


def drop_unsealed(tx: Transaction, plan_id: str, sealed_seq: int) -> None:
    """Forget requests of a wave that was never whole: they are not there, and must not be sent by a later retry."""
    tx.execute(delete(REQUESTS).where(REQUESTS.c.plan_id == plan_id, REQUESTS.c.seq > sealed_seq))


def insert_wave(tx: Transaction, plan_id: str, wave: int, *, first_seq: int, last_seq: int) -> None:
    """Say that a wave is whole."""
    tx.execute(WAVES.insert().values(plan_id=plan_id, wave=wave, first_seq=first_seq, last_seq=last_seq))


def last_seq(tx: Transaction, plan_id: str) -> int:
    """Give the last sequence number of the waves that are whole, -1 for none."""
    found = tx.execute(select(func.max(WAVES.c.last_seq)).where(WAVES.c.plan_id == plan_id)).scalar()
    return -1 if found is None else int(found)


def add_kinds(tx: Transaction, plan_id: str, kinds: Sequence[tuple[str, str, str]]) -> None:
    """Note the (kind, provider, model) of a wave; those known already stay as they are."""
    known = set(tx.execute(select(KINDS.c.kind, KINDS.c.provider, KINDS.c.model).where(KINDS.c.plan_id == plan_id)))
    for kind, provider, model in kinds:
        if (kind, provider, model) not in known:
            row = {"kind": kind, "provider": provider, "model": model, "passed": False, "refusals": 0}
            tx.execute(KINDS.insert().values(plan_id=plan_id, **row))


def tested_kinds(tx: Transaction, plan_id: str) -> list[tuple[str, str, str]]:
    """List the (kind, provider, model) of which one request was bought alone, or tried often enough."""
    query = select(KINDS.c.kind, KINDS.c.provider, KINDS.c.model).where(KINDS.c.plan_id == plan_id, KINDS.c.passed)
    return [(row.kind, row.provider, row.model) for row in tx.execute(query)]


def lots(tx: Transaction, plan_id: str) -> dict[Lot, int]:
    """Read the lots of a plan with their numbers."""
    rows = tx.execute(select(LOTS).where(LOTS.c.plan_id == plan_id).order_by(LOTS.c.lot))
    return {
        Lot(
            provider=row.provider,
            model=row.model,
            endpoint=Endpoint(row.endpoint),
            turn=row.turn,
        ): row.lot
        for row in rows
    }


def set_requests_max(tx: Transaction, plan_id: str, requests_max: int | None) -> None:
    """Say how many requests one batch takes at most, in lots of which that was not said yet."""
    where = (LOTS.c.plan_id == plan_id) & LOTS.c.requests_max.is_(None)
    tx.execute(LOTS.update().where(where).values(requests_max=requests_max))


def add_lots(tx: Transaction, plan_id: str, found: Mapping[Lot, int], *, packed_seq: int = -1) -> None:
    """Note the lots of a wave; those known already stay as they are."""
    known = lots(tx, plan_id)
    for lot, number in found.items():
        if lot not in known:
            values = {name: getattr(lot, name) for name in Lot.__slots__}
            tx.execute(LOTS.insert().values(plan_id=plan_id, lot=number, packed_seq=packed_seq, **values))


def set_routes(tx: Transaction, plan_id: str, routes: Mapping[int, str]) -> None:
    """Say how what waits of each lot goes out."""
    for lot, route in routes.items():
        tx.execute(LOTS.update().where(LOTS.c.plan_id == plan_id, LOTS.c.lot == lot).values(route=route))


def request_sources(tx: Transaction, plan_id: str, wave: int) -> Iterator[tuple[str, int]]:
    """Stream (key, body place) of one wave in order."""
    rows = tx.execute(
        select(REQUESTS.c.key, REQUESTS.c.body_at)
        .where(REQUESTS.c.plan_id == plan_id, REQUESTS.c.wave == wave)
        .order_by(REQUESTS.c.seq)
        .execution_options(yield_per=1000)
    )
    yield from rows


def kind_counts(tx: Transaction, plan_id: str) -> dict[tuple[str, str], int]:
    """Count the requests of the first wave by (kind, model)."""
    query = select(REQUESTS.c.kind, REQUESTS.c.model, func.count()).where(
        REQUESTS.c.plan_id == plan_id, REQUESTS.c.wave == 0
    )
    rows = tx.execute(query.group_by(REQUESTS.c.kind, REQUESTS.c.model))
    return {(kind, model): count for kind, model, count in rows}


@dataclass(frozen=True, slots=True, kw_only=True)
class Picked:
    """A request of a plan, without its body."""

    key: RequestKey
    kind: str
    model: str
    provider: str
    endpoint: Endpoint
    body_at: int

    def request(self, params: bytes) -> Request:
        """Make it a request again, with the body that it has."""
        body = Native(params=params, endpoint=self.endpoint)
        return Request(key=self.key, model=self.model, body=body, kind=self.kind, provider=self.provider)


def spread(tx: Transaction, plan_id: str, *, counts: Mapping[str, int], sizes: Mapping[str, int]) -> list[Picked]:
    """Pick ``sizes`` requests of the first wave, of each ``"kind model"``, evenly spread over its ``counts``."""
    wanted = {kind: {size * count // sizes[kind] for size in range(sizes[kind])} for kind, count in counts.items()}
    seen = dict.fromkeys(counts, 0)
    picked: list[Picked] = []
    query = select(
        REQUESTS.c.key,
        REQUESTS.c.kind,
        REQUESTS.c.model,
        REQUESTS.c.body_at,
        LOTS.c.provider,
        LOTS.c.endpoint,
    ).join(LOTS, (LOTS.c.plan_id == REQUESTS.c.plan_id) & (LOTS.c.lot == REQUESTS.c.lot))
    query = query.where(REQUESTS.c.plan_id == plan_id, REQUESTS.c.wave == 0).order_by(REQUESTS.c.seq)
    for row in tx.execute(query.execution_options(yield_per=1000)):
        kind = f"{row.kind} {row.model}"
        if seen[kind] in wanted[kind]:
            picked.append(
                Picked(
                    key=RequestKey(row.key),
                    kind=row.kind,
                    model=row.model,
                    provider=row.provider,
                    endpoint=Endpoint(row.endpoint),
                    body_at=row.body_at,
                )
            )
        seen[kind] += 1
    return picked


def figures_of(row: PlanRow) -> dict[str, object]:
    """Read the plan's figures as JSON."""
    found: dict[str, object] = json.loads(row.figures)
    return found
