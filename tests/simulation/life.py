"""One whole life from one seed: a plan, a run, faults, crashes between any two writes, and a judge at the end.

The provider is the simulator in this process, on its own clock; its bill judges our books. The same seed gives the same
life. Nothing here sleeps.
"""

import asyncio
import hashlib
import json
import random
import shutil
import sqlite3
import tempfile
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from functools import lru_cache
from pathlib import Path, PurePosixPath

import msgspec
from sqlalchemy import select

from lowtide import points, worker
from lowtide.catalog import Catalog
from lowtide.clock import SimulatorClock
from lowtide.dispatch import RunId
from lowtide.engine import Engine, Planned
from lowtide.errors import Problem
from lowtide.money import Nanos
from lowtide.reports import RunReport
from lowtide.request import Neutral, Request, RequestKey
from lowtide.settings import load_catalog, read_settings
from lowtide.store import Store, _machine, books, calls
from lowtide.store.schema import ATTEMPTS, HOLDS, REQUESTS, SHARDS, TRANSFERS
from lowtide.testing import LoopbackTransport
from lowtide.workload import Answer, Answers, Delivery, Document, LaterWave, Scope, WorkloadOptions
from lowtide_simulator.app import create_app
from lowtide_simulator.bill import cost, half_even, line_rates
from lowtide_simulator.faults import ConnectionCut, Rule
from lowtide_simulator.in_process import InProcess
from lowtide_simulator.openai.batches import Status
from lowtide_simulator.openai.work import DELIVERY
from lowtide_simulator.world import Turnaround, World, WorldOptions

MODEL = "claude-haiku-4-5"
GPT = "gpt-6-luna"
TURNS_MAX = 4000
STRANGER = "someone-else"
COMPILED: dict = {}


@lru_cache
def catalog() -> Catalog:
    """Read the price files once: a life has many processes."""
    return load_catalog(read_settings({}, {}, Path("/")))


@lru_cache
def fresh_store() -> bytes:
    """A store that was just made, to be copied: a life need not migrate one."""
    with tempfile.TemporaryDirectory() as folder:
        Store(Path(folder), durable=False).open().close()
        with sqlite3.connect(Path(folder) / "store.db") as database:
            database.execute("pragma wal_checkpoint(truncate)")
        database.close()
        return (Path(folder) / "store.db").read_bytes()


worker.IDLE = timedelta(days=2)  # nobody else writes to these stores: no need to look in between


def digest_of(body: bytes) -> str:
    """Give the digest that the simulator's bill has for a body: what is asked, but for how the answer is delivered."""
    bare = {name: value for name, value in json.loads(body).items() if name not in DELIVERY}
    return hashlib.sha256(msgspec.json.encode(bare, order="deterministic")).hexdigest()


class Crash(BaseException):
    """The process is gone. Nothing may catch it."""


