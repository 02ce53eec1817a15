"""What caching by arithmetic pays, against no caching, caching everywhere, and the best possible; paid in the simulator.

python bench/caching.py [WORLD ...]
python bench/caching.py live [WORLD ...]    the same worlds in batches, bought by lowtide itself, caching on and off

Each world is a set of requests. They are bought three times, each time from a fresh simulator, whose prompt caches behave
as was measured (real-time and batch caches apart, a batch's entries readable only after it has ended), and its bill is
read. Answers have one token, so what is compared is the input. Lowtide judges by its own estimate of tokens and by its
stated priors; it has learned nothing from this simulator. The best possible is a bound by arithmetic: every prefix is
written once at the cheapest write price and read by all others, or left plain, whatever the order and the time.
"""

import asyncio
import json
import math
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from importlib import resources
from pathlib import Path
from typing import Any

from measure import WORDS, table

from lowtide.caching import (
    CacheMode,
    HitBasis,
    HitRate,
    Judgement,
    PrefixId,
    Rates,
    Tally,
    Terms,
    first_of_each,
    judge,
    marks_of,
    prior,
    ranks,
    rates_of,
    style_of,
)
from lowtide.catalog import PACKAGED, Lane, Model
from lowtide.catalog.parse import parse
from lowtide.clock import SimulatorClock
from lowtide.engine import Engine
from lowtide.estimate import likely_tokens
from lowtide.money import ZERO
from lowtide.plan import Plan
from lowtide.reports import RunReport
from lowtide.request import Neutral, Request, RequestKey
from lowtide.settings import load_catalog, read_settings
from lowtide.store import Store
from lowtide.testing import LoopbackTransport
from lowtide.workload import Answer, Scope, WorkloadOptions
from lowtide.workloads.bpmn import WORKLOAD
from lowtide_simulator.app import create_app
from lowtide_simulator.faults import ConnectionCut
from lowtide_simulator.in_process import HEADERS, OPENAI_HEADERS, InProcess
from lowtide_simulator.world import Turnaround, World, WorldOptions

CORPUS = Path(__file__).parents[1] / "../shared/data/bpmn"
SHIPPED = Path(__file__).parents[1] / "src/lowtide/workloads/bpmn/demo"
DAY = date(2026, 11, 22)
START = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
POLL = timedelta(minutes=2)
CHILD_BYTES = 2_400
BYTES_PER_TOKEN = {"anthropic": 2.7, "openai": 4.0}  # as the simulator counts
OPENAI_OUTPUT_TOKENS = 16  # the fewest that Responses takes
Waves = Callable[[], Iterator[list[Neutral]]]


@dataclass(frozen=True)
class Scene:
    """One world: its requests in waves, and how they are bought."""

    name: str
    waves: Waves
    model: str = "claude-sonnet-5-5"
    provider: str = "anthropic"
    lane: Lane = Lane.BATCH
    turnaround: str = "600~0.7"  # median seconds and spread, as the simulator takes it
    spread: timedelta = timedelta(minutes=25)  # what nine in ten of such batches keep
    rounds: int = 1  # how often there is time to wait for first requests


@dataclass
class Paid:
    """What one policy paid: exact dollars, batches bought, virtual time from first to last."""

    dollars: Fraction = Fraction(0)
    batches: int = 0
    took: timedelta = timedelta(0)
    expected: Fraction | None = None
    why: list[str] = field(default_factory=list)


# worlds


def prose(chance: random.Random, tokens: int) -> str:
    """Words that make about so many tokens in the simulator's newer Claude; for OpenAI ask for half as many again."""
    text = " ".join(chance.choices(WORDS, k=tokens))
    return text[: int(tokens * BYTES_PER_TOKEN["anthropic"])]


def one_prefix(count: int, prefix_tokens: int, tail_tokens: int) -> Waves:
    """So many requests that all begin alike."""

    def waves() -> Iterator[list[Neutral]]:
        chance = random.Random(3)
        system = prose(chance, prefix_tokens) if prefix_tokens else ""
        yield [Neutral(system=system, text=prose(chance, tail_tokens), max_output_tokens=1) for _ in range(count)]

    return waves


