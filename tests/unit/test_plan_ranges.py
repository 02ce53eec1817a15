"""``plan``: what a draft's range rests on. Known kinds, unknown ones, what was lost, what a pilot bought, later waves."""

from datetime import UTC, date, datetime
from importlib.resources import files
from typing import Any

import pytest

from lowtide.catalog import PACKAGED, Catalog, Lane
from lowtide.catalog.parse import parse
from lowtide.estimate import Basis, Losses, OutputHistory, Sight, TokenRange, output_history
from lowtide.plan import PILOT, Cost, Costs, Draft, Head, Plan
from lowtide.request import RequestKey

DAY = date(2026, 11, 22)
MODEL = "claude-sonnet-5-5"
HALF = Cost(floor=10, likely=100, ceiling=1_000, output_floor=4, output_likely=60, output_ceiling=800)
WHOLE = Cost(floor=20, likely=200, ceiling=2_000, output_floor=8, output_likely=120, output_ceiling=1_600)
COSTS = Costs(realtime=WHOLE, batch=HALF)
SURE = TokenRange(floor=90, likely=100, ceiling=110, basis=Basis.COUNTED)
SEEN = TokenRange(floor=60, likely=100, ceiling=400, basis=Basis.LOCAL)
UNSEEN = TokenRange(floor=60, likely=100, ceiling=200_000, basis=Basis.LIMIT)
OUT = TokenRange(floor=1, likely=50, ceiling=1_000, basis=Basis.LEARNED)
STEADY = output_history([48, 50, 52] * 100, same_run=True)


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    found, problems = parse({name: (files("lowtide.catalog") / name).read_bytes() for name in PACKAGED})
    assert problems == ()
    return found


@pytest.fixture
def draft(catalog: Catalog) -> Draft:
    return Draft(catalog=catalog, day=DAY, batch_limits={"anthropic": (100_000, 10**9)})


def add(draft: Draft, count: int = 1, *, kind: str = "line", tokens_in: TokenRange = SEEN, **said: Any) -> None:
    for number in range(count):
        draft.add(
            key=RequestKey(f"{kind}{number}"),
            kind=kind,
            provider="anthropic",
            model=MODEL,
            tokens_in=tokens_in,
            tokens_out=OUT,
            costs=COSTS,
            body_bytes=100,
            **said,
        )


def add_later(draft: Draft, count: int, tokens_in: TokenRange) -> None:
    draft.add_later(
        wave=1,
        kind="line",
        provider="anthropic",
        model=MODEL,
        requests=count,
        costs=COSTS,
        tokens_in=tokens_in,
        tokens_out=OUT,
    )


def close(draft: Draft, *, losses: Losses | None = None, **learned: OutputHistory) -> Plan:
    head = Head(
        plan_id="p_1",
        title="folder",
        workload="batch",
        source="/in.jsonl",
        source_digest="s" * 64,
        created_at=datetime(2026, 11, 22, 10, tzinfo=UTC),
        simulated=True,
        turnaround=None,
    )
    histories = {(kind, MODEL): history for kind, history in learned.items()}
    return draft.plan(head, wave_exact=1, warnings=(), learned=histories, losses=losses)


def widths(plan: Plan) -> tuple[float, float]:
    return plan.cost_low / plan.cost_likely, plan.cost_high / plan.cost_likely


def test_without_history_answers_go_from_floor_to_ceiling_and_prompts_do_not(draft: Draft) -> None:
    add(draft, 1_000)
    plan = close(draft)
    assert (plan.kinds_unknown, plan.answers_seen, plan.basis_output) == (("line",), 0, "limit")
    answers = (4 * 999 + 8, 800 * 999 + 1_600)
    prompts = (40 * 999 + 80, 200 * 999 + 400)
    assert answers[0] < plan.cost_low < answers[0] + prompts[0]
    assert answers[1] + prompts[0] < plan.cost_high < answers[1] + prompts[1] == plan.cost_ceiling


def test_with_history_the_range_is_narrow(draft: Draft) -> None:
    add(draft, 1_000)
    plan = close(draft, line=STEADY)
    assert (plan.kinds_unknown, plan.answers_seen, plan.basis_output) == ((), 300, "learned")
    low, high = widths(plan)
    assert 0.8 < low < 0.95
    assert 1.05 < high < 1.25


def test_a_history_too_short_is_none(draft: Draft) -> None:
    add(draft, 1_000)
    assert close(draft, line=output_history([50] * 4)).kinds_unknown == ("line",)


def test_only_the_kinds_without_history_are_named(draft: Draft) -> None:
    for kind in ("line", "row", "page"):
        add(draft, 100, kind=kind)
    known = close(draft, line=STEADY, row=STEADY)
    assert (known.kinds_unknown, known.answers_seen, known.basis_output) == (("page",), 600, "limit")
    all_known = close(draft, line=STEADY, row=STEADY, page=STEADY)
    none_known = close(draft)
    assert all_known.cost_high < known.cost_high < none_known.cost_high


