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
from lowtide.estimate import Basis, TokenRange
from lowtide.money import Nanos
from lowtide.plan import Costs, Draft, Head, Line, LongPrompt, Plan, Rounds, Turnaround, WaveLine, price_changes, rounds
from lowtide.request import RequestKey

DAY = date(2026, 11, 22)
NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)
SONNET, HAIKU = "claude-sonnet-5-5", "claude-haiku-5-5"
COSTS = Costs(floor=1, likely=10, ceiling=100, realtime_floor=2, realtime_likely=20, realtime_ceiling=200)


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    found, problems = parse({name: (files("lowtide.catalog") / name).read_bytes() for name in PACKAGED})
    assert problems == ()
    return found


@pytest.fixture
def draft(catalog: Catalog) -> Draft:
    return Draft(catalog=catalog, provider="anthropic", day=DAY, batch_requests_max=100, batch_bytes_max=10_000)


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
        basis_input=Basis.LOCAL,
        basis_output=Basis.LIMIT,
    )
    return replace(made, **values)


def tokens(likely: int) -> TokenRange:
    return TokenRange(floor=likely // 2, likely=likely, ceiling=likely * 2, basis=Basis.LOCAL)


def add(
    draft: Draft,
    *,
    key: str = "a",
    kind: str = "line",
    model: str = SONNET,
    tokens_in: int = 1000,
    tokens_out: int = 50,
    costs: Costs = COSTS,
    body_bytes: int = 100,
) -> None:
    draft.add(
        key=RequestKey(key),
        kind=kind,
        model=model,
        tokens_in=tokens(tokens_in),
        tokens_out=tokens(tokens_out),
        costs=costs,
        body_bytes=body_bytes,
    )


def close(draft: Draft, **values: Any) -> Plan:
    return draft.plan(head(**values), wave_exact=1, warnings=["watch out"])


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
    assert made.waves == (WaveLine(wave=0, requests=3, kinds={"line": 3}, exact=True),)
    assert made.warnings == ("watch out",)


def test_each_kind_and_each_model_is_tried(draft: Draft) -> None:
    for kind, model in (("line", SONNET), ("line", HAIKU), ("summary", SONNET), ("line", SONNET)):
        add(draft, kind=kind, model=model)
    counts = {(line.route, line.model): line.requests for line in close(draft).lines}
    assert counts == {("realtime", SONNET): 2, ("realtime", HAIKU): 1, ("batch", SONNET): 1}


@pytest.mark.parametrize(
    ("count", "size", "parts"), [(2, 100, 1), (101, 1, 1), (102, 1, 2), (102, 99, 2), (102, 200, 3), (4, 9999, 3)]
)
def test_parts_are_what_the_provider_s_limits_make(draft: Draft, count: int, size: int, parts: int) -> None:
    for number in range(count):
        add(draft, key=str(number), body_bytes=size)
    assert close(draft).lines[0].parts == parts


LATER = Costs(floor=10, likely=100, ceiling=1001, realtime_floor=20, realtime_likely=203, realtime_ceiling=2003)


def add_later(draft: Draft, requests: int = 10, kind: str = "line") -> None:
    draft.add_later(wave=1, kind=kind, model=SONNET, requests=requests, costs=LATER, tokens=(5000, 500))


def test_a_later_wave_of_a_known_kind_goes_out_in_batches(draft: Draft) -> None:
    add(draft)
    add_later(draft)
    plan = close(draft)
    batch, realtime = plan.lines
    assert (batch.requests, realtime.requests, plan.requests) == (10, 1, 11)
    assert (batch.cost_likely, batch.cost_ceiling, batch.input_tokens) == (100, 1001, 5000)
    assert plan.waves[1] == WaveLine(wave=1, requests=10, kinds={"line": 10}, exact=False)
    assert plan.realtime_likely == 223


def test_of_a_new_kind_in_a_later_wave_one_is_tried_in_real_time_at_the_average(draft: Draft) -> None:
    add(draft)
    add_later(draft, kind="summary")
    plan = close(draft)
    batch, realtime = plan.lines
    assert (batch.requests, realtime.requests) == (9, 2)
    assert realtime.cost_likely == 20 + (203 - 100) // 10
    assert realtime.cost_ceiling == 200 + -(-(2003 - 1001) // 10)
    assert plan.cost_ceiling == 1001 + 200 + 101


def test_the_largest_ceiling_may_be_in_a_later_wave(draft: Draft) -> None:
    """Else a plan promises rounds under a cap that cannot hold one request of its last wave."""
    add(draft)
    add_later(draft, requests=2)
    assert close(draft).largest_ceiling == 501
    add_later(draft, requests=1, kind="summary")
    assert close(draft).largest_ceiling == 2003


def test_a_later_wave_of_nothing_is_nothing(draft: Draft) -> None:
    add(draft)
    before = close(draft)
    add_later(draft, requests=0, kind="summary")
    assert close(draft) == before


# ranges


@pytest.mark.parametrize(
    ("spread", "low", "high"), [(None, 4, 400), (0, 40, 40), (25, 30, 50), (95, 4, 78), (5000, 4, 400)]
)
def test_the_range_is_the_spread_kept_inside_floor_and_ceiling(
    draft: Draft, spread: int | None, low: int, high: int
) -> None:
    for number in range(3):
        add(draft, key=str(number))
    plan = close(draft, spread=spread)
    assert (plan.cost_low, plan.cost_high) == (low, high)


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