def nested(systems: int, parts: int, nodes: int, tokens: tuple[int, int, int]) -> Waves:
    """A system text for all, a part shared by some, a node's own text; requests come shuffled."""

    def waves() -> Iterator[list[Neutral]]:
        chance = random.Random(4)
        bodies = []
        for _ in range(systems):
            system = prose(chance, tokens[0])
            for _ in range(parts):
                part = prose(chance, tokens[1])
                bodies += [
                    Neutral(system=system, shared=(part,), text=prose(chance, tokens[2]), max_output_tokens=1)
                    for _ in range(nodes)
                ]
        chance.shuffle(bodies)
        yield bodies

    return waves


def models() -> Iterator[list[Neutral]]:
    """Process models in their waves: the real corpus where it is present, else the shipped models."""
    folder = CORPUS if (CORPUS / "SOURCES.md").is_file() else SHIPPED
    reading = WORKLOAD.read(folder, WorkloadOptions(model="claude-sonnet-5-5"))
    wave = [item for item in reading.requests() if isinstance(item, Request)]
    scope = reading.scope()
    kept: dict[RequestKey, Answer] = {}

    class Kept:
        def get(self, key: RequestKey) -> Answer | None:
            return kept.get(key)

    for number in range(scope.waves):
        if number:
            wave = list(WORKLOAD.next_wave(scope, number, Kept()))
        yield [replace(request.body, max_output_tokens=1) for request in wave if isinstance(request.body, Neutral)]
        kept.update((request.key, Answer(text="z" * CHILD_BYTES)) for request in wave)


SOL: dict[str, Any] = {"provider": "openai", "model": "gpt-6-sol"}
IN_TEN_MINUTES: dict[str, Any] = {"lane": Lane.REALTIME, "spread": timedelta(minutes=10)}
SCENES = (
    Scene("bpmn: 3,585 documents of 187 models, 7 waves", models),
    Scene("videos: 294, one 11k prefix", one_prefix(294, 11_000, 1_250), turnaround="5400", spread=timedelta(minutes=90)),
    Scene("OpenAI, one-shot prompts: 400 of 1.5k", one_prefix(400, 0, 2_300), **SOL),
    Scene("OpenAI, real time: the same", one_prefix(400, 0, 2_300), **SOL | IN_TEN_MINUTES),
    Scene("OpenAI, 300 with one 6k prefix", one_prefix(300, 9_000, 750), **SOL),
    Scene("OpenAI, real time: the same", one_prefix(300, 9_000, 750), **SOL | IN_TEN_MINUTES),
    Scene("a 300-token system text, 500", one_prefix(500, 300, 700)),
    Scene("two requests a prefix, 200 x 2", nested(200, 1, 2, (0, 5_000, 300))),
    Scene("three requests a prefix, 130 x 3", nested(130, 1, 3, (0, 5_000, 300))),
    Scene("nested: 1.5k for all, 4k a part, 30 x 8", nested(1, 30, 8, (1_500, 4_000, 300))),
    Scene("the same, time for two first batches", nested(1, 30, 8, (1_500, 4_000, 300)), rounds=2),
    Scene("nested: 12k for all, 1k a part, 100 x 3", nested(1, 100, 3, (12_000, 1_000, 300))),
    Scene("batches of 5 hours: 40, one 11k prefix", one_prefix(40, 11_000, 300), turnaround="18000", spread=timedelta(hours=5)),
    Scene("real time: 300, one 3k prefix", one_prefix(300, 3_000, 300), lane=Lane.REALTIME, spread=timedelta(minutes=10)),
    Scene("real time: 100 x 2, 5k a prefix", nested(100, 1, 2, (0, 5_000, 300)), lane=Lane.REALTIME, spread=timedelta(minutes=10)),
)  # fmt: skip


# policies


@dataclass
class Wave:
    """The bodies of one wave with their innermost prefixes, counted with lowtide's own estimate."""

    bodies: list[Neutral]
    innermost: list[PrefixId]
    tally: Tally


def counted(bodies: Iterable[Neutral], count: Callable[[str], int]) -> Wave:
    tally = Tally(count=count)
    kept = list(bodies)
    innermost = [tally.add(body, prompt_tokens=sum(map(count, texts(body))) + count(body.text)) for body in kept]
    return Wave(kept, innermost, tally)


def texts(body: Neutral) -> list[str]:
    return [text for text in (body.system, *body.shared) if text]


