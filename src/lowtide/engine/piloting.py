"""A pilot: a few requests of a plan bought in real time, as a run of their own, so that the plan can learn from them.

A pilot is a plan and a run like any other, of one wave, with a cap and with books of its own; it delivers nothing. What it
bought is taken over by the run of the plan that is made after it (``store.pilots``), and so is not bought twice.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from lowtide.dispatch import PlanId
from lowtide.engine.planning import Asked, Planning, options_of
from lowtide.errors import LowtideError, NotFound, PlanBlocked
from lowtide.estimate import pilot_sizes
from lowtide.plan import Plan
from lowtide.request import Request
from lowtide.routing import Route, Wish
from lowtide.store import plans
from lowtide.worker.waves import scope_of
from lowtide.workload import Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sample:
    """Some requests of a plan, as an input to plan."""

    found: list[Request]
    whole: Scope
    of: Plan

    def requests(self) -> Iterator[Request]:
        """Give them."""
        yield from self.found

    def scope(self) -> Scope:
        """Say what there is of it: one wave."""
        facts = {name: value for name, value in self.whole.facts.items() if name != "warnings"}
        return replace(self.whole, title=f"pilot of {self.of.title}", waves=1, later=(), facts=facts)

    def digest(self) -> str:
        """Give the digest of the input that they are from."""
        return self.of.source_digest


class Piloting(Planning):
    """Makes pilots."""

    async def pilot(self, plan_id: str, *, requests: int) -> Plan:
        """Plan a pilot of about so many requests, evenly spread over a plan's first wave. Nothing is sent or spent.

        Of every kind there are at least five, or all it has. What it can cost at most is its ceiling: make it a run with
        ``start_run`` and let a worker carry it out; then plan the same input again with ``pilot=`` its plan's id.
        Raises: NotFound, PlanBlocked, and LowtideError where it would buy everything there is.
        """
        plan = self.find_plan(plan_id)
        if plan.blocked:
            raise PlanBlocked(plan.blocked)
        with self.store.read() as tx:
            row = plans.find_plan(tx, plan_id)
            if row is None:
                raise NotFound(f"there is no plan {plan_id}", hint="lowtide status lists plans and runs")
            counts = {f"{kind} {model}": count for (kind, model), count in plans.kind_counts(tx, plan_id).items()}
            sizes = pilot_sizes(counts, requests)
            if len(plan.waves) == 1 and sizes == counts:
                raise LowtideError(
                    f"a pilot of {requests} would buy all {plan.requests} requests",
                    hint="run the plan; --cap says how much it may cost",
                )
            picked = [
                (found, self.store.body(found.body_at))
                for found in plans.spread(tx, plan_id, counts=counts, sizes=sizes)
            ]
        sample = _Sample(found=[found.request(body) for found, body in picked], whole=scope_of(row), of=plan)
        now = await self.clock.now()
        asked = Asked(
            day=now.date(),
            now=now,
            options=replace(options_of(sample.whole.facts), model=row.model),
            skip_problems=False,
            wish=Wish(route=Route.REALTIME),
            cap=None,
            sample_of=plan_id,
        )
        new = replace(row, plan_id=PlanId(f"p_{self.clock.new_id(7)}"), digest="", figures=b"", created_at=now)
        made = await self.keep_plan(self.workloads[plan.workload], sample, new, asked, marked=False)
        return made.plan

    async def forget_plan(self, plan_id: str) -> None:
        """Forget a plan that never became a run: a better one has taken its place."""
        with self.store.write() as tx:
            plans.drop_plan(tx, plan_id)
