"""Small worlds in a store: a plan, a run, requests, a shard, in as few words as a test wants to read."""

from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from lowtide.attempt import AttemptState
from lowtide.batch import BatchState
from lowtide.dispatch import BatchId, PlanId, Role, RunId
from lowtide.ledger import AccountId, Reason
from lowtide.money import Nanos
from lowtide.packing import ShardId, pack_members
from lowtide.request import Endpoint
from lowtide.store import Store, books, calls, plans, runs, shards
from lowtide.store.plans import Lot, NewRequest, PlanRow
from lowtide.store.shards import Landed, ShardRow
from lowtide.usage import Usage

NOW = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
PLAN = PlanId("p_1")
RUN = RunId("r_1")
SHARD = ShardId("lt00000000000001")
PAYER = AccountId("run:r_1")
PAYEE = AccountId("provider:anthropic")
DOOR = "anthropic:default"
MODEL = "claude-sonnet-5-5"
LOT = Lot(provider="anthropic", model="", endpoint=Endpoint.MESSAGES)


@dataclass
class Home:
    """Where a store lives; every store opened here is closed at the end."""

    kind: str
    folder: Path
    url: str
    stores: list[Store] = field(default_factory=list)

    def store(self, on_write: Callable[[str], None] | None = None, *, durable: bool = False) -> Store:
        store = Store(self.folder, url=self.url, durable=durable, on_write=on_write)
        self.stores.append(store)
        return store

    def open(self, on_write: Callable[[str], None] | None = None) -> Store:
        return self.store(on_write).open()

    def close(self) -> None:
        for store in self.stores:
            store.close()


def plan_row(plan_id: str = PLAN, **values: object) -> PlanRow:
    row = PlanRow(
        plan_id=PlanId(plan_id),
        title="folder",
        workload="batch",
        source="/in.jsonl",
        source_digest="s" * 64,
        model=MODEL,
        provider="anthropic",
        digest="d" * 64,
        figures=b'{"requests": 3}',
        scope=b"frozen " * 20,
        waves=1,
        created_at=NOW,
    )
    return replace(row, **values)  # type: ignore[arg-type]


def new_request(seq: int, **values: object) -> NewRequest:
    row = NewRequest(
        seq=seq,
        wave=0,
        key=f"key {seq}",
        kind="line",
        model=MODEL,
        body_at=1 << 40 | seq,
        body_bytes=1000,
        likely=50,
        ceiling=100,
        realtime=200,
        input_tokens=30,
        output_tokens=60,
    )
    return row._replace(**values)  # type: ignore[arg-type]


def add_plan(store: Store, count: int = 3, plan_id: str = PLAN, **values: object) -> None:
    """Write a sealed plan of so many requests."""
    with store.write() as tx:
        plans.insert_plan(tx, plan_row(plan_id), sealed=True)
        assert not plans.insert_requests(store, tx, plan_id, [new_request(seq, **values) for seq in range(count)])
        plans.insert_wave(tx, plan_id, 0, first_seq=0, last_seq=count - 1)
        plans.add_kinds(tx, plan_id, [("line", "anthropic", MODEL)])
        plans.add_lots(tx, plan_id, {LOT: 0})


def add_run(
    store: Store, count: int = 3, *, limit: int | None = None, plan_id: str = PLAN, run_id: str = RUN
) -> runs.RunRow:
    """Write a plan and its run, with accounts and a door."""
    add_plan(store, count, plan_id)
    with store.write() as tx:
        runs.insert_run(
            tx, run_id=RunId(run_id), plan_id=PlanId(plan_id), out="/out", credential="default", created_at=NOW
        )
        books.open_account(tx, AccountId(f"run:{run_id}"), None if limit is None else Nanos(limit))
        books.open_account(tx, PAYEE, None)
        runs.open_door(tx, DOOR)
    return run(store, run_id)


def run(store: Store, run_id: str = RUN) -> runs.RunRow:
    with store.read() as tx:
        found = runs.find_run(tx, run_id)
    assert found is not None
    return found


def add_shard(
    store: Store,
    seqs: Sequence[int] = (0, 1, 2),
    *,
    shard_id: str = SHARD,
    run_id: str = RUN,
    plan_id: str = PLAN,
    route: str = "batch",
    provider: str = "anthropic",
    kind: str = "",
    state: AttemptState = AttemptState.OUT,
    amount: int = 300,
) -> ShardRow:
    """Reserve for a shard and write it."""
    with store.write() as tx:
        hold_id = books.reserve(
            tx,
            payer=AccountId(f"run:{run_id}"),
            payee=PAYEE,
            amount=Nanos(amount),
            reason=Reason.BATCH,
            shard_id=shard_id,
            at=NOW,
        )
        assert hold_id is not None
        row = ShardRow(
            shard_id=ShardId(shard_id),
            run_id=RunId(run_id),
            plan_id=PlanId(plan_id),
            wave=0,
            provider=provider,
            lot=0,
            route=route,
            kind=kind,
            members=array("q", seqs),
            requests=len(seqs),
            bytes=1000 * len(seqs),
            hold_id=hold_id,
            state=state,
        )
        shards.insert_shard(tx, row, members=pack_members(list(seqs)), created_at=NOW, state=state)
    return row


def add_batch(store: Store, shard_id: str = SHARD, **values: object) -> BatchId:
    state, role = values.pop("state", BatchState.PLANNED), values.pop("role", Role.OURS)
    total = values.pop("total", 3)
    with store.write() as tx:
        return shards.insert_batch(
            tx,
            shard_id=ShardId(shard_id),
            provider="anthropic",
            total=total,  # type: ignore[arg-type]
            role=role,  # type: ignore[arg-type]
            state=state,  # type: ignore[arg-type]
            values=values,
        )


def add_calls(store: Store, ordinals: Sequence[int], shard_id: str = SHARD, **values: object) -> None:
    """Write the intent of real-time calls, and whatever else is known of them."""
    with store.write() as tx:
        row = shards.shard(tx, shard_id)
        intents = [(row.shard_id, ordinal, row.members[ordinal]) for ordinal in ordinals]
        calls.begin(store, tx, row.plan_id, intents, NOW)
        for ordinal in ordinals:
            if values:
                calls.set_call(tx, shard_id, ordinal, **values)


def landed(ordinal: int, **values: object) -> Landed:
    row = Landed(
        ordinal=ordinal,
        seq=ordinal,
        outcome="succeeded",
        code="end_turn",
        message="",
        answer_at=2 << 40 | ordinal,
        usage=Usage(
            input_tokens=100,
            output_tokens=20,
            cache_read_tokens=7,
            cache_write_5m_tokens=5,
            cache_write_1h_tokens=3,
            reasoning_tokens=2,
        ),
        cost=Nanos(40),
        state="succeeded",
    )
    return row._replace(**values)  # type: ignore[arg-type]


def land(store: Store, rows: Sequence[Landed], *, shard_id: str = SHARD, plan_id: str = PLAN) -> None:
    with store.write() as tx:
        shards.land(store, tx, shard_id=ShardId(shard_id), plan_id=PlanId(plan_id), rows=rows, at=NOW)
