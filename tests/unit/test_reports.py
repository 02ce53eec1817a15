"""``reports``: turnarounds and times of readiness from what is known; without history nothing is known."""

from datetime import UTC, datetime, timedelta

import pytest

from lowtide.plan import Turnaround
from lowtide.reports import FailureReport, ready, turnaround

NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
USUAL = Turnaround(batches=9, half=10 * MINUTE, nine_in_ten=60 * MINUTE)


def minutes(*numbers: int) -> list[timedelta]:
    return [number * MINUTE for number in numbers]


def test_without_history_nothing_is_known() -> None:
    assert turnaround([]) is None
    assert ready(None, oldest_open=NOW, waves_left=1, now=NOW) == (None, None)


@pytest.mark.parametrize(
    ("durations", "half", "nine"),
    [
        (minutes(7), 7, 7),
        (minutes(9, 3), 3, 9),
        (minutes(5, 1, 3), 3, 5),
        (minutes(*range(1, 12)), 6, 10),
        (minutes(*range(100, 0, -1)), 50, 91),
    ],
)
def test_half_and_nine_in_ten_are_ones_that_were(durations: list[timedelta], half: int, nine: int) -> None:
    assert turnaround(durations) == Turnaround(batches=len(durations), half=half * MINUTE, nine_in_ten=nine * MINUTE)


@pytest.mark.parametrize(
    ("begun", "waves_left", "first", "last"),
    [
        (None, 0, 10, 60),
        (0, 0, 10, 60),
        (4, 0, 6, 56),
        (30, 0, 0, 30),  # longer than half of them already
        (90, 0, 0, 0),
        (4, 2, 26, 176),
    ],
)
def test_readiness_counts_from_the_oldest_batch_and_a_turnaround_a_wave(
    begun: int | None, waves_left: int, first: int, last: int
) -> None:
    oldest = None if begun is None else NOW - begun * MINUTE
    assert ready(USUAL, oldest_open=oldest, waves_left=waves_left, now=NOW) == (
        NOW + first * MINUTE,
        NOW + last * MINUTE,
    )


@pytest.mark.parametrize(
    ("code", "can_succeed"),
    [
        ("overloaded_error", True),
        ("api_error", True),
        ("reply_lost", True),
        ("canceled", True),
        ("invalid_request_error", False),
    ],
)
def test_a_failure_says_whether_asking_again_can_help(code: str, can_succeed: bool) -> None:
    assert FailureReport(state="failed", code=code, requests=1, example="").can_succeed is can_succeed
