"""The lane of a run's newest wave: ``routing`` is asked with what is known now, and its answer is written. Nothing is sent.

A run with a deadline is routed wave by wave: once when a wave is about to be packed, and once more when the last safe
moment has come. By then much may have landed: what is left may fit later, and then the moment moves. Else the lanes that
are too slow are closed; ``dispatch`` calls back what is out in them, what was bought is kept and booked, and only the
rest goes out again. The law: a closed lane stays closed for its wave, so that nothing is moved in circles.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from lowtide import plan as planning
from lowtide.batch import AT_PROVIDER
from lowtide.catalog import Lane
from lowtide.dispatch import ChooseRoute, Hasten, Role
from lowtide.money import Nanos
from lowtide.plan import Plan
from lowtide.providers import Codec
from lowtide.request import Endpoint
from lowtide.routing import (
    Lot,
    Route,
    RouteRules,
    TurnaroundRange,
    Wish,
    batch_size,
    choose,
    closed_with,
    corrected,
    drained_at,
    hasten_at,
    part_of,
    turnaround,
)
from lowtide.store import Transaction, books, history, plans, runs, shards
from lowtide.store.plans import Lot as RequestLot
from lowtide.store.runs import RunRow
from lowtide.worker.hands import Hands, payer

POSTPONED_MIN = timedelta(minutes=1)  # a gain of less than that is not waited for


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scene:
    """What a choice is made from. ``lots``: what is left, the newest wave first. ``answered`` counts those of it."""

    plan: Plan
    lots: tuple[Lot, ...]
    unanswered: int
    usual: Mapping[Route, TurnaroundRange]
    headroom: Nanos | None


async def choose_route(hands: Hands, run: RunRow, command: ChooseRoute) -> None:
    """Choose the lane of the newest wave by the time that is left, before anything of it is packed."""
    assert command.run_id == run.run_id
    now = await hands.clock.now()
    with hands.store.write() as tx:
        scene = _scene(hands, tx, run, now)
        if scene.unanswered:
            reason = _take(hands, tx, run, scene, scene.lots, now, closed=frozenset())
            runs.note(tx, run.run_id, now, f"wave {run.wave + 1}: {reason}")
        runs.set_run(tx, run.run_id, routed_wave=run.wave)


async def hasten(hands: Hands, run: RunRow, command: Hasten) -> None:
    """Look once more at what is left: wait longer where it still fits later, else move it to a quicker lane."""
    assert command.run_id == run.run_id
    assert run.hasten_at is not None, "nobody hurries without a moment"
    now = await hands.clock.now()
    with hands.store.write() as tx:
        scene = _scene(hands, tx, run, now)
        if not scene.unanswered:
            runs.set_run(tx, run.run_id, hasten_at=None)
            return
        later = _last_moment(hands, run, scene.lots) - timedelta(seconds=run.spared_seconds)
        if later - now >= POSTPONED_MIN:
            runs.set_run(tx, run.run_id, hasten_at=later)
            text = (
                f"{scene.unanswered} are left of wave {run.wave + 1}, which may wait until {later:%Y-%m-%d %H:%M} UTC"
            )
            runs.note(tx, run.run_id, now, text)
            return
        closed = closed_with(Route(run.route)) | {Route(lane) for lane in run.called_back.split()}
        drained = drained_at(now, scene.unanswered, hands.route_rules)
        reason = _take(hands, tx, run, scene, scene.lots, drained, closed=closed)
        runs.set_run(tx, run.run_id, hastened=True, called_back=" ".join(sorted(closed)))
        shards.forget_tries(tx, run.plan_id, run.wave)  # that we call it back is no failure of a request
        text = f"what is out of wave {run.wave + 1} is called back, {scene.unanswered} are left: {reason}"
        runs.note(tx, run.run_id, now, text, level="warning")
        for batch in shards.batches_of_run(tx, run.run_id):
            if batch.state in AT_PROVIDER and batch.role is Role.OURS and not batch.verified:
                text = f"{batch.provider_batch_id} cannot be called back: until it ends nothing proves that it is ours"
                runs.note(tx, run.run_id, now, text, level="warning")


def _scene(hands: Hands, tx: Transaction, run: RunRow, now: datetime) -> _Scene:
    """Read what is left, how fast real time was in this run, how long batches took, and what the budget covers."""
    row, account = plans.find_plan(tx, run.plan_id), books.find_account(tx, payer(run))
    assert row is not None, f"run {run.run_id} has no plan"
    assert account is not None, f"run {run.run_id} has no account"
    plan = planning.decode(row.figures)
    told, took = _speed(tx, run, plan)
    unanswered = shards.unanswered(tx, run.plan_id, run.wave)
    lots: list[Lot] = []
    for line, lot in zip(plan.waves, planning.route_lots(plan.waves), strict=True):
        if line.wave < run.wave:
            continue
        left = part_of(lot, unanswered) if line.wave == run.wave else lot
        lots.append(corrected(left, told_seconds=told, took_seconds=took))
    headroom = account.headroom
    if headroom is not None:
        headroom = Nanos(headroom + shards.held_open(tx, run.run_id))
    requests = min(batch_size(plan.requests, hands.route_rules), max(unanswered, 1))
    ways = {(line.provider, line.model) for line in plan.lines}
    usual = usual_turnarounds(tx, ways, requests, now)
    return _Scene(plan=plan, lots=tuple(lots), unanswered=unanswered, usual=usual, headroom=headroom)


def _take(
    hands: Hands,
    tx: Transaction,
    run: RunRow,
    scene: _Scene,
    lots: Collection[Lot],
    now: datetime,
    *,
    closed: frozenset[Route],
) -> str:
    """Choose for what is left of the newest wave, without the closed lanes, and write it. Gives the reason."""
    first, *later = lots
    offers = {route: offer for route, offer in first.offers.items() if route not in closed}
    left = [Lot(requests=first.requests, offers=offers, realtime_seconds=first.realtime_seconds), *later]
    choice = choose(
        Wish(deadline_at=run.deadline_at),
        left,
        scene.usual,
        hands.route_rules,
        scene.headroom,
        now,
        run_requests=scene.plan.requests,
    )
    spared = timedelta(0)
    if choice.hasten_at is not None:
        spared = max(spared, _last_moment(hands, run, left) - choice.hasten_at)
    runs.set_run(
        tx,
        run.run_id,
        route=choice.route.value,
        hasten_at=choice.hasten_at,
        spared_seconds=int(spared.total_seconds()),
    )
    set_lots(hands, tx, run, choice.route, closed)
    return choice.reason


def _last_moment(hands: Hands, run: RunRow, lots: Collection[Lot]) -> datetime:
    """Give the last safe moment to call back what is out and buy everything that is left in real time."""
    assert run.deadline_at is not None, "only a deadline makes haste"
    rules = hands.route_rules
    return hasten_at(
        deadline_at=run.deadline_at,
        remaining_requests=next(iter(lots)).requests,
        remaining_waves=len(lots),
        realtime_seconds=sum(lot.realtime_seconds for lot in lots),
        cancel_seconds=rules.cancel_seconds,
        rules=rules,
    )


def _speed(tx: Transaction, run: RunRow, plan: Plan) -> tuple[int, int]:
    """Say how long this run's real-time requests should have taken by the plan, and how long they took, in seconds."""
    lines = {line.wave: line for line in plan.waves}
    told = took = 0
    for seen in shards.realtime_spans(tx, run.run_id):
        line = lines.get(seen.wave)
        if line is not None and line.requests:
            told += line.realtime_seconds * seen.requests // line.requests
            took += int((seen.ended_at - seen.begun_at).total_seconds())
    return told, took


