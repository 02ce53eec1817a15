"""``plan``: a draft adds up, a digest holds the promise, price changes are seen, rounds are counted, long prompts named."""

from collections.abc import Callable
from dataclasses import fields, replace
from datetime import UTC, date, datetime, timedelta
from importlib.resources import files
from typing import Any

import pytest

from lowtide import plan as planning
from lowtide.catalog import PACKAGED, Catalog, Lane
from lowtide.catalog.parse import parse
from lowtide.estimate import Basis, OutputHistory, Sight, TokenRange
from lowtide.money import Nanos
from lowtide.plan import (
    PILOT,
    Cost,
    Costs,
    Draft,
    Head,
    Line,
    LongPrompt,
    Plan,
    Rounds,
    Turnaround,
    WaveLine,
    price_changes,
    rounds,
    route_lots,
)
from lowtide.request import RequestKey
from lowtide.routing import Lot, Offer, Route

DAY = date(2026, 11, 22)
NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)
SONNET, HAIKU, LUNA = "claude-sonnet-5-5", "claude-haiku-5-5", "gpt-5.6-luna"
LIMITS = {"anthropic": (100, 10_000), "openai": (50, 5_000)}


def cost(floor: int, likely: int, ceiling: int) -> Cost:
    """A cost of which three quarters are the answer's."""
    return Cost(
        floor=floor,
        likely=likely,
        ceiling=ceiling,
        output_floor=floor * 3 // 4,
        output_likely=likely * 3 // 4,
        output_ceiling=ceiling * 3 // 4,
    )


COSTS = Costs(batch=cost(1, 10, 100), realtime=cost(2, 20, 200))


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    found, problems = parse({name: (files("lowtide.catalog") / name).read_bytes() for name in PACKAGED})
    assert problems == ()
    return found


@pytest.fixture
def draft(catalog: Catalog) -> Draft:
    return Draft(catalog=catalog, day=DAY, batch_limits=LIMITS)


def head(**values: Any) -> Head:
    made = Head(
        plan_id="p_1",
        title="folder",
        workload="batch",
        source="/in.jsonl",
        source_digest="s" * 64,
        created_at=NOW,
        simulated=True,
        turnaround=Turnaround(batches=3, half=timedelta(minutes=4), nine_in_ten=timedelta(hours=1)),
    )
    return replace(made, **values)


