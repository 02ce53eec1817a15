"""A plan's totals are the sums of its parts, floor <= likely <= ceiling everywhere, and rounds never pass a cap."""

from dataclasses import replace
from datetime import UTC, date, datetime
from importlib.resources import files

from hypothesis import given
from hypothesis import strategies as st

from lowtide.catalog import PACKAGED
from lowtide.catalog.parse import parse
from lowtide.estimate import Basis, TokenRange, output_history
from lowtide.money import Nanos
from lowtide.plan import Cost, Costs, Draft, Head, Plan, decode, digest, encode, rounds
from lowtide.request import RequestKey

CATALOG, _ = parse({name: (files("lowtide.catalog") / name).read_bytes() for name in PACKAGED})
MODELS = ("claude-sonnet-5-5", "claude-haiku-5-5", "claude-opus-5-5")


def ordered(numbers: list[int], share: int, *, batch: bool) -> Costs:
    """Costs on both lanes, of which ``share`` percent are the answer's."""
    floor, likely, ceiling = sorted(numbers)

    def cost(times: int) -> Cost:
        return Cost(
            floor=floor * times,
            likely=likely * times,
            ceiling=ceiling * times,
            output_floor=floor * times * share // 100,
            output_likely=likely * times * share // 100,
            output_ceiling=ceiling * times * share // 100,
        )

    return Costs(batch=cost(1) if batch else None, realtime=cost(2))


