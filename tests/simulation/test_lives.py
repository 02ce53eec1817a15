"""Whole lives from seeds end well: 500 of them, more by ``make sim N=10000``. A failure prints its seed."""

import asyncio
import os

import pytest
from life import Life, seeded, told

LIVES = int(os.environ.get("LOWTIDE_LIVES", "500"))
FIRST = int(os.environ.get("LOWTIDE_FIRST_SEED", "0"))
pytestmark = pytest.mark.no_cover  # what they cover, unit tests cover alone; measuring would cost a third more
A_TEST = 10  # lives a test, so that the report stays readable


@pytest.mark.parametrize("first", range(FIRST, FIRST + LIVES, A_TEST))
def test_lives_end_well(first):
    """Nothing lost, nothing bought twice, no budget passed, the ledger equal to the bill."""
    for seed in range(first, min(first + A_TEST, FIRST + LIVES)):
        life = seeded(seed)
        try:
            life.judge(life.live())
        except AssertionError as error:
            raise AssertionError(f"{told(life)}: {error}") from error
        finally:
            life.bury()


def test_the_same_seed_gives_the_same_life():
    """Promise 7."""
    first, second = seeded(12), seeded(12)
    reports = [first.live(), second.live()]

    assert first.crashes == second.crashes
    assert reports[0].spent == reports[1].spent
    assert [batch.provider_batch_id for batch in reports[0].batches] == [
        batch.provider_batch_id for batch in reports[1].batches
    ]
    assert reports[0].ended_at == reports[1].ended_at
    first.bury()
    second.bury()


def test_a_life_without_trouble_costs_what_the_plan_could_cost():
    life = Life(seed=1, widths=(5, 2))
    report = life.live()
    life.judge(report)

    assert report.answered == 7
    assert 0 < report.spent <= report.plan_ceiling
    life.bury()


def test_a_second_plan_learns_from_the_first_run():
    """Without earlier answers a plan says so; with them its likely cost is near what the same work cost."""
    life = Life(seed=8, widths=(30,))
    report = life.live()
    planned = asyncio.run(life.plan_again()).plan

    assert report.plan_likely < report.spent * 7 // 10, "half of each limit is a poor guess here"
    assert planned.basis_output == "learned"
    assert abs(planned.cost_likely - report.spent) < report.spent // 5
    assert planned.cost_low <= report.spent <= planned.cost_high
    life.bury()