def estimate(model: Model) -> Callable[[str], int]:
    """Lowtide's own guess."""

    def count(text: str) -> int:
        encoded = text.encode()
        other = 0 if text.isascii() else sum(byte > 127 for byte in encoded)
        return likely_tokens(len(encoded), non_ascii_bytes=other, tokenizer=model.tokenizer)

    return count


class Dialect:
    """How a provider is told, asked and waited for. ``left_alone``: what a body says that decides nothing."""

    def __init__(self, scene: Scene) -> None:
        options = WorldOptions(seed=11, start=START, turnaround=Turnaround.parse(scene.turnaround))
        self.scene, self.client = scene, InProcess(World(options), self.headers)

    headers: dict[str, str]
    path: str

    def body(self, body: Neutral, marks: tuple[int, ...], lifetime: str, *, left_alone: bool) -> dict[str, object]:
        """A body with breakpoints at these places."""
        raise NotImplementedError

    def batch(self, bodies: list[dict[str, object]]) -> str:
        """Create a batch; the path by which it is asked about."""
        raise NotImplementedError

    def ended(self, path: str) -> bool:
        """Whether it is over."""
        raise NotImplementedError


class Anthropic(Dialect):
    """Breakpoints are marks on blocks; without any, nothing is written."""

    headers, path = HEADERS, "/v1/messages"

    def body(self, body: Neutral, marks: tuple[int, ...], lifetime: str, *, left_alone: bool) -> dict[str, object]:
        assert not (left_alone and marks)
        blocks: list[dict[str, object]] = [{"type": "text", "text": text} for text in texts(body)]
        for place in marks:
            blocks[place]["cache_control"] = {"type": "ephemeral", "ttl": lifetime}
        shared = blocks[1:] if body.system else blocks
        made: dict[str, object] = {"model": self.scene.model, "max_tokens": body.max_output_tokens}
        if body.system:
            made["system"] = blocks[:1]
        made["messages"] = [{"role": "user", "content": [*shared, {"type": "text", "text": body.text}]}]
        return made

    def batch(self, bodies: list[dict[str, object]]) -> str:
        requests = [{"custom_id": f"r{number}", "params": body} for number, body in enumerate(bodies)]
        made = self.client.ask("POST", "/v1/messages/batches", {"requests": requests})
        assert made.status == 200, made.body
        return f"/v1/messages/batches/{made.json()['id']}"

    def ended(self, path: str) -> bool:
        return bool(self.client.ask("GET", path).json()["processing_status"] == "ended")


class OpenAI(Dialect):
    """Responses. Without a word every long prompt is written whole; explicit mode writes what a breakpoint ends."""

    headers, path = OPENAI_HEADERS, "/v1/responses"

    def body(self, body: Neutral, marks: tuple[int, ...], lifetime: str, *, left_alone: bool) -> dict[str, object]:
        blocks: list[dict[str, object]] = [{"type": "input_text", "text": text} for text in texts(body)]
        for place in marks:
            blocks[place]["prompt_cache_breakpoint"] = {"mode": "explicit"}
        shared = blocks[1:] if body.system else blocks
        turns: list[object] = [{"role": "system", "content": blocks[:1]}] if body.system else []
        turns.append({"role": "user", "content": [*shared, {"type": "input_text", "text": body.text}]})
        made: dict[str, object] = {"model": self.scene.model, "max_output_tokens": OPENAI_OUTPUT_TOKENS, "input": turns}
        if not left_alone:
            made["prompt_cache_options"] = {"mode": "explicit"} | ({"ttl": lifetime} if marks else {})
        return made

    def batch(self, bodies: list[dict[str, object]]) -> str:
        lines = [
            {"custom_id": f"r{number}", "method": "POST", "url": self.path, "body": body}
            for number, body in enumerate(bodies)
        ]
        file = self.client.upload("\n".join(map(json.dumps, lines)).encode())
        assert file.status == 200, file.body
        asked = {"input_file_id": file.json()["id"], "endpoint": self.path, "completion_window": "24h"}
        made = self.client.ask("POST", "/v1/batches", asked)
        assert made.status == 200, made.body
        return f"/v1/batches/{made.json()['id']}"

    def ended(self, path: str) -> bool:
        status = self.client.ask("GET", path).json()["status"]
        assert status != "failed", status
        return bool(status == "completed")