class Tree:
    """A workload of waves: leaves, then parents that quote them. Keys are ``w{wave}-{number}``.

    Leaves ask the models in turn, parents the first: a later wave asks nobody whom the plan did not name.
    """

    name = "tree"
    goes_on = False
    divides = False

    def __init__(self, widths: tuple[int, ...], models: tuple[str, ...] = (MODEL,)) -> None:
        self.widths = widths
        self.models = models

    def accepts(self, source: Path) -> bool:
        return source.suffix == ".tree"

    def read(self, source: Path, options: WorkloadOptions) -> "Tree":
        return self

    def requests(self) -> Iterator[Request | Problem]:
        yield from self._wave(0, None)

    def scope(self) -> Scope:
        later = tuple(
            (
                LaterWave(
                    kind=f"kind{wave % 2}",
                    requests=width,
                    input_bytes_likely=2000 * width,
                    input_bytes_ceiling=40_000 * width,
                    output_tokens_ceiling=60 * width,
                ),
            )
            for wave, width in enumerate(self.widths)
            if wave
        )
        return Scope(workload="tree", frozen=b"", waves=len(self.widths), later=later)

    def digest(self) -> str:
        return "0" * 64

    def next_wave(self, scope: Scope, wave: int, answers: Answers) -> Iterator[Request]:
        yield from self._wave(wave, answers)

    def _wave(self, wave: int, answers: Answers | None) -> Iterator[Request]:
        for number in range(self.widths[wave]):
            children = self.children(wave, number)
            texts = []
            for child in children:
                found = answers.get(child) if answers is not None else None
                assert found is not None, f"{child} is not finished when wave {wave} is made"
                assert isinstance(found, Answer)
                texts.append(found.text or f"(gap: {found.reason})")
            yield Request(
                key=RequestKey(f"w{wave}-{number}"),
                model=self.models[0 if wave else number % len(self.models)],
                kind=f"kind{wave % 2}",
                body=Neutral(text=f"node {wave}.{number}: " + " | ".join(texts), max_output_tokens=60),
                depends_on=tuple(children),
            )

    def children(self, wave: int, number: int) -> list[RequestKey]:
        if wave == 0:
            return []
        below = self.widths[wave - 1]
        return [RequestKey(f"w{wave - 1}-{child}") for child in range(below) if child % self.widths[wave] == number]

    def place(self, scope: Scope, key: RequestKey) -> PurePosixPath | None:
        return PurePosixPath(key, "text.md")

    def document(self, scope: Scope, delivery: Delivery) -> Document:
        path = self.place(scope, delivery.key)
        assert path is not None
        head = f"---\nkey: {delivery.key}\nplan: {delivery.plan_id}\ngaps: {list(delivery.gaps)}\n---\n"
        return Document(path=path, text=head + delivery.text)

    def indexes(self, scope: Scope, finished: dict[RequestKey, str]) -> Iterator[Document]:
        yield Document(path=PurePosixPath("index.md"), text="lowtide\n" + "\n".join(sorted(finished)))