def tokens(likely: int, basis: Basis = Basis.LOCAL) -> TokenRange:
    return TokenRange(floor=likely // 2, likely=likely, ceiling=likely * 2, basis=basis)


def add(
    draft: Draft,
    *,
    key: str = "a",
    kind: str = "line",
    provider: str = "anthropic",
    model: str = SONNET,
    tokens_in: int = 1000,
    tokens_out: int = 50,
    costs: Costs = COSTS,
    body_bytes: int = 100,
    basis: Basis = Basis.LOCAL,
) -> None:
    draft.add(
        key=RequestKey(key),
        kind=kind,
        provider=provider,
        model=model,
        tokens_in=tokens(tokens_in, basis),
        tokens_out=tokens(tokens_out),
        costs=costs,
        body_bytes=body_bytes,
        sight=Sight.LETTERS,
    )


def close(draft: Draft, **values: Any) -> Plan:
    return draft.plan(head(**values), wave_exact=1, warnings=["watch out"])


def counts(plan: Plan) -> dict[tuple[str, str], int]:
    return {(line.route, line.model): line.requests for line in plan.lines}


@pytest.fixture
def made(draft: Draft) -> Plan:
    for number in range(3):
        add(draft, key=f"k{number}")
    return close(draft)


# adding up


def test_the_first_of_a_kind_is_tried_in_real_time(made: Plan) -> None:
    assert made.lines == (
        Line(
            route="batch",
            provider="anthropic",
            model=SONNET,
            requests=2,
            input_tokens=2000,
            output_tokens=100,
            cost_floor=Nanos(2),
            cost_likely=Nanos(20),
            cost_ceiling=Nanos(200),
            realtime_likely=Nanos(40),
            parts=1,
        ),
        Line(
            route="realtime",
            provider="anthropic",
            model=SONNET,
            requests=1,
            input_tokens=1000,
            output_tokens=50,
            cost_floor=Nanos(2),
            cost_likely=Nanos(20),
            cost_ceiling=Nanos(200),
            realtime_likely=Nanos(20),
            parts=0,
        ),
    )
    assert (made.requests, made.cost_floor, made.cost_likely, made.cost_ceiling) == (3, 4, 40, 400)
    assert (made.realtime_likely, made.saving, made.largest_ceiling) == (60, 20, 200)
    lanes = {"realtime": (60, 600), "batch": (30, 300)}
    assert made.waves == (WaveLine(wave=0, requests=3, kinds={"line": 3}, exact=True, lanes=lanes),)
    assert (made.warnings, made.provider, made.route) == (("watch out",), "anthropic", "batch")


def test_each_kind_and_each_model_is_tried(draft: Draft) -> None:
    for kind, model in (("line", SONNET), ("line", HAIKU), ("summary", SONNET), ("line", SONNET)):
        add(draft, kind=kind, model=model)
    assert counts(close(draft)) == {("realtime", SONNET): 2, ("realtime", HAIKU): 1, ("batch", SONNET): 1}


def test_each_provider_is_tried_and_has_lines_of_its_own(draft: Draft) -> None:
    """That one provider takes a body does not say that another does."""
    for provider, model in (("openai", LUNA), ("anthropic", SONNET), ("openai", LUNA)):
        add(draft, provider=provider, model=model)
    plan = close(draft)
    assert [(line.route, line.provider, line.requests) for line in plan.lines] == [
        ("batch", "openai", 1),
        ("realtime", "anthropic", 1),
        ("realtime", "openai", 1),
    ]
    assert plan.provider == "anthropic openai"


@pytest.mark.parametrize(
    ("count", "size", "parts"), [(2, 100, 1), (101, 1, 1), (102, 1, 2), (102, 99, 2), (102, 200, 3), (4, 9999, 3)]
)
def test_parts_are_what_the_provider_s_limits_make(draft: Draft, count: int, size: int, parts: int) -> None:
    for number in range(count):
        add(draft, key=str(number), body_bytes=size)
        add(draft, key=str(number), body_bytes=size, provider="openai", model=LUNA)
    plan = close(draft)
    theirs = -(-(count - 1) * max(100, size) // 5000)
    assert [line.parts for line in plan.lines] == [parts, theirs, 0, 0], "each provider has its own limits"


# lanes


WINDOWS = (Lane.WINDOW_2H, Lane.WINDOW_8H)


def test_everything_goes_by_the_lane_that_was_chosen(draft: Draft) -> None:
    for number in range(3):
        add(draft, key=str(number))
    plan = close(draft, route="realtime")
    (line,) = plan.lines
    assert (line.route, line.requests, line.cost_likely, line.parts) == ("realtime", 3, 60, 0)
    assert (plan.cost_ceiling, plan.largest_ceiling, plan.saving) == (600, 200, 0)
    assert [used.lane for used in plan.prices] == ["realtime"]


def test_what_has_no_batch_goes_in_real_time(draft: Draft) -> None:
    add(draft)
    add(draft)
    for _ in range(2):
        add(draft, model=HAIKU, costs=replace(COSTS, batch=None))
    plan = close(draft)
    assert counts(plan) == {("batch", SONNET): 1, ("realtime", SONNET): 1, ("realtime", HAIKU): 2}
    assert plan.cost_likely == 10 + 20 + 2 * 20
    assert plan.waves[0].lanes == {"realtime": (80, 800), "batch": (60, 600)}, "each lane as far as it goes"
    assert (COSTS.cheapest, replace(COSTS, batch=None).cheapest) == (COSTS.batch, COSTS.realtime)


@pytest.fixture
def windows(catalog: Catalog) -> Draft:
    """Two requests that may wait eight hours at the most, two that have no window, one without even a batch."""
    draft = Draft(catalog=catalog, day=DAY, batch_limits=LIMITS, windows=WINDOWS)
    window = replace(COSTS, windows={Lane.WINDOW_2H: cost(1, 14, 140), Lane.WINDOW_8H: cost(1, 12, 120)})
    for costs in (window, window, COSTS, COSTS, replace(COSTS, batch=None)):
        add(draft, provider="openai", model=LUNA, costs=costs)
    return draft


def test_a_window_is_for_those_that_have_it_and_the_others_go_the_next_dearer_way(windows: Draft) -> None:
    plan = close(windows, route="8h")
    assert counts(plan) == {("8h", LUNA): 1, ("batch", LUNA): 2, ("realtime", LUNA): 2}
    assert plan.cost_likely == 12 + 2 * 10 + 2 * 20
    assert counts(close(windows, route="2h"))["2h", LUNA] == 1
    assert counts(close(windows)) == {("batch", LUNA): 3, ("realtime", LUNA): 2}
    assert plan.waves[0].lanes == {
        "realtime": (100, 1000),
        "batch": (60, 600),
        "2h": (2 * 14 + 2 * 10 + 20, 2 * 140 + 2 * 100 + 200),
        "8h": (2 * 12 + 2 * 10 + 20, 2 * 120 + 2 * 100 + 200),
    }


def test_the_dearest_ceiling_is_of_any_lane_but_the_batch() -> None:
    """It is what is reserved for a call, so no lane that a call may take can pass it."""
    assert COSTS.dearest_ceiling == 200
    dear = replace(COSTS, windows={Lane.WINDOW_2H: cost(1, 2, 250), Lane.WINDOW_8H: cost(1, 2, 3)})
    assert dear.dearest_ceiling == 250


def test_a_plan_that_may_move_holds_for_every_lane_that_it_may_move_to(draft: Draft) -> None:
    """Promise 5: the ceiling that is shown is that of the dearest lane, with the prices of every one."""
    for number in range(3):
        add(draft, key=str(number))
    stays, moves = close(draft), close(draft, moves=True, moves_likely=Nanos(7))
    assert (stays.cost_ceiling, moves.cost_ceiling) == (400, 600)
    assert (stays.cost_likely, moves.cost_likely, moves.moves_likely) == (40, 47, 7)
    assert (stays.largest_ceiling, moves.largest_ceiling) == (200, 200)
    assert (stays.cost_floor, moves.cost_floor) == (4, 4)
    assert {used.lane for used in moves.prices} == {"realtime", "batch"}
    above = close(draft, moves=True, moves_likely=Nanos(10_000))
    assert (above.cost_likely, above.moves_likely) == (600, 560), "no more than everything in real time can cost"


def test_routing_gets_what_each_wave_costs_on_each_lane(windows: Draft) -> None:
    asked: list[tuple[object, ...]] = []

    def seconds(*what: object) -> int:
        asked.append(what)
        return 9

    lines = windows.wave_lines(1, seconds)
    assert asked == [("openai", LUNA, 5, 5000, 250)]
    assert route_lots(lines) == [
        Lot(
            requests=5,
            offers={
                Route(lane): Offer(likely=Nanos(likely), ceiling=Nanos(ceiling))
                for lane, (likely, ceiling) in lines[0].lanes.items()
            },
            realtime_seconds=9,
        )
    ]


# later waves


LATER = Costs(batch=cost(1, 10, 101), realtime=cost(2, 21, 201))


def add_later(
    draft: Draft,
    requests: int = 10,
    kind: str = "line",
    *,
    wave: int = 1,
    model: str = SONNET,
    tokens_in: int = 500,
    tokens_out: int = 50,
    largest: Costs | None = None,
    key: str = "",
) -> None:
    draft.add_later(
        wave=wave,
        kind=kind,
        provider="anthropic",
        model=model,
        requests=requests,
        costs=LATER,
        tokens_in=tokens(tokens_in),
        tokens_out=tokens(tokens_out),
        largest=largest,
        key=RequestKey(key) if key else None,
    )


def test_a_later_wave_of_a_known_kind_goes_out_in_batches(draft: Draft) -> None:
    add(draft)
    add_later(draft)
    plan = close(draft)
    batch, realtime = plan.lines
    assert (batch.requests, realtime.requests, plan.requests) == (10, 1, 11)
    assert (batch.cost_likely, batch.cost_ceiling, batch.input_tokens, batch.output_tokens) == (100, 1010, 5000, 500)
    lanes = {"realtime": (210, 2010), "batch": (100, 1010)}
    assert plan.waves[1] == WaveLine(wave=1, requests=10, kinds={"line": 10}, exact=False, lanes=lanes)
    assert plan.realtime_likely == 20 + 210


def test_of_a_new_kind_in_a_later_wave_one_is_tried_in_real_time_at_the_average(draft: Draft) -> None:
    add(draft)
    add_later(draft, kind="summary")
    plan = close(draft)
    batch, realtime = plan.lines
    assert (batch.requests, realtime.requests) == (9, 2)
    assert (realtime.cost_likely, realtime.cost_ceiling) == (20 + 21, 200 + 201)
    assert plan.cost_ceiling == 9 * 101 + 200 + 201


def test_the_largest_ceiling_may_be_in_a_later_wave(draft: Draft) -> None:
    """Else a plan promises rounds under a cap that cannot hold one request of its last wave."""
    add(draft, costs=Costs(batch=cost(1, 1, 1), realtime=cost(1, 2, 2)))
    add_later(draft)
    assert close(draft).largest_ceiling == 101
    add_later(draft, requests=1, kind="summary")
    assert close(draft).largest_ceiling == 201


def test_of_a_later_wave_the_largest_request_counts_not_the_average(draft: Draft) -> None:
    add(draft, costs=Costs(batch=cost(1, 1, 1), realtime=cost(1, 2, 2)))
    add_later(draft, largest=Costs(batch=cost(1, 10, 900), realtime=cost(2, 21, 1_800)))
    plan = close(draft)
    assert (plan.largest_ceiling, plan.cost_ceiling) == (900, 2 + 10 * 101)
    add_later(draft, kind="summary", largest=Costs(batch=cost(1, 10, 900), realtime=cost(2, 21, 1_800)))
    plan = close(draft)
    assert plan.largest_ceiling == 1_800, "the first of a kind goes out in real time, and may be the largest"
    assert plan.cost_ceiling == 2 + 19 * 101 + 1_800


def test_each_wave_is_at_least_one_batch_of_its_own(draft: Draft) -> None:
    """Waves wait for one another: no batch holds requests of two."""
    add(draft)
    add(draft, key="b")
    for wave in (1, 2, 3):
        add_later(draft, requests=1, wave=wave)
    batch, realtime = close(draft).lines
    assert (batch.requests, batch.parts, realtime.parts) == (4, 4, 0)


def test_a_later_wave_of_nothing_is_nothing(draft: Draft) -> None:
    add(draft)
    before = close(draft)
    add_later(draft, requests=0, kind="summary")
    assert close(draft) == before


# what a pilot bought


def test_what_a_pilot_bought_costs_nothing_here_and_its_kind_is_tried(draft: Draft) -> None:
    draft.add_bought(kind="line", provider="anthropic", model=SONNET)
    add(draft)
    add(draft)
    plan = close(draft, pilot="p_0")
    assert counts(plan) == {("batch", SONNET): 2, (PILOT, SONNET): 1}
    assert (plan.requests, plan.reused, plan.pilot, plan.cost_likely) == (3, 1, "p_0", 20)
    assert plan.waves[0].kinds == {"line": 3}
    assert plan.realtime_likely == 40, "nor would it cost anything in real time"


# ranges


def history(answers: int = 500, mean: int = 50) -> OutputHistory:
    return OutputHistory(answers=answers, mean_tokens=mean, low_tokens=mean, high_tokens=mean, runs=3)


def learned(draft: Draft, found: dict[tuple[str, str], OutputHistory]) -> Plan:
    return draft.plan(head(), wave_exact=1, warnings=[], learned=found)


def test_without_earlier_answers_the_range_goes_from_floor_to_ceiling(draft: Draft) -> None:
    """What is not known is marked, and never taken for sure."""
    for number in range(3):
        add(draft, key=str(number))
    plan = close(draft)
    floor, ceiling = 4 * 3 // 4, 400 * 3 // 4  # of the answers
    assert plan.cost_low <= floor + 10
    assert plan.cost_high >= ceiling + 10
    assert (plan.kinds_unknown, plan.answers_seen, plan.basis_output) == (("line",), 0, "limit")


def test_with_earlier_answers_the_range_is_narrow(draft: Draft) -> None:
    for number in range(300):
        add(draft, key=str(number))
    plan = learned(draft, {("line", SONNET): history()})
    assert plan.cost_floor < plan.cost_low < plan.cost_likely < plan.cost_high < plan.cost_ceiling // 3
    assert (plan.kinds_unknown, plan.answers_seen, plan.basis_output) == ((), 500, "learned")


@pytest.mark.parametrize(
    "found", [{("line", HAIKU): history()}, {("summary", SONNET): history()}, {("line", SONNET): history(1)}]
)
def test_answers_of_another_kind_or_model_or_too_few_teach_nothing(
    draft: Draft, found: dict[tuple[str, str], OutputHistory]
) -> None:
    add(draft)
    assert learned(draft, found).kinds_unknown == ("line",)
    assert learned(draft, found).answers_seen == 0


@pytest.mark.parametrize(
    ("bases", "said"),
    [
        ([Basis.LOCAL], "local"),
        ([Basis.COUNTED], "counted"),
        ([Basis.LIMIT], "limit"),
        ([Basis.COUNTED, Basis.LOCAL], "local"),
        ([Basis.LIMIT, Basis.COUNTED], "local"),
    ],
)
def test_the_plan_says_what_its_prompts_figures_rest_on(draft: Draft, bases: list[Basis], said: str) -> None:
    for basis in bases:
        add(draft, basis=basis)
    assert close(draft).basis_input == said


# long prompts (B13)


@pytest.mark.parametrize(
    ("count", "long", "near"), [(90_000, 0, 0), (90_001, 0, 1), (100_000, 0, 1), (100_001, 1, 0), (500_000, 1, 0)]
)
def test_prompts_over_a_threshold_and_near_it_are_counted(draft: Draft, count: int, long: int, near: int) -> None:
    add(draft, model=HAIKU, tokens_in=count)
    plan = close(draft)
    assert (plan.long_prompts_count, plan.near_threshold_count) == (long, near)


def test_a_long_prompt_is_named_with_what_it_adds(draft: Draft, catalog: Catalog) -> None:
    add(draft, model=HAIKU)
    add(draft, key="long one", model=HAIKU, tokens_in=200_000, tokens_out=1000)
    (found,) = close(draft).long_prompts
    sheet = catalog.sheet("anthropic", HAIKU, Lane.BATCH, DAY)
    extra = sheet.likely_nanos(200_000, 1000) - 2 * sheet.likely_nanos(100_000, 0) - sheet.likely_nanos(0, 1000)
    assert found == LongPrompt(key=RequestKey("long one"), input_tokens=200_000, threshold=100_000, extra=Nanos(extra))
    assert found.extra > 0


@pytest.mark.parametrize("route", [Lane.BATCH, Lane.REALTIME])
def test_what_a_long_prompt_adds_is_told_of_the_lane_that_it_takes(draft: Draft, catalog: Catalog, route: Lane) -> None:
    """The first of a kind is tried in real time, whatever the others take; a later wave's, too."""
    for key in ("first", "second"):
        add(draft, key=key, model=HAIKU, tokens_in=200_000, tokens_out=1000)
    add_later(draft, 1, "summary", model=HAIKU, tokens_in=200_000, tokens_out=1000, key="later")

    def added(lane: Lane) -> int:
        sheet = catalog.sheet("anthropic", HAIKU, lane, DAY)
        base = 2 * sheet.likely_nanos(100_000, 0) + sheet.likely_nanos(0, 1000)
        return sheet.likely_nanos(200_000, 1000) - base

    assert {found.key: found.extra for found in close(draft, route=route.value).long_prompts} == {
        "first": added(Lane.REALTIME),
        "second": added(route),
        "later": added(Lane.REALTIME),
    }


@pytest.mark.parametrize(("count", "long", "near"), [(90_000, 0, 0), (95_000, 0, 1), (150_000, 1, 0)])
def test_one_request_of_a_later_wave_is_long_by_name(draft: Draft, count: int, long: int, near: int) -> None:
    add(draft, model=HAIKU)
    add_later(draft, 1, "summary", model=HAIKU, tokens_in=count, key="file:node:summary")
    plan = close(draft)
    assert (plan.long_prompts_count, plan.near_threshold_count) == (long, near)
    assert [found.key for found in plan.long_prompts] == ["file:node:summary"] * long


def test_only_so_many_long_prompts_are_listed_and_all_are_counted(draft: Draft) -> None:
    for number in range(planning.LONG_PROMPTS_LISTED + 5):
        add(draft, key=str(number), model=HAIKU, tokens_in=150_000)
    plan = close(draft)
    assert len(plan.long_prompts) == planning.LONG_PROMPTS_LISTED
    assert plan.long_prompts_count == planning.LONG_PROMPTS_LISTED + 5


def test_a_model_without_thresholds_has_no_long_prompts(draft: Draft) -> None:
    add(draft, tokens_in=900_000)
    assert (close(draft).long_prompts_count, close(draft).near_threshold_count) == (0, 0)


# digest


def other(value: object) -> object:
    match value:
        case bool():
            return not value
        case int():
            return value + 1
        case str():
            return value + "x"
        case date() if not isinstance(value, datetime):
            return value + timedelta(days=1)
        case tuple():
            return value[:-1] if value else ("x",)
        case Turnaround():
            return replace(value, batches=value.batches + 1)
        case None:
            return NOW
    raise AssertionError(value)


PROMISED = [found.name for found in fields(Plan) if found.name not in ("plan_id", "digest", "created_at")]


@pytest.mark.parametrize("name", PROMISED)
def test_the_digest_changes_with_any_figure(made: Plan, name: str) -> None:
    changed = replace(made, **{name: other(getattr(made, name))})
    assert planning.digest(changed) != made.digest


@pytest.mark.parametrize("name", [found.name for found in fields(Line)])
def test_the_digest_changes_with_any_figure_of_a_line(made: Plan, name: str) -> None:
    line = replace(made.lines[0], **{name: other(getattr(made.lines[0], name))})
    assert planning.digest(replace(made, lines=(line, *made.lines[1:]))) != made.digest


def test_the_digest_is_the_promise_s_and_not_the_moment_s(made: Plan) -> None:
    again = replace(made, plan_id="p_2", digest="", created_at=NOW + timedelta(days=1))
    assert planning.digest(again) == planning.digest(made) == made.digest
    assert len(made.digest) == 64


def test_a_kept_plan_reads_back(made: Plan) -> None:
    assert planning.decode(planning.encode(made)) == made


# prices


def test_prices_of_both_lanes_are_kept_with_their_sources(made: Plan) -> None:
    assert [(used.model, used.lane, used.day) for used in made.prices] == [
        (SONNET, "realtime", DAY),
        (SONNET, "batch", DAY),
    ]
    assert all("checked" in source for source in planning.price_sources(made))
    assert list(planning.price_sources(made)) == sorted(set(planning.price_sources(made)))


def with_prices(catalog: Catalog, change: Callable[[Any], Any]) -> Catalog:
    return replace(catalog, prices=tuple(change(row) for row in catalog.prices))


def test_prices_that_hold_are_no_change(made: Plan, catalog: Catalog) -> None:
    assert price_changes(made, catalog, DAY) == ()
    assert price_changes(made, catalog, DAY + timedelta(days=1)) == ()


def test_a_price_that_changed_is_named(made: Plan, catalog: Catalog) -> None:
    def dearer(row: Any) -> Any:
        hit = row.model == SONNET and row.lane is Lane.BATCH and row.kind == "output"
        return replace(row, dollars_per_million=row.dollars_per_million * 2) if hit else row

    assert price_changes(made, with_prices(catalog, dearer), DAY) == (
        f"the batch price of {SONNET} on {DAY} differs from that of {DAY}",
    )


def test_a_price_that_is_gone_is_named(made: Plan, catalog: Catalog) -> None:
    def ended(row: Any) -> Any:
        return replace(row, effective_to=DAY) if row.model == SONNET and row.effective_to is None else row

    changes = price_changes(made, with_prices(catalog, ended), DAY)
    assert len(changes) == 2
    assert changes[0].startswith(f"{SONNET} (realtime) has no price on {DAY}: no price for {SONNET}")


# rounds


def capped(made: Plan, *, likely: int, ceiling: int, largest: int) -> Plan:
    return replace(made, cost_likely=Nanos(likely), cost_ceiling=Nanos(ceiling), largest_ceiling=Nanos(largest))


@pytest.mark.parametrize(
    ("likely", "ceiling", "largest", "cap", "expected"),
    [
        (40, 100, 1, 100, Rounds(rounds=1, may_pause=False)),
        (40, 100, 1, 10**9, Rounds(rounds=1, may_pause=False)),
        (40, 100, 1, 99, Rounds(rounds=2, may_pause=False)),
        (50, 100, 1, 60, Rounds(rounds=3, may_pause=False)),  # 60, then 30, then 10
        (50, 100, 50, 60, Rounds(rounds=1, may_pause=True)),  # the next ceiling does not fit what is left
        (100, 100, 1, 99, Rounds(rounds=1, may_pause=True)),
        (50, 100, 70, 60, Rounds(rounds=1, may_pause=True)),  # not even one fits
        (0, 0, 0, 0, Rounds(rounds=1, may_pause=False)),
        (40, 100, 1, 0, Rounds(rounds=1, may_pause=True)),
        (0, 100_000, 1, 10, Rounds(rounds=1000, may_pause=True)),  # counting stops somewhere
    ],
)
def test_rounds_are_counted(made: Plan, likely: int, ceiling: int, largest: int, cap: int, expected: Rounds) -> None:
    assert rounds(capped(made, likely=likely, ceiling=ceiling, largest=largest), Nanos(cap)) == expected
