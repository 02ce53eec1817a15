"""``retry``: instants and answers from failures, ages, outcomes and chance; nothing waits."""

from datetime import UTC, datetime, timedelta

import pytest

from lowtide.result import Canceled, Errored, Expired, Outcome, Succeeded
from lowtide.retry import RetryRules, again, believed_lost, next_poll, next_question, wait
from lowtide.usage import Usage

RULES = RetryRules()
NOW = datetime(2026, 11, 22, tzinfo=UTC)


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


@pytest.mark.parametrize(
    ("failures", "expected"), [(0, 2), (1, 2), (2, 4), (3, 8), (8, 256), (9, 300), (10, 300), (10_000, 300)]
)
def test_waits_double_up_to_a_limit(failures: int, expected: int) -> None:
    assert wait(RULES, failures, 0.0) == seconds(expected)


def test_chance_takes_up_to_a_quarter_away() -> None:
    assert wait(RULES, 3, 0.5) == seconds(7)
    assert wait(RULES, 3, 0.999) > seconds(6)


@pytest.mark.parametrize(("asked", "expected"), [(0, 8), (7, 8), (9, 9), (86_400, 86_400), (None, 8)])
def test_what_the_provider_asks_is_a_floor(asked: int | None, expected: int) -> None:
    assert wait(RULES, 3, 0.0, asked) == seconds(expected)
    assert wait(RULES, 3, 0.99, 100) == seconds(100)


@pytest.mark.parametrize(
    ("age", "expected"), [(0, 5), (59, 5), (60, 5), (120, 10), (3600, 300), (86_400, 300), (-30, 5)]
)
def test_young_batches_are_looked_at_often_and_old_ones_seldom(age: int, expected: int) -> None:
    assert next_poll(RULES, seconds(age), 0.0) == seconds(expected)
    assert seconds(expected * 0.9) <= next_poll(RULES, seconds(age), 0.99) < seconds(expected)


ANSWER = Succeeded(
    message=b"{}", text="", stop_reason="refusal", model="m", usage=Usage(input_tokens=1, output_tokens=1)
)


@pytest.mark.parametrize(
    ("outcome", "tries", "expected"),
    [
        (Errored(code="overloaded_error", message=""), 1, True),
        (Errored(code="overloaded_error", message=""), 3, True),
        (Errored(code="overloaded_error", message=""), 4, False),
        (Errored(code="invalid_request_error", message=""), 1, False),
        (Errored(code="never heard of", message=""), 1, True),
        (Errored(code="row_missing", message=""), 1, True),
        (Expired(), 1, True),
        (Expired(), 4, False),
        (Canceled(), 1, True),
        (ANSWER, 1, False),
    ],
)
def test_what_can_help_is_tried_so_often_and_no_more(outcome: Outcome, tries: int, expected: bool) -> None:
    assert again(RULES, outcome, tries) is expected


def test_a_lost_create_is_believed_lost_after_the_settle_delay() -> None:
    assert not believed_lost(RULES, doubtful_at=NOW, now=NOW + seconds(89.999))
    assert believed_lost(RULES, doubtful_at=NOW, now=NOW + seconds(90))


@pytest.mark.parametrize(("age", "at_least", "at_most"), [(0, 30, 60), (600, 50, 90), (86_400, 300, 330)])
def test_what_is_made_in_the_background_is_asked_about_at_whole_steps(age: int, at_least: int, at_most: int) -> None:
    """Thousands that were taken at different moments come due together, and are asked about in one go."""
    asked = [next_question(RULES, NOW + seconds(late), seconds(age)) for late in (0, 0.5, 7, 29)]
    for at in asked:
        assert at.timestamp() % 30 == 0
        assert NOW + seconds(at_least) <= at <= NOW + seconds(29 + at_most)
    assert len(set(asked)) <= 2