DIALECTS: dict[str, type[Dialect]] = {"anthropic": Anthropic, "openai": OpenAI}


class Market:
    """One simulator, and what is bought there."""

    def __init__(self, scene: Scene) -> None:
        self.scene, self.dialect, self.batches = scene, DIALECTS[scene.provider](scene), 0
        self.client = self.dialect.client
        self.began = self.now()

    def now(self) -> datetime:
        """The simulator's time."""
        return datetime.fromisoformat(self.client.ask("GET", "/_simulator/clock").json()["now"])

    def buy(self, bodies: list[dict[str, object]]) -> None:
        """Buy all of them, by one batch or one call after another, and wait for the end."""
        if not bodies:
            return
        if self.scene.lane is Lane.REALTIME:
            for body in bodies:
                answered = self.client.ask("POST", self.dialect.path, body)
                assert answered.status == 200, answered.body
                self.client.advance(self.scene.spread.total_seconds() / 300)
            return
        self.batches += 1
        path = self.dialect.batch(bodies)
        while not self.dialect.ended(path):
            self.client.advance(POLL.total_seconds())

    def paid(self) -> Paid:
        """Read the bill."""
        dollars, after = Fraction(0), 0
        while lines := self.client.ask("GET", f"/_simulator/bill/lines?after={after}&limit=1000").lines():
            dollars += sum(Fraction(line["numerator"], line["denominator"]) for line in lines)
            after += len(lines)
        return Paid(dollars=dollars, batches=self.batches, took=self.now() - self.began)


def buy_plain(scene: Scene, _model: Model, _rates: Rates) -> Paid:
    """No breakpoint anywhere, and nothing written."""
    market = Market(scene)
    for wave in scene.waves():
        market.buy([market.dialect.body(body, (), "", left_alone=False) for body in wave])
    return market.paid()


def buy_everywhere(scene: Scene, _model: Model, _rates: Rates) -> Paid:
    """A breakpoint after every shared text, all at once, as the manuals name it: an hour in batches, else five minutes.

    OpenAI is left alone: it writes every long prompt by itself.
    """
    market = Market(scene)
    lifetime = "1h" if scene.lane is Lane.BATCH else "5m"
    alone = scene.provider == "openai"
    for wave in scene.waves():
        marks = [() if alone else tuple(range(len(texts(body))))[-4:] for body in wave]
        market.buy(
            [market.dialect.body(body, at, lifetime, left_alone=alone) for body, at in zip(wave, marks, strict=True)]
        )
    return market.paid()


def terms_of(scene: Scene, model: Model, rates: Rates) -> Terms:
    """What lowtide knows before the run."""
    return Terms(
        lane=scene.lane,
        style=style_of(scene.provider, rates),
        rates=rates,
        minimum_tokens=model.cache_minimum_tokens,
        cold=prior(scene.provider, scene.lane, warmed=False),
        warmed=prior(scene.provider, scene.lane, warmed=True),
        spread=scene.spread,
        delay=POLL,
        rounds_max=scene.rounds,
    )


def buy_judged(scene: Scene, model: Model, rates: Rates) -> Paid:
    """As lowtide decides, wave by wave; what a batch wrote less than its lifetime ago counts as readable."""
    market, terms = Market(scene), terms_of(scene, model, rates)
    written: dict[PrefixId, datetime] = {}
    expected, why = Fraction(0), []
    for bodies in scene.waves():
        wave = counted(bodies, estimate(model))
        told = wave.tally.counted()
        alive = {name for name, at in written.items() if market.now() + terms.spread <= at + timedelta(hours=1)}
        told = replace(told, prefixes=tuple(replace(p, readable=p.id in alive) for p in told.prefixes))
        found = judge(told, terms)
        expected += Fraction(found.chosen, 10**9)
        why.append(found.why)
        buy_wave(market, wave, found)
        if found.lifetime == "1h":
            written.update(dict.fromkeys(found.marked(), market.now()))
    paid = market.paid()
    paid.expected, paid.why = expected, why
    return paid