def usual_turnarounds(
    tx: Transaction, ways: Iterable[tuple[str, str]], requests: int, now: datetime
) -> dict[Route, TurnaroundRange]:
    """Say how long one batch of the slowest (provider, model) will take, from earlier ones and the stated prior (V9)."""
    seen = {provider: history.turnarounds(tx, provider, now) for provider in {provider for provider, _ in ways}}
    found = [
        turnaround(seen[provider], provider=provider, model=model, requests=requests, hour=now.hour)
        for provider, model in sorted(ways)
    ]
    return {Route.BATCH: max(found, key=lambda each: each.nine_in_ten)} if found else {}


def batch_requests_max(requests: int, rules: RouteRules) -> int | None:
    """Say how many requests one batch of a run of so many takes (B10); ``None``: what the provider takes."""
    size = batch_size(requests, rules)
    return size if size < requests else None


def set_lots(hands: Hands, tx: Transaction, run: RunRow, wanted: Route, closed: frozenset[Route] = frozenset()) -> None:
    """Say how what waits of a run goes out from now on."""
    plans.set_routes(tx, run.plan_id, lot_routes(plans.lots(tx, run.plan_id), hands.codecs, wanted, closed))


def lot_routes(
    lots: Mapping[RequestLot, int],
    codecs: Mapping[str, Codec],
    wanted: Route,
    closed: frozenset[Route] = frozenset(),
) -> dict[int, str]:
    """Give the route of each lot by number: the wanted one where its provider has it, else a batch, else real time.

    ``closed`` lanes are none for anybody.
    """
    found: dict[int, str] = {}
    for lot, number in lots.items():
        codec, route = codecs[lot.provider], wanted
        if route in (Route.WINDOW_2H, Route.WINDOW_8H):
            possible = lot.endpoint is Endpoint.RESPONSES and Lane(route.value) in codec.windows
            route = route if possible else Route.BATCH
        if route is Route.BATCH and (codec.batch_limits is None or route in closed):
            route = Route.REALTIME
        found[number] = route.value
    return found