COSTS = st.builds(
    ordered, st.lists(st.integers(0, 10**9), min_size=3, max_size=3), st.integers(0, 100), batch=st.booleans()
)
TOKENS = st.integers(0, 300_000).map(
    lambda count: TokenRange(floor=count // 2, likely=count, ceiling=count * 2, basis=Basis.LOCAL)
)
REQUESTS = st.lists(
    st.tuples(st.sampled_from(MODELS), st.sampled_from(("a", "b")), COSTS, TOKENS, st.integers(1, 5000)), max_size=30
)
WAVES = st.lists(
    st.tuples(st.integers(1, 3), st.sampled_from(MODELS), st.sampled_from(("a", "b", "c")), COSTS, st.integers(0, 500)),
    max_size=6,
)
HEADS = st.builds(
    Head,
    plan_id=st.just("p"),
    title=st.text(max_size=5),
    workload=st.just("batch"),
    source=st.just("in"),
    source_digest=st.just(""),
    created_at=st.just(datetime(2026, 11, 22, tzinfo=UTC)),
    simulated=st.booleans(),
    turnaround=st.none(),
    route=st.sampled_from(("batch", "realtime")),
    moves=st.booleans(),
    moves_likely=st.integers(-(10**9), 10**9).map(Nanos),
)


LEARNED = st.dictionaries(
    st.tuples(st.sampled_from(("a", "b", "c")), st.sampled_from(MODELS)),
    st.lists(st.integers(1, 5000), min_size=1, max_size=40).map(output_history),
    max_size=4,
)


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    limits = (draw(st.integers(1, 50)), draw(st.integers(5000, 50_000)))
    draft = Draft(catalog=CATALOG, day=date(2026, 11, 22), batch_limits={"anthropic": limits})
    for number, (model, kind, costs, tokens, size) in enumerate(draw(REQUESTS)):
        draft.add(
            key=RequestKey(f"k{number}"),
            kind=kind,
            provider="anthropic",
            model=model,
            tokens_in=tokens,
            tokens_out=tokens,
            costs=costs,
            body_bytes=size,
        )
    for wave, model, kind, costs, count in draw(WAVES):
        draft.add_later(
            wave=wave,
            kind=kind,
            provider="anthropic",
            model=model,
            requests=count,
            costs=costs,
            tokens_in=TokenRange(floor=0, likely=count, ceiling=2 * count, basis=Basis.LOCAL),
            tokens_out=TokenRange(floor=0, likely=count, ceiling=2 * count, basis=Basis.LIMIT),
        )
    return draft.plan(draw(HEADS), wave_exact=1, warnings=[], learned=draw(LEARNED))


@given(plans())
def test_totals_are_the_sums_of_the_parts(plan: Plan) -> None:
    assert plan.requests == sum(line.requests for line in plan.lines) == sum(wave.requests for wave in plan.waves)
    assert plan.cost_likely - plan.moves_likely == sum(line.cost_likely for line in plan.lines)
    assert plan.realtime_likely == sum(line.realtime_likely for line in plan.lines)
    assert all(wave.requests == sum(wave.kinds.values()) for wave in plan.waves)
    assert all(line.requests >= 0 for line in plan.lines)
    floor, ceiling = sum(line.cost_floor for line in plan.lines), sum(line.cost_ceiling for line in plan.lines)
    # What may move to a dearer lane must fit the ceiling there, too.
    assert plan.cost_ceiling >= ceiling if plan.moves else plan.cost_ceiling == ceiling
    assert plan.cost_floor <= floor if plan.moves else plan.cost_floor == floor


@given(plans())
def test_a_plan_that_may_move_covers_every_lane(plan: Plan) -> None:
    """Promise 5: whatever lane a wave takes in the end, its ceiling was in the figure that was shown."""
    realtime = sum(wave.lanes["realtime"][1] for wave in plan.waves)
    if plan.moves or plan.route == "realtime":
        assert realtime == plan.cost_ceiling


@given(plans())
def test_figures_are_in_their_order(plan: Plan) -> None:
    assert plan.cost_floor <= plan.cost_low <= plan.cost_likely <= plan.cost_high <= plan.cost_ceiling
    assert plan.largest_ceiling <= max(plan.cost_ceiling, 0) or plan.requests == 0
    for line in plan.lines:
        assert 0 <= line.cost_likely <= line.cost_ceiling
        assert (line.parts > 0) is (line.route == "batch" and line.requests > 0)


@given(plans())
def test_every_kind_of_every_model_is_tried_once(plan: Plan) -> None:
    tried = sum(line.requests for line in plan.lines if line.route == "realtime")
    assert tried <= plan.requests
    assert (tried > 0) is (plan.requests > 0)
    assert all(line.route == "realtime" for line in plan.lines) or plan.route == "batch"


@given(plans())
def test_a_kept_plan_reads_back_with_its_digest(plan: Plan) -> None:
    assert decode(encode(plan)) == plan
    assert digest(decode(encode(plan))) == plan.digest


@given(plans(), st.integers(0, 10**11))
def test_rounds_reach_the_end_or_say_that_they_may_not(plan: Plan, amount: int) -> None:
    cap = Nanos(amount)
    found = rounds(plan, cap)
    assert found.rounds >= 1
    if cap >= plan.cost_ceiling:
        assert (found.rounds, found.may_pause) == (1, False)
    if plan.cost_likely > cap:
        assert found.may_pause


@given(
    st.integers(1, 10**6), st.integers(1, 10**6), st.integers(1, 10**6), st.integers(0, 10**6), st.integers(0, 10**6)
)
def test_a_higher_cap_never_pauses_sooner(likely: int, more: int, largest: int, cap: int, raised: int) -> None:
    plan = replace(
        EMPTY,
        cost_likely=Nanos(likely),
        cost_ceiling=Nanos(likely + more),
        largest_ceiling=Nanos(min(largest, likely + more)),
    )
    if not rounds(plan, Nanos(cap)).may_pause and cap + raised >= plan.cost_ceiling:
        assert not rounds(plan, Nanos(cap + raised)).may_pause


EMPTY = Draft(catalog=CATALOG, day=date(2026, 11, 22), batch_limits={}).plan(
    Head(
        plan_id="p",
        title="",
        workload="",
        source="",
        source_digest="",
        created_at=datetime(2026, 11, 22, tzinfo=UTC),
        simulated=True,
        turnaround=None,
    ),
    wave_exact=1,
    warnings=[],
)
