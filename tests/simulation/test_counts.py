"""Prompts are counted by the provider where that was asked for and decides something; a counter that fails is a warning."""

import asyncio
from collections.abc import Iterator

import msgspec
from life import MODEL, Life, Tree
from sqlalchemy import select

from lowtide.errors import Problem
from lowtide.money import Nanos
from lowtide.plan import Plan
from lowtide.request import Neutral, Request, RequestKey
from lowtide.store.schema import REQUESTS
from lowtide.workload import WorkloadOptions
from lowtide_simulator.faults import Rule

COUNTER = "POST /v1/messages/count_tokens"
TIERED = "claude-haiku-5-5"  # its price changes at 100,000 tokens


class Prompts(Tree):
    """One wave of prompts of so many words each."""

    def __init__(self, words: list[int], model: str) -> None:
        super().__init__((len(words),))
        self.words = words
        self.model = model

    def requests(self) -> Iterator[Request | Problem]:
        for number, count in enumerate(self.words):
            body = Neutral(text=f"{number} " + "harbour " * count, max_output_tokens=100)
            yield Request(key=RequestKey(f"w0-{number}"), model=self.model, body=body, kind="kind0")


def planned(
    words: list[int],
    *,
    model: str = MODEL,
    count: bool = True,
    rules: tuple[Rule, ...] = (),
    cap: Nanos | None = None,
) -> tuple[Plan, int, list[tuple[int, int]]]:
    """Plan some prompts: the plan, how often the counter was asked, and (input tokens, ceiling) of each request's row."""
    life = Life(seed=77, rules=rules)
    life.tree = Prompts(words, model)

    async def live() -> tuple[Plan, list[tuple[int, int]]]:
        engine = life.engine()
        try:
            options = WorkloadOptions(model=model)
            plan = (await engine.plan(life.folder / "in.tree", options=options, count=count, cap=cap)).plan
            with engine.store.read() as tx:
                query = select(REQUESTS.c.input_tokens, REQUESTS.c.ceiling_nanos).order_by(REQUESTS.c.seq)
                return plan, [tuple(row) for row in tx.execute(query)]
        finally:
            engine.store.close()

    plan, rows = asyncio.run(live())
    asked = sum(times for name, times in life.world.requests.items() if "count_tokens" in name)
    life.bury()
    return plan, asked, rows


def test_few_prompts_are_counted_and_the_plan_says_so() -> None:
    guess, none, guessed = planned([10, 20, 400], count=False)
    plan, asked, rows = planned([10, 20, 400])
    assert (none, asked) == (0, 3)
    assert (guess.basis_input, plan.basis_input) == ("local", "counted")
    assert sum(line.input_tokens for line in plan.lines) == sum(tokens for tokens, _ in rows)
    assert rows != guessed
    assert all(own <= bound for (_, own), (_, bound) in zip(rows, guessed, strict=True)), "bytes are a bound still"
    assert plan.cost_ceiling < guess.cost_ceiling
    assert plan.warnings == ()


def test_of_many_only_those_near_a_price_threshold_are_counted() -> None:
    long = 55_000  # words, of nearly two tokens each
    words = [10] * 60 + [long] + [10] * 60 + [long]
    plan, asked, rows = planned(words, model=TIERED)
    assert asked == 2
    assert plan.basis_input == "local"
    _, _, guessed = planned(words, model=TIERED, count=False)
    changed = [place for place, (own, other) in enumerate(zip(rows, guessed, strict=True)) if own != other]
    assert changed == [60, 121]


def test_many_short_prompts_are_not_counted() -> None:
    plan, asked, _ = planned([10] * 120)
    assert (asked, plan.basis_input, plan.requests) == (0, "local", 120)


def test_a_cap_inside_the_range_is_a_reason_only_where_all_can_be_counted() -> None:
    for number, wanted in ((60, 60), (120, 0)):
        likely = planned([10] * number, count=False)[0].cost_likely
        _, asked, _ = planned([10] * number, cap=likely)
        assert asked == wanted


def test_a_counter_that_fails_is_a_warning_and_the_judgement_stands() -> None:
    rule = msgspec.convert({"on": COUNTER, "fault": "status", "status": 500, "times": 99}, Rule)
    plan, asked, rows = planned([10, 20, 400], rules=(rule,))
    _, _, guessed = planned([10, 20, 400], count=False)
    assert asked == 3
    assert rows == guessed
    assert plan.basis_input == "local"
    assert len(plan.warnings) == 1
    assert plan.warnings[0].startswith("not all prompts were counted that should be: ")
