"""When to try again, and how often: returns instants and answers, never sleeps. Chance is an argument."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from lowtide.result import Outcome, may_retry

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryRules:
    """Numbers of patience. Waits grow by doubling from ``wait_min`` to ``wait_max``, less up to a quarter by chance."""

    tries_max: int = 4
    wait_min: timedelta = timedelta(seconds=2)
    wait_max: timedelta = timedelta(minutes=5)
    downloads_max: int = 4  # whole downloads before a row that never came is given up
    downloads_cut_max: int = 60  # downloads cut before the run pauses and says so
    settle_delay: timedelta = timedelta(seconds=90)  # after a lost create, before it is believed never to have arrived
    not_found_grace: timedelta = timedelta(
        minutes=10
    )  # a 404 after create passes by itself (anthropic-sdk-python#1432)
    question_step: timedelta = timedelta(seconds=30)  # between questions about what is made in the background
    poll_min: timedelta = timedelta(seconds=5)
    poll_max: timedelta = timedelta(minutes=5)


def wait(rules: RetryRules, failures: int, chance: float, asked: int | None = None) -> timedelta:
    """Give how long to wait after that many failures in a row; a provider's own ``retry-after`` (seconds) is a floor."""
    doubled: timedelta = rules.wait_min * (1 << min(max(failures - 1, 0), 20))
    span = min(doubled, rules.wait_max) * (1 - 0.25 * chance)
    return max(span, timedelta(seconds=asked)) if asked is not None else span


def next_poll(rules: RetryRules, age: timedelta, chance: float) -> timedelta:
    """Give how long until a batch of this age is looked at again: seconds for a young one, minutes for an old one (B8)."""
    span = min(max(age / 12, rules.poll_min), rules.poll_max)
    return span * (1 - 0.1 * chance)


def next_question(rules: RetryRules, now: datetime, age: timedelta) -> datetime:
    """Give when a response that is made in the background is asked about again: at whole steps, many at a time."""
    step = int(rules.question_step.total_seconds())
    seconds = min(max(age / 12, rules.question_step), rules.poll_max) // timedelta(seconds=1)
    later = now + timedelta(seconds=seconds)
    since = (later - EPOCH) // timedelta(seconds=1)
    return EPOCH + timedelta(seconds=-(-since // step) * step)


def again(rules: RetryRules, outcome: Outcome, tries: int) -> bool:
    """Say whether a request that has had that many tries, this one included, is worth another."""
    return may_retry(outcome) and tries < rules.tries_max


def believed_lost(rules: RetryRules, *, doubtful_at: datetime, now: datetime) -> bool:
    """Say whether the settle delay is over: what has not shown up by now never arrived."""
    return now - doubtful_at >= rules.settle_delay