def buy_wave(market: Market, wave: Wave, found: Judgement) -> None:
    """First those that warm, then the rest in the order that keeps prefixes together."""
    marks = marks_of(found)
    rank = ranks(wave.tally.counted().prefixes)
    order = sorted(range(len(wave.bodies)), key=lambda seq: (rank[wave.innermost[seq]], seq))
    first = first_of_each(found, enumerate(wave.innermost))
    gone = {seq for part in first for seq in part}
    for part in (*first, [seq for seq in order if seq not in gone]):
        alone = found.mode is CacheMode.ALONE
        marked = [(wave.bodies[seq], marks[wave.innermost[seq]]) for seq in part]
        market.buy([market.dialect.body(body, at, found.lifetime, left_alone=alone and not at) for body, at in marked])


def bound(scene: Scene, model: Model, rates: Rates) -> Fraction:
    """The most that any caching could save, with the simulator's own token counts."""
    wave = counted(
        (body for bodies in scene.waves() for body in bodies),
        lambda text: math.ceil(len(text.encode()) / BYTES_PER_TOKEN[scene.provider]),
    )
    sure = HitRate(share=Fraction(1), basis=HitBasis.MEASURED)
    cheapest = min(rates.writes, key=lambda name: rates.writes[name])
    terms = replace(
        terms_of(scene, model, rates),
        lane=Lane.REALTIME,  # staged: each prefix is written once, whoever begins with it
        rates=replace(rates, writes={cheapest: rates.writes[cheapest]}),
        cold=sure,
        warmed=sure,
        spread=timedelta(0),
        warm_saving_min=ZERO,
    )
    found = judge(wave.tally.counted(), terms)
    return Fraction(found.none - found.chosen, 10**9)


def known(scene: Scene) -> tuple[Model, Rates]:
    """What the packaged catalog knows of the scene's model and its prices."""
    folder = resources.files("lowtide.catalog")
    catalog, problems = parse({name: folder.joinpath(name).read_bytes() for name in PACKAGED})
    assert not problems, problems
    model = catalog.model(scene.provider, scene.model)
    if model is None:  # typed from the provider's page of 2026-11-21, until the price file has it
        half = Decimal(1 if scene.lane is Lane.REALTIME else "0.5")
        rates = Rates(plain=2 * half, writes={"30m": Decimal("2.5") * half}, read=Decimal("0.2") * half)
        return Model(
            provider="openai",
            name=scene.model,
            context_tokens=400_000,
            output_tokens_max=128_000,
            cache_minimum_tokens=1_024,
        ), rates
    return model, rates_of(catalog.sheet(scene.provider, scene.model, scene.lane, DAY))


def measure(scene: Scene) -> dict[str, object]:
    """One world under every policy."""
    began = time.perf_counter()
    model, rates = known(scene)
    plain, everywhere, judged = (buy(scene, model, rates) for buy in (buy_plain, buy_everywhere, buy_judged))
    best = plain.dollars - bound(scene, model, rates)
    return {
        "world": scene.name,
        "plain_usd": float(plain.dollars),
        "everywhere_usd": float(everywhere.dollars),
        "lowtide_usd": float(judged.dollars),
        "best_possible_usd": float(best),
        "expected_usd": float(judged.expected or 0),
        "batches": judged.batches,
        "batches_plain": plain.batches,
        "hours": judged.took.total_seconds() / 3600,
        "hours_plain": plain.took.total_seconds() / 3600,
        "why": judged.why[0],
        "seconds": time.perf_counter() - began,
    }


def run(names: Iterable[str] = ()) -> list[dict[str, object]]:
    """All worlds, or those whose name has one of these words in it."""
    wanted = list(names)
    found = [measure(scene) for scene in SCENES if not wanted or any(word in scene.name for word in wanted)]
    rows = []
    for row in found:
        plain, every, ours, best = (
            float(str(row[f"{name}_usd"])) for name in ("plain", "everywhere", "lowtide", "best_possible")
        )
        reached = f"{(plain - ours) / (plain - best):.0%}" if plain - best > 1e-9 else "-"
        rows.append(
            [
                str(row["world"]),
                f"{plain:.4f}",
                f"{every:.4f}",
                f"{ours:.4f}",
                f"{best:.4f}",
                reached,
                f"{row['expected_usd']:.4f}",
                f"{row['batches']} ({row['batches_plain']})",
                f"{row['hours']:.1f} ({row['hours_plain']:.1f})",
                f"{row['seconds']:.1f}",
            ]
        )
    table(
        "Caching: dollars paid for the input (answers of one token); in brackets without caching",
        ["world", "none", "everywhere", "lowtide", "best", "of best saving", "expected", "batches", "hours", "bench s"],
        rows,
    )
    return found


