"""What a plan says it will cost, and what it costs: seeded worlds through lowtide itself, planned, run and billed.

Each world has its own lengths of answers (lognormal ones, some with a second hump at their limit), its own limits, and a
drift from one run to the next that the plan does not see. bench/ranges.py does the same to the pure judgement, a thousand
times; here the way from the store to the range and from the range to the bill is under test.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from math import exp
from random import Random

import pytest
from life import MODEL, Life, Tree

from lowtide.engine import Engine
from lowtide.errors import Problem
from lowtide.plan import Plan
from lowtide.request import Neutral, Request, RequestKey
from lowtide.workload import Scope, WorkloadOptions
from lowtide_simulator.answers import Chances

TEXT = (
    "the harbour lies still before the tide turns and nobody hurries while boats wait for water under their keels a"
    " customer asks whether an order that was paid twice will be refunded the clerk explains which form must be signed"
)


class Letters(Tree):
    """One wave of letters of two kinds, other ones for each run."""

    def __init__(self, chance: Random, requests: int) -> None:
        super().__init__((requests,))
        self.chance = chance
        self.limits = {"short": chance.choice([200, 600, 2_000]), "long": chance.choice([900, 3_000])}
        self.run = 0

    def requests(self) -> Iterator[Request | Problem]:
        for number in range(self.widths[0]):
            kind = "long" if number % 3 == 0 else "short"
            draw = Random(f"{self.run} {number} {self.limits}")
            text = " ".join(draw.choices(TEXT.split(), k=draw.randint(20, 300)))
            body = Neutral(text=text, max_output_tokens=self.limits[kind])
            yield Request(key=RequestKey(f"{self.run}-{number}"), model=MODEL, body=body, kind=kind)

    def scope(self) -> Scope:
        return Scope(workload="tree", frozen=b"", waves=1, later=())


@dataclass(kw_only=True)
class Place:
    """A world: its letters, how long answers to them are, how much a run differs from the next."""

    seed: int
    life: Life = field(init=False)

    def __post_init__(self) -> None:
        self.chance = Random(f"place {self.seed}")
        self.life = Life(seed=9_000 + self.seed)
        self.life.tree = Letters(self.chance, self.chance.randint(30, 90))
        self.chances = Chances(
            length_median=self.chance.choice([60, 250, 700]),
            length_spread=self.chance.uniform(0.2, 0.9),
            max_tokens=self.chance.choice([0.0, 0.0, 0.2]),
        )
        self.drift = self.chance.choice([0.0, 0.1, 0.2])

    def next_run(self) -> None:
        """Other letters, and answers that are so much longer or shorter as a whole."""
        self.life.tree.run += 1
        median = max(1, round(self.chances.length_median * exp(self.chance.gauss(0, self.drift))))
        chances = replace(self.chances, length_median=median)
        world = self.life.world
        world.options = replace(world.options, chances=chances)
        world.terms = replace(world.terms, chances=chances)

    async def plan(self, engine: Engine, pilot: str = "") -> Plan:
        source = self.life.folder / "in.tree"
        return (await engine.plan(source, options=WorkloadOptions(model=MODEL), pilot=pilot)).plan

    async def run(self, engine: Engine, plan_id: str) -> int:
        """Carry a plan out; gives what it came to."""
        run_id = await engine.start_run(plan_id, cap=None, out=None, fresh=True)
        await engine.worker([run_id]).work()
        report = await engine.run_report(run_id)
        assert report.state == "done", report.reason
        return report.spent

    async def after_a_run(self) -> tuple[Plan, int]:
        """Plan and run after one earlier run of the same input; the first, without any history, has a range too."""
        engine = self.life.engine()
        try:
            self.next_run()
            first = await self.plan(engine)
            assert (first.basis_output, first.kinds_unknown) == ("limit", ("long", "short"))
            spent = await self.run(engine, first.plan_id)
            assert first.cost_low <= spent <= first.cost_high
            self.next_run()
            plan = await self.plan(engine)
            return plan, await self.run(engine, plan.plan_id)
        finally:
            engine.store.close()

    async def after_a_pilot(self) -> tuple[Plan, int]:
        """Plan and run after a pilot: what the pilot cost is not the run's."""
        engine = self.life.engine()
        try:
            self.next_run()
            first = await self.plan(engine)
            sample = await engine.pilot(first.plan_id, requests=12)
            await self.run(engine, sample.plan_id)
            plan = await self.plan(engine, pilot=sample.plan_id)
            assert plan.reused == sample.requests
            return plan, await self.run(engine, plan.plan_id)
        finally:
            engine.store.close()


def told(seed: int, plan: Plan, spent: int) -> str:
    """Say a world's end in a line."""
    share = f"{100 * plan.cost_low // spent} % to {100 * plan.cost_high // spent} % of what it cost"
    return f"seed {seed}: {share}, likely {100 * plan.cost_likely // spent} %, at most {100 * plan.cost_ceiling // spent} %"


@pytest.mark.parametrize(("way", "seeds"), [("after_a_run", range(8)), ("after_a_pilot", range(4, 12))])
def test_what_a_run_costs_lies_in_the_range_of_its_plan(way: str, seeds: range) -> None:
    """All but one in twenty, which is one in so few: of sixty worlds, 57 were inside after a run and 56 after a pilot."""
    inside, lines = 0, []
    for seed in seeds:
        place = Place(seed=seed)
        plan, spent = asyncio.run(getattr(place, way)())
        assert plan.kinds_unknown == ()
        assert plan.basis_output == "learned"
        assert plan.cost_floor <= plan.cost_low <= plan.cost_likely <= plan.cost_high <= plan.cost_ceiling
        assert plan.cost_high < plan.cost_ceiling, "a range that is no narrower than what is known without history"
        inside += plan.cost_low <= spent <= plan.cost_high
        lines.append(told(seed, plan, spent))
        place.life.bury()
    print(f"{way}: {inside} of {len(seeds)} inside", *lines, sep="\n")
    assert inside >= len(seeds) - 1, lines