def test_the_history_is_of_the_model_that_is_asked(draft: Draft) -> None:
    add(draft, 10)
    assert draft.kinds_unknown({("line", "claude-haiku-5-5"): STEADY}) == ("line",)


def test_what_was_lost_lowers_the_range_and_not_the_likely_cost(draft: Draft) -> None:
    add(draft, 1_000)
    sound, lossy = close(draft, line=STEADY), close(draft, line=STEADY, losses=Losses(asked=1_000, lost=400))
    assert lossy.cost_likely == sound.cost_likely
    assert lossy.cost_low < sound.cost_low
    assert lossy.cost_low <= lossy.cost_likely <= lossy.cost_high


@pytest.mark.parametrize(
    ("tokens_in", "sight", "basis"),
    [
        (SURE, Sight.LETTERS, "counted"),
        (SEEN, Sight.VOCABULARY, "local"),
        (SEEN, Sight.LETTERS, "local"),
        (UNSEEN, Sight.LETTERS, "limit"),
    ],
)
def test_the_surer_the_prompts_the_narrower_the_range(
    catalog: Catalog, tokens_in: TokenRange, sight: Sight, basis: str
) -> None:
    found = []
    for each in ((tokens_in, sight), (UNSEEN, Sight.LETTERS)):
        draft = Draft(catalog=catalog, day=DAY, batch_limits={"anthropic": (100_000, 10**9)})
        add(draft, 500, tokens_in=each[0], sight=each[1])
        found.append(close(draft, line=STEADY))
    assert found[0].basis_input == basis
    assert found[0].cost_high <= found[1].cost_high
    assert found[0].cost_low >= found[1].cost_low


def test_sights_are_in_their_order(catalog: Catalog) -> None:
    highs = []
    for tokens_in, sight in (
        (SURE, Sight.LETTERS),
        (SEEN, Sight.VOCABULARY),
        (SEEN, Sight.LETTERS),
        (UNSEEN, Sight.LETTERS),
    ):
        draft = Draft(catalog=catalog, day=DAY, batch_limits={"anthropic": (100_000, 10**9)})
        add(draft, 500, tokens_in=tokens_in, sight=sight)
        highs.append(close(draft, line=STEADY).cost_high)
    assert highs == sorted(set(highs))


def test_one_prompt_that_cannot_be_seen_does_not_make_all_unseen(draft: Draft) -> None:
    add(draft, 500)
    before = close(draft, line=STEADY)
    add(draft, 1, tokens_in=UNSEEN)
    after = close(draft, line=STEADY)
    assert after.basis_input == "local"
    # Its prompt alone goes to its ceiling: 200 where 40 are likely.
    assert 200 <= after.cost_high - before.cost_high < 400


def test_a_later_wave_is_seen_by_its_bytes_or_not_at_all(catalog: Catalog) -> None:
    found = []
    for tokens_in in (SEEN, UNSEEN):
        draft = Draft(catalog=catalog, day=DAY, batch_limits={"anthropic": (100_000, 10**9)})
        add(draft, 100)
        add_later(draft, 400, tokens_in)
        found.append(close(draft, line=STEADY))
    assert [plan.requests for plan in found] == [500, 500]
    assert found[0].cost_likely == found[1].cost_likely
    assert found[0].cost_high < found[1].cost_high


def test_what_a_pilot_bought_costs_nothing_and_its_kind_is_tried(draft: Draft) -> None:
    draft.add_bought(kind="line", provider="anthropic", model=MODEL)
    add(draft, 9)
    plan = close(draft, line=STEADY)
    assert [(line.route, line.requests, line.cost_ceiling) for line in plan.lines] == [
        ("batch", 9, 9_000),
        (PILOT, 1, 0),
    ]
    assert (plan.requests, plan.reused, plan.cost_likely) == (10, 1, 900)
    assert plan.waves[0].kinds == {"line": 10}


def test_waves_are_summed_over_kinds_and_sights(draft: Draft) -> None:
    add(draft, 3)
    add(draft, 2, kind="row", tokens_in=SURE)
    asked: list[tuple[str, str, int, int, int]] = []

    def seconds(*figures: Any) -> int:
        asked.append(figures)
        return 7

    (line,) = draft.wave_lines(1, seconds)
    assert line.lanes == {"realtime": (1_000, 10_000), "batch": (500, 5_000)}
    assert asked == [("anthropic", MODEL, 5, 500, 250)]
    assert line.realtime_seconds == 7


def test_prompts_and_answers_add_up_to_the_whole(draft: Draft) -> None:
    add(draft, 7)
    total = draft.total(Lane.BATCH)
    assert (total.likely, total.output_likely) == (6 * 100 + 200, 6 * 60 + 120)
    assert draft.range_on(Lane.BATCH, {("line", MODEL): STEADY}).ceiling == total.ceiling
