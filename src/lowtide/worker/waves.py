"""Later waves: made from the finished texts of earlier ones, by the workload that is named in the plan.

Needs the store and the installed workload, never the input folder. A wave that was broken off is dropped and made again
from the start: nothing of it was sent, and the same answers make the same requests.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from datetime import datetime

import msgspec

from lowtide import plan as planning
from lowtide import points
from lowtide.caching import Marks
from lowtide.catalog import Lane
from lowtide.dispatch import MakeWave, PlanId
from lowtide.errors import NotFound, Problem, counted
from lowtide.providers import Codec, kept_answer
from lowtide.request import Request, RequestKey
from lowtide.routing import Route
from lowtide.spool import Scales, Spooled, Weighed, seal, spool
from lowtide.store import Store, answers, plans, runs
from lowtide.store.runs import RunRow
from lowtide.worker.hands import Hands, pause
from lowtide.worker.lanes import batch_requests_max, set_lots
from lowtide.worker.marking import later_terms
from lowtide.workload import Answer, Scope, Workload

ANSWERS_KEPT = 2000


class StoredAnswers:
    """Finished answers by key, read from the store as they are asked for; the last ones are kept."""

    def __init__(self, store: Store, codecs: Mapping[str, Codec], plan_id: PlanId) -> None:
        self._store = store
        self._codecs = codecs
        self._plan_id = plan_id
        self._kept: OrderedDict[RequestKey, Answer | None] = OrderedDict()

    def get(self, key: RequestKey) -> Answer | None:
        """Give the answer of ``key``, or ``None`` when that request is not finished."""
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        found = self._read(key)
        self._kept[key] = found
        if len(self._kept) > ANSWERS_KEPT:
            self._kept.popitem(last=False)
        return found

    def _read(self, key: RequestKey) -> Answer | None:
        with self._store.read() as tx:
            row = answers.by_key(tx, self._plan_id, key)
        if row is None:
            return Answer(text=None, reason="it was not asked for")
        if row.state == "succeeded":
            assert row.answer_at is not None
            return answered(self._codecs[row.provider], self._store.body(row.answer_at))
        if row.state in ("failed", "canceled"):
            return Answer(text=None, reason=row.message or row.code)
        return None


def answered(codec: Codec, message: bytes) -> Answer:
    """Give the text of a kept message; an answer without text is a gap with its reason."""
    outcome = kept_answer(codec, message)
    if outcome.text.strip():
        return Answer(text=outcome.text)
    return Answer(text=None, reason=f"the answer has no text ({outcome.stop_reason})")


def scope_of(row: plans.PlanRow) -> Scope:
    """Read what the plan keeps of its workload."""
    return msgspec.msgpack.decode(row.scope, type=Scope)


def pack_scope(scope: Scope) -> bytes:
    """Write it."""
    return msgspec.msgpack.encode(scope)


def workload_of(hands: Hands, run: RunRow) -> Workload:
    """Find the run's workload. Raises: NotFound when it is not installed here."""
    try:
        return hands.workloads[run.workload]
    except KeyError:
        raise NotFound(
            f"the workload {run.workload!r} of run {run.run_id} is not installed here",
            hint="install the package that brings it",
        ) from None


def _mark(
    hands: Hands, run: RunRow, row: plans.PlanRow, wave: int, scales: Scales, requests: Iterable[Request], now: datetime
) -> None:
    """Judge what a later wave shares, where the plan said that its bodies may be marked."""
    terms = later_terms(
        planning.decode(row.figures),
        Route(run.route),
        store=hands.store,
        catalog=hands.catalog,
        codecs=hands.codecs,
        now=now,
        delay=hands.retry_rules.poll_max,
        in_flight=hands.in_flight_max,
    )
    if terms is None:
        return
    with hands.store.read() as tx:
        tested = plans.tested_kinds(tx, run.plan_id)
    scales.mark(requests, terms, tested=tested)
    with hands.store.write() as tx:
        for line in scales.marks.lines:
            runs.note(tx, run.run_id, now, f"wave {wave + 1}, {line.model}: {line.why}")