# lowtide itself


class SceneReading:
    """A scene's first wave, as a workload of one wave."""

    name = "scene"
    goes_on = False

    def __init__(self, scene: Scene) -> None:
        self.scene = scene

    def accepts(self, _source: Path) -> bool:
        return True

    def read(self, _source: Path, _options: WorkloadOptions) -> "SceneReading":
        return self

    def requests(self) -> Iterator[Request]:
        fewest = OPENAI_OUTPUT_TOKENS if self.scene.provider == "openai" else 1
        for number, body in enumerate(next(iter(self.scene.waves()))):
            yield Request(
                key=RequestKey(f"r{number}"),
                model=self.scene.model,
                body=replace(body, max_output_tokens=fewest),
                kind="scene",
                provider=self.scene.provider,
            )

    def scope(self) -> Scope:
        return Scope(workload=self.name, frozen=b"", waves=1)

    def digest(self) -> str:
        return "0" * 64


def live(scene: Scene, caching: str) -> Paid:
    """Plan and run a scene's first wave with the engine and a worker against a simulator in this process."""
    world = World(WorldOptions(seed=11, start=START, turnaround=Turnaround.parse(scene.turnaround)))
    transport = LoopbackTransport(create_app(world), cut=ConnectionCut)

    async def buy(folder: Path) -> tuple[Plan, RunReport]:
        flags = {"simulator": "http://127.0.0.1:1", "store": str(folder), "caching": caching, "route": "batch"}
        settings = read_settings({**flags, "model": scene.model}, {"HOME": str(folder)}, folder)
        store = Store(folder, durable=False).open()
        store.set_money(simulated=True)
        engine = Engine(
            settings=settings,
            store=store,
            transports={"anthropic": transport, "openai": transport},
            clock=SimulatorClock(transport, "bench", seed=3),
            catalog=load_catalog(settings),
            workloads={"scene": SceneReading(scene)},  # type: ignore[dict-item] it has no documents
            environment={},
        )
        try:
            planned = await engine.plan(folder, workload="scene", options=WorkloadOptions(model=scene.model))
            run_id = await engine.start_run(planned.plan.plan_id, cap=None, out=None, fresh=True)
            await engine.worker([run_id]).work()
            return planned.plan, await engine.run_report(run_id)
        finally:
            store.close()

    with tempfile.TemporaryDirectory() as folder:
        plan, report = asyncio.run(buy(Path(folder)))
    assert report.spent == world.bill.nanos, "the ledger equals the bill"
    assert report.ended_at is not None
    return Paid(
        dollars=Fraction(report.spent, 10**9),
        took=report.ended_at - report.created_at,
        expected=Fraction(sum(line.saves for line in plan.caching), 10**9),
        why=[line.why for line in plan.caching],
    )


def run_live(names: Iterable[str] = ()) -> None:
    """What lowtide pays for every world of batches, with caching and without."""
    wanted = list(names)
    rows = []
    for scene in SCENES:
        if scene.lane is not Lane.BATCH or (wanted and not any(word in scene.name for word in wanted)):
            continue
        off, auto = live(scene, "off"), live(scene, "auto")
        rows.append(
            [
                scene.name,
                f"{float(off.dollars):.4f}",
                f"{float(auto.dollars):.4f}",
                f"{float(off.dollars - auto.dollars):.4f}",
                f"{float(auto.expected or 0):.4f}",
                f"{auto.took.total_seconds() / 3600:.1f} ({off.took.total_seconds() / 3600:.1f})",
            ]
        )
    table(
        "Caching through lowtide itself (first wave; prompts and answers of few tokens); in brackets without caching",
        ["world", "off", "auto", "saved", "plan said", "hours"],
        rows,
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["live"]:
        run_live(sys.argv[2:])
        sys.exit(0)
    print(json.dumps(run(sys.argv[1:]), indent=1)) if "--json" in sys.argv else run(sys.argv[1:])
