"""Later waves are planned with the answers that they will quote: as long as earlier ones were, or unknown."""

import asyncio
from dataclasses import replace

from life import MODEL, Life, Tree

from lowtide.plan import Plan
from lowtide.workload import Quotes, Scope, WorkloadOptions

WIDE, QUOTING = 30, 10
LIMIT = 60  # tokens, of one answer of the tree


class Quoting(Tree):
    """A tree that says what its second wave quotes: so many answers of the first in each request."""

    quoted = 1

    def scope(self) -> Scope:
        whole = super().scope()
        ((line,),) = whole.later
        answers = self.quoted * QUOTING
        quotes = (Quotes(kind="kind0", answers=answers, tokens_ceiling=answers * LIMIT),)
        line = replace(line, quoted_bytes_likely=line.input_bytes_likely - 100 * QUOTING, quotes=quotes)
        return replace(whole, later=((line,),))


async def live(life: Life) -> dict[str, Plan]:
    engine = life.engine()
    options = WorkloadOptions(model=MODEL)
    source = life.folder / "in.tree"
    try:
        plans = {"nothing": (await engine.plan(source, options=options)).plan}
        sample = await engine.pilot(plans["nothing"].plan_id, requests=10)
        run_id = await engine.start_run(sample.plan_id, cap=None, out=None, fresh=True)
        await engine.worker([run_id]).work()
        plans["one"] = (await engine.plan(source, options=options, pilot=sample.plan_id)).plan
        life.tree.quoted = 11
        plans["eleven"] = (await engine.plan(source, options=options, pilot=sample.plan_id)).plan
        return plans
    finally:
        engine.store.close()


def test_a_later_wave_is_as_long_as_what_it_quotes() -> None:
    life = Life(seed=51, widths=(WIDE, QUOTING))
    life.tree = Quoting((WIDE, QUOTING))
    plans = asyncio.run(live(life))

    def tokens_in(name: str) -> int:
        return sum(line.input_tokens for line in plans[name].lines)

    report = life.world.bill.lines()
    written = [line.usage.output for line in report]
    mean = -(-sum(written) // len(written))
    assert len(written) == 10
    assert abs(tokens_in("eleven") - tokens_in("one") - 10 * QUOTING * mean) <= QUOTING
    # Where the answers' lengths are unknown the prompts that quote them are, too.
    unknown = plans["nothing"]
    assert unknown.kinds_unknown == ("kind0", "kind1")
    assert plans["one"].kinds_unknown == ("kind1",)
    assert unknown.cost_ceiling - unknown.cost_high < unknown.cost_ceiling // 20
    assert plans["one"].cost_high < plans["one"].cost_ceiling // 3
    life.bury()