def _over_the_plan(row: plans.PlanRow, wave: int, most: Mapping[str, int]) -> bool:
    """Say whether a wave can cost more than the plan said of it."""
    line = next(line for line in planning.decode(row.figures).waves if line.wave == wave)
    return any(most[lane] > ceiling for lane, (_, ceiling) in line.lanes.items() if lane in most)


def _keep_to_the_plan(run: RunRow, wave: int, made: Spooled) -> None:
    """Promise 5: whom the plan does not name is not asked."""
    for provider in sorted({lot.provider for lot in made.lots} - {*run.provider.split()}):
        what = f"it asks {provider}, which the plan does not name"
        made.problem(Problem(where=f"wave {wave + 1}", what=what, hint="name the model in the first wave, too"))


async def make_wave(hands: Hands, run: RunRow, command: MakeWave) -> None:
    """Make a later wave and seal it."""
    now = await hands.clock.now()
    with hands.store.read() as tx:
        plan_row = plans.find_plan(tx, run.plan_id)
        first_seq = plans.last_seq(tx, run.plan_id) + 1
        lots = plans.lots(tx, run.plan_id)
    assert plan_row is not None
    with hands.store.write() as tx:
        plans.drop_wave(tx, run.plan_id, command.wave)
    stored = StoredAnswers(hands.store, hands.codecs, run.plan_id)
    workload = workload_of(hands, run)

    def gaps(request: Request) -> Iterable[RequestKey]:
        """Promise of B3: what is missing is named."""
        for key in request.depends_on:
            found = stored.get(key)
            if found is None or found.text is None:
                yield key

    scope = scope_of(plan_row)
    asked = scope.facts.get("option.provider", "")
    scales = Scales(hands.codecs, hands.catalog, now.date(), asked=asked)
    _mark(hands, run, plan_row, command.wave, scales, workload.next_wave(scope, command.wave, stored), now)

    def spooled() -> tuple[Spooled, dict[str, int]]:
        """Write the wave; give the sums of what its requests can cost at most, by lane."""
        most = {Lane.BATCH.value: 0, Lane.REALTIME.value: 0}

        def listen(weighed: Weighed) -> None:
            most[Lane.BATCH.value] += weighed.costs.cheapest.ceiling
            most[Lane.REALTIME.value] += weighed.costs.dearest_ceiling

        made = spool(
            hands.store,
            scales,
            workload.next_wave(scope, command.wave, stored),
            plan_id=run.plan_id,
            wave=command.wave,
            first_seq=first_seq,
            writer=hands.worker,
            now=now,
            gaps=gaps,
            listener=listen,
            lots=lots,
        )
        return made, most

    made, most = spooled()
    if scales.marks.judged and _over_the_plan(plan_row, command.wave, most):
        # Promise 5: a breakpoint makes the most that a request can cost higher, and the plan did not count on these.
        scales.marks = Marks()
        with hands.store.write() as tx:
            plans.drop_wave(tx, run.plan_id, command.wave)
            text = f"wave {command.wave + 1}: nothing is cached, for the most it can cost would pass the plan's"
            runs.note(tx, run.run_id, now, text)
        made, most = spooled()
    _keep_to_the_plan(run, command.wave, made)
    with hands.store.write() as tx:
        if made.problems:
            reason = f"wave {command.wave + 1} cannot be made: {made.problems[0]}"
            pause(tx, run, reason)
            runs.note(tx, run.run_id, now, reason, level="alarm")
            plans.drop_wave(tx, run.plan_id, command.wave)  # nothing half done stays
            return
        seal(tx, run.plan_id, command.wave, made)
        # Where there is a deadline this is a first word: the lane is chosen again just before anything is packed.
        set_lots(hands, tx, run, Route(run.route))
        whole = planning.decode(plan_row.figures).requests
        plans.set_requests_max(tx, run.plan_id, batch_requests_max(whole, hands.route_rules))
        runs.set_wave(tx, run.run_id, command.wave)
        count = made.next_seq - made.first_seq
        runs.note(tx, run.run_id, now, f"wave {command.wave + 1} made: {counted(count, 'request')}")
    points.reached("wave.after_seal")