@dataclass(kw_only=True)
class Life:
    """A life. ``crash_chance`` is the chance to crash at each named point and around each commit.

    ``models`` say who is asked, in turn: a model belongs to one provider here.
    """

    seed: int
    widths: tuple[int, ...] = (7,)
    models: tuple[str, ...] = (MODEL,)
    cap_share: float | None = None
    crash_chance: float = 0.0
    rules: tuple[Rule, ...] = ()
    options: dict = field(default_factory=dict)
    settings: dict = field(default_factory=dict)
    crash_at: dict[str, int] = field(default_factory=dict)
    crashes: int = 0
    hit: Counter = field(default_factory=Counter)
    over_cap: str = ""
    twins_expected: bool = False
    stranger_at: str = ""

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        self.folder = Path(tempfile.mkdtemp(prefix=f"life{self.seed}-"))
        self.world = World(
            WorldOptions(
                **{
                    "seed": self.seed,
                    "turnaround": Turnaround.parse("20-1200"),
                    "faults": self.rules,
                    **self.options,
                }
            )
        )
        self.app = create_app(self.world)
        self.tree = Tree(self.widths, self.models)
        self.lives = 0
        self.run_id: RunId | None = None
        (self.folder / "in.tree").write_text("tree")
        (self.folder / "store").mkdir()
        (self.folder / "store" / "store.db").write_bytes(fresh_store())

    # one process after another

    def engine(self) -> Engine:
        self.lives += 1
        settings = read_settings(
            {
                "simulator": "http://127.0.0.1:1",
                "store": str(self.folder / "store"),
                "poll_seconds_min": 600,
                "poll_seconds_max": 20_000,
                "route": "batch",
                **self.settings,
            },
            {"HOME": str(self.folder)},
            self.folder,
        )
        store = Store(self.folder / "store", durable=False, on_write=self._on_write).open()
        # Every process of a life writes the same statements: what one has compiled the next may use.
        store._writing = store._writing.execution_options(compiled_cache=COMPILED)
        store._reading = store._reading.execution_options(compiled_cache=COMPILED)
        store.set_money(simulated=True)
        transport = LoopbackTransport(self.app, cut=ConnectionCut)
        engine = Engine(
            settings=settings,
            store=store,
            transports={"anthropic": transport, "openai": transport},
            clock=SimulatorClock(transport, "life", seed=self.seed * 1000 + self.lives),
            catalog=catalog(),
            workloads={"tree": self.tree},
            environment={},
        )
        # A name whose process is certainly gone once we crashed: its claims are free at once.
        engine._worker_name = f"{_machine()}:{4194304 + self.lives}:1:{self.lives}"
        return engine

    def _on_write(self, when: str) -> None:
        self._maybe(f"write.{when}")
        if when == "after" and self.run_id is not None and not self.over_cap:
            self._watch_cap()

    def _watch_cap(self) -> None:
        with self.current.store.read() as tx:
            account = books.find_account(tx, f"run:{self.run_id}")
            bypass = tx.execute(select(TRANSFERS.c.transfer_id).where(TRANSFERS.c.reason == "duplicate")).first()
        if account is not None and account.limit is not None and account.committed > account.limit and not bypass:
            self.over_cap = f"committed {account.committed} of {account.limit}"

    def _maybe(self, name: str) -> None:
        self.hit[name] += 1
        if name == self.stranger_at and self.hit[name] == 1:
            stranger = threading.Thread(target=self._be_a_stranger)
            stranger.start()
            stranger.join()
        if self.crash_at.get(name) == self.hit[name] or self.chance.random() < self.crash_chance:
            self.crashes += 1
            raise Crash(name)

    def _be_a_stranger(self) -> None:
        """Another program on the same key creates a batch of the same size at the worst moment."""
        params = {"model": MODEL, "max_tokens": 9, "messages": [{"role": "user", "content": "mine"}]}
        count = self.widths[0] - 1
        requests = [{"custom_id": f"{STRANGER}-{at:06d}", "params": params} for at in range(count)]
        InProcess(self.world).ask("POST", "/v1/messages/batches", {"requests": requests})

    # living

    def live(self) -> RunReport:
        """Live to the end, over any number of processes."""
        points.stop_with(self._maybe)
        try:
            return asyncio.run(self._live())
        finally:
            points.stop_with(None)

    async def _live(self) -> RunReport:
        plan_id = ""
        cap: Nanos | None = None
        for _ in range(400):
            chance, self.crash_chance = self.crash_chance, 0.0
            engine = self.current = self.engine()
            self.crash_chance = chance
            try:
                if not plan_id:
                    planned = await engine.plan(self.folder / "in.tree", options=WorkloadOptions(model=MODEL))
                    plan_id = planned.plan.plan_id
                    if self.cap_share is not None:
                        span = planned.plan.cost_ceiling - planned.plan.cost_likely
                        cap = Nanos(planned.plan.cost_likely + int(span * self.cap_share))
                if self.run_id is None:
                    self.run_id = await engine.start_run(plan_id, cap=cap, out=self.folder / "out", fresh=True)
                await engine.resume(self.run_id)
                report = await self._work(engine)
                if report.state == "paused" and "cap" in report.reason:
                    assert cap is not None
                    cap = Nanos(report.spent + report.held + max(report.plan_ceiling, 2_000_000))
                    await engine.raise_cap(self.run_id, cap)
                    continue
                if report.over:
                    return report
                assert report.state == "paused", f"{report.state}: {report.reason}"
            except Crash:
                continue
            finally:
                engine.store.close()
        raise AssertionError("a life without end")

    async def plan_again(self) -> Planned:
        """Plan the same input once more, in the same store."""
        engine = self.engine()
        try:
            return await engine.plan(self.folder / "in.tree", options=WorkloadOptions(model=MODEL))
        finally:
            engine.store.close()

    async def _work(self, engine: Engine) -> RunReport:
        assert self.run_id is not None
        turns = 0

        def count(_turn: object) -> None:
            nonlocal turns
            turns += 1
            assert turns < TURNS_MAX, "turns without end"

        await engine.worker([self.run_id], on_turn=count).work()
        return await engine.run_report(self.run_id)

    # judging

    def judge(self, report: RunReport) -> None:
        """Every promise that money and requests can break."""
        store = Store(self.folder / "store", durable=False).open()
        try:
            with store.read() as tx:
                assert books.imbalances(tx) == []
                states = Counter(
                    tx.execute(select(REQUESTS.c.state).where(REQUESTS.c.plan_id == report.plan_id)).scalars()
                )
                holds = tx.execute(select(HOLDS).where(HOLDS.c.remaining_nanos > 0)).all()
                attempts = tx.execute(
                    select(ATTEMPTS, SHARDS.c.route).join(SHARDS, SHARDS.c.shard_id == ATTEMPTS.c.shard_id)
                ).all()
                settled = Counter()
                for row in tx.execute(select(TRANSFERS).where(TRANSFERS.c.verb == "settle")):
                    settled[row.shard_id, row.ordinal] += row.amount_nanos
                doubts = calls.doubts(tx)
                bodies = tx.execute(select(REQUESTS.c.seq, REQUESTS.c.body_at)).all()
            self.digests = {row.seq: digest_of(store.body(row.body_at)) for row in bodies}
        finally:
            store.close()
        assert not self.over_cap, self.over_cap
        assert set(states) <= {"succeeded", "failed", "canceled"}, states
        assert sum(states.values()) == sum(self.widths) or report.state == "canceled", states
        assert {row.reason for row in holds} <= {"doubt", "row_missing"}, "a hold without a reason is left"
        self._judge_bill(report, settled, holds, attempts)
        self._judge_doubts(doubts, holds, attempts)
        self._judge_documents(states)

    def _judge_bill(self, report: RunReport, settled: Counter, holds: list, attempts: list) -> None:
        strangers_nanos = 0
        lines = [
            (line, half_even(cost(line.usage, rates := line_rates(line)), rates.denominator))
            for line in self.world.bill.lines()
        ]
        by_name: dict[tuple[str, int], list[int]] = defaultdict(list)
        realtime: list[int] = []
        for line, nanos in lines:
            if line.custom_id is None:
                realtime.append(nanos)
            elif line.custom_id.startswith(STRANGER):
                strangers_nanos += nanos
            else:
                shard, _, ordinal = line.custom_id.rpartition("-")
                by_name[shard, int(ordinal)].append(nanos)
        missing = 0
        for name, amounts in by_name.items():
            if settled[name] == sum(amounts):
                continue
            assert settled[name] == 0, f"{name} was billed {amounts} and settled {settled[name]}"
            missing += sum(amounts)
        held_missing = sum(row.remaining_nanos for row in holds if row.reason == "row_missing")
        assert missing <= held_missing, f"billed and never seen: {missing}, held for it: {held_missing}"
        settled_realtime = sum(row.cost_nanos for row in attempts if row.route != "batch")
        lost = sum(realtime) - settled_realtime
        held_doubt = sum(row.remaining_nanos for row in holds if row.reason == "doubt")
        assert 0 <= lost <= held_doubt, (
            f"real-time bill {sum(realtime)}, settled {settled_realtime}, doubt {held_doubt}"
        )
        assert report.spent == sum(settled.values())
        assert report.spent + missing + lost + strangers_nanos == self.world.bill.nanos, "the ledger equals the bill"
        shards_bought = Counter(batch for batch in self.batches_by_shard())
        twice = {shard: count for shard, count in shards_bought.items() if count > 1}
        assert not twice or self.twins_expected, f"a shard was bought twice: {twice}"

    def _judge_doubts(self, doubts: list[calls.DoubtRow], holds: list, attempts: list) -> None:
        """Promise 3: whatever was bought in real time and never settled is a doubt about that very request, held in full.

        A doubt has a hold of its own, and there is no such hold without a doubt: they can be settled by name.
        """
        assert not [doubt for doubt in doubts if doubt.call.hold_id is None], "a doubt without a hold"
        remaining = {row.hold_id: row.remaining_nanos for row in holds if row.reason == "doubt"}
        assert set(remaining) <= {doubt.call.hold_id for doubt in doubts}, "a hold for a doubt that nobody can settle"
        unsettled: dict[str, list[int]] = defaultdict(list)
        for line in self.world.bill.lines():
            if line.custom_id is None:
                unsettled[line.digest].append(half_even(cost(line.usage, rates := line_rates(line)), rates.denominator))
        for row in attempts:
            if row.route != "batch" and row.outcome == "succeeded":
                billed = unsettled[self.digests[row.seq]]
                assert row.cost_nanos in billed, f"settled {row.cost_nanos} for {row.seq}, billed {billed}"
                billed.remove(row.cost_nanos)
        held: dict[str, list[int]] = defaultdict(list)
        for doubt in doubts:
            held[self.digests[doubt.call.seq]].append(remaining[doubt.call.hold_id])
        for digest, amounts in unsettled.items():
            assert len(amounts) <= len(held[digest]), f"bought {len(amounts)} times unseen, {len(held[digest])} doubts"
            for amount, most in zip(
                sorted(amounts), sorted(held[digest])[-len(amounts) :] if amounts else [], strict=True
            ):
                assert amount <= most, f"{amount} was billed for a doubt that holds {most}"

    def bury(self) -> None:
        """Remove the folder of a life that ended well."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def batches_by_shard(self) -> Iterator[str]:
        """Name the shard of every batch of ours that may have been worked on, at either provider."""
        for batch in self.world.batches.values():
            name = batch.columns.custom_ids[0]
            yield name.rpartition("-")[0]
        for theirs in self.world.openai.batches.values():
            if theirs.status is not Status.FAILED and theirs.columns is not None:
                yield theirs.columns.custom_ids[0].rpartition("-")[0]

    def _judge_documents(self, states: Counter) -> None:
        found = list((self.folder / "out").rglob("text.md"))
        assert len(found) == states["succeeded"]
        assert not list((self.folder / "out").rglob("*.part"))


def batch_faults(chance: random.Random, *, create: str, listing: str, look: str, results: str) -> list[dict]:
    """List what may go wrong with a batch of either provider."""
    return [
        {"on": create, "fault": "lost_reply_after_commit", "times": chance.randint(1, 2)},
        {"on": create, "fault": "cut_before_commit", "times": chance.randint(1, 3)},
        {"on": create, "fault": "status", "status": 500, "times": 2},
        {"on": create, "fault": "status", "status": 429, "retry_after": 7, "times": 2},
        {"on": create, "fault": "items_errored", "share": 0.4, "times": 1, "error_type": "api_error"},
        {"on": create, "fault": "items_expired", "share": 0.4, "times": 1},
        {"on": create, "fault": "rows_missing", "rows": 2, "times": 1},
        {"on": create, "fault": "slow_list", "seconds": 40, "times": 1},
        {"on": listing, "fault": "status", "status": 503, "times": 3, "probability": 0.5},
        {"on": look, "fault": "status", "status": 500, "times": 9},
        {"on": look, "fault": "status", "status": 404, "times": 2},
        {"on": results, "fault": "cut_results_after_bytes", "bytes": chance.randint(0, 3000), "times": 3},
        {"on": results, "fault": "rows_twice", "rows": 2},
        {"on": results, "fault": "rows_missing", "rows": 1, "times": 2},
        {"on": results, "fault": "results_vanish", "times": 2},
        {"on": results, "fault": "truncated_utf8", "times": 1},
    ]


def call_faults(call: str) -> list[dict]:
    """List what may go wrong with a real-time call of either provider."""
    return [
        {"on": call, "fault": "lost_reply_after_commit", "times": 1, "probability": 0.5},
        {"on": call, "fault": "cut_before_commit", "times": 1, "probability": 0.5},
        {"on": call, "fault": "status", "status": 429, "times": 1},
        {"on": call, "fault": "status", "status": 500, "times": 1},
        {"on": call, "fault": "status", "status": 503, "times": 2},
    ]


BATCHES = "/v1/messages/batches"


def anthropic_faults(chance: random.Random) -> list[dict]:
    """List what may go wrong at Anthropic."""
    return [
        *batch_faults(
            chance,
            create=f"POST {BATCHES}",
            listing=f"GET {BATCHES}",
            look=f"GET {BATCHES}/{{id}}",
            results=f"GET {BATCHES}/{{id}}/results",
        ),
        {"on": f"POST {BATCHES}", "fault": "status", "status": 529, "times": 3},
        *call_faults("POST /v1/messages"),
        {"on": "POST /v1/messages", "fault": "status", "status": 529, "times": 2},
    ]


def openai_faults(chance: random.Random) -> list[dict]:
    """List what may go wrong at OpenAI: its batches lie in files, its windows are made in the background."""
    return [
        *batch_faults(
            chance,
            create="POST /v1/batches",
            listing="GET /v1/batches",
            look="GET /v1/batches/{id}",
            results="GET /v1/files/{id}/content",
        ),
        {"on": "POST /v1/batches", "fault": "output_file_late", "seconds": 400, "times": 1},
        {"on": "POST /v1/batches", "fault": "canceled_by_other", "seconds": 90, "times": 1},
        {"on": "POST /v1/files", "fault": "lost_reply_after_commit", "times": 1},
        {"on": "POST /v1/files", "fault": "cut_before_commit", "times": 2},
        {"on": "POST /v1/files", "fault": "status", "status": 500, "times": 2},
        *call_faults("POST /v1/responses"),
    ]


def window_faults() -> list[dict]:
    """List what may go wrong with what is made in the background."""
    return [
        {"on": "POST /v1/responses", "fault": "background_fails", "times": 2},
        {"on": "POST /v1/responses", "fault": "background_lost", "times": 1},
        {"on": "GET /v1/responses/{id}", "fault": "status", "status": 404, "times": 2},
        {"on": "GET /v1/responses/{id}", "fault": "status", "status": 500, "times": 3},
        {"on": "GET /v1/responses/{id}", "fault": "cut_before_commit", "times": 2},
    ]


def seeded(seed: int) -> Life:
    """Draw a life: its tree, who is asked and how, its cap, its faults and how often it crashes.

    Of ten lives four are Anthropic's batches, three OpenAI's, one batches of both, one real time and one a window.
    """
    chance = random.Random(seed ^ 0x5EED)
    widths = tuple(chance.randint(1, 9) for _ in range(chance.choice([1, 1, 2, 3])))
    lane = chance.choice(["batch"] * 8 + ["realtime", "window"])
    models = chance.choice([(MODEL,)] * 4 + [(GPT,)] * 3 + [(MODEL, GPT)]) if lane == "batch" else (GPT, MODEL)
    menu: list[dict] = []
    if MODEL in models:
        menu += anthropic_faults(chance)
    if GPT in models:
        menu += openai_faults(chance)
    if lane == "window":
        menu += window_faults()
    if lane == "realtime":
        menu = [rule for rule in menu if rule["on"] in ("POST /v1/messages", "POST /v1/responses")]
    picked = chance.sample(menu, chance.randint(0, 5))
    return Life(
        seed=seed,
        widths=widths,
        models=models,
        cap_share=chance.choice([None, 0.0, 0.3, 1.0]),
        crash_chance=chance.choice([0.0, 0.003, 0.008, 0.015]),
        rules=msgspec.convert(picked, tuple[Rule, ...]),
        options={"errored_share": chance.choice([0.0, 0.1]), "expired_share": chance.choice([0.0, 0.1])},
        settings={
            "batch_requests_max": chance.choice([100_000, 2, 3]),
            "route": {"window": chance.choice(["2h", "8h"])}.get(lane, lane),
            "doubts": chance.choice(["resend", "resend", "wait"]),
        },
    )


def told(life: Life) -> str:
    """Say a life for the message of a failure."""
    rules = ", ".join(f"{rule.on}: {rule.fault}" for rule in life.rules)
    way = f"{' '.join(life.models)} by {life.settings['route']}"
    return f"seed {life.seed}: {way}, widths {life.widths}, {life.crashes} crashes, faults [{rules}]"
