"""``caching.marking``: which bodies carry what, which go first, when waiting is worth it; and that dispatch keeps turns."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest

from lowtide.caching import (
    ROOT,
    CacheStyle,
    CachingLine,
    HitBasis,
    HitRate,
    Mark,
    Marking,
    Marks,
    Rates,
    Tally,
    Terms,
    judge,
)
from lowtide.caching.marking import LOOK_FIRST
from lowtide.catalog import Lane
from lowtide.dispatch import DispatchRules, KnownDoor, KnownLot, KnownRun, PackShard, RunId, RunState, next_commands
from lowtide.ledger import Account, AccountId
from lowtide.money import ZERO, Nanos
from lowtide.request import Neutral

RATES = Rates(plain=Decimal(1), writes={"5m": Decimal("1.25"), "1h": Decimal(2)}, read=Decimal("0.1"))
WAY = ("anthropic", "claude")
NOW = datetime(2026, 11, 22, tzinfo=UTC)


def terms(*, rounds: int = 1, lane: Lane = Lane.BATCH, warmed: Fraction = Fraction(1)) -> Terms:
    return Terms(
        lane=lane,
        style=CacheStyle.MARKED,
        rates=RATES,
        minimum_tokens=1_024,
        cold=HitRate(share=Fraction(0), basis=HitBasis.ASSUMED),
        warmed=HitRate(share=warmed, basis=HitBasis.ASSUMED),
        rounds_max=rounds,
        spread=timedelta(minutes=20),
    )


def bodies(*prefixes: str, tokens: int = 2_000, own: int = 10) -> list[Neutral]:
    return [Neutral(system=name * tokens, text="z" * own, max_output_tokens=9) for name in prefixes]


def counted(found: list[Neutral]) -> Marking:
    marking = Marking(count_of=lambda _provider, _model: len)
    for body in found:
        assert marking.add(body, provider=WAY[0], model=WAY[1])
    return marking


def marked(found: list[Neutral], under: Terms | None = None, *, tested: bool = True) -> Marks:
    known = {("k", *WAY)} if tested else set()
    return counted(found).judge(lambda _way, _tally: under or terms(), judge, tested=known)


def sent(marks: Marks, found: list[Neutral]) -> list[tuple[str, tuple[int, ...], int]]:
    """Each body's lifetime, places and turn, in order."""
    made = []
    for body in found:
        mark = marks.of(body, kind="k", provider=WAY[0], model=WAY[1])
        made.append((mark.lifetime, mark.places, marks.turn(mark, kind="k", provider=WAY[0], model=WAY[1])))
    return made


def test_the_first_of_each_prefix_goes_first_and_all_of_them_are_marked() -> None:
    found = bodies(*"aabab" * 6)
    assert sent(marked(found), found) == [
        ("1h", (0,), 0),
        ("1h", (0,), 1),
        ("1h", (0,), 0),
        *[("1h", (0,), 1)] * 27,
    ]


def test_the_first_of_a_kind_is_unmarked_and_goes_with_the_rest() -> None:
    """It is bought in real time, whose cache no batch reads; the next one writes."""
    found = bodies(*"a" * 30)
    assert sent(marked(found, tested=False), found)[:3] == [("", (), 1), ("1h", (0,), 0), ("1h", (0,), 1)]


def test_what_shares_nothing_goes_after_those_that_go_first() -> None:
    found = [*bodies(*"a" * 30), Neutral(text="alone", max_output_tokens=9)]
    assert sent(marked(found), found)[-1] == ("", (), 1)
    assert Marks().turn(Mark(), kind="k", provider=WAY[0], model=WAY[1]) == 0
    marks = marked(found)
    assert marks.of(found[0], kind="k", provider=WAY[0], model="another") == Mark()
    assert marks.turn(None, kind="k", provider=WAY[0], model=WAY[1]) == 1, "a client's own body waits with the rest"
    # A body that was never counted has no prefix to be judged by.
    strange = Neutral(system="never seen", text="x", max_output_tokens=9)
    assert marks.of(strange, kind="k", provider=WAY[0], model=WAY[1]) == Mark()


def test_waiting_for_a_first_batch_must_save_a_twentieth_of_the_input() -> None:
    def line(own: int) -> CachingLine:
        (found,) = marked(bodies(*"a" * 40, tokens=2_000, own=own)).lines
        return found

    # 40 x 2,000 tokens at a dollar a million, read at a tenth: 6.9 cents, against inputs of 0.1 and of 1.7 dollars.
    assert line(600).rounds == 1
    worth, less = line(30_000), line(60_000)
    assert (worth.rounds, worth.lifetime) == (1, "1h")
    assert (less.rounds, less.lifetime, less.saves) == (0, "", 0)


def test_a_line_says_the_best_and_the_worst() -> None:
    (line,) = marked(bodies(*"a" * 40)).lines
    tails = 40 * 10
    assert (line.requests, line.firsts, line.rounds, line.breakpoints) == (40, 1, 1, 1)
    assert (line.input_tokens, line.shared_tokens) == (80_000 + tails, 80_000)
    micro = 1_000  # nano-dollars of a token at a dollar a million
    assert line.none == (80_000 + tails) * micro
    assert line.best == (8_000 + tails) * micro
    assert line.worst == (160_000 + tails) * micro
    assert line.best < line.chosen < line.none < line.worst
    assert line.saves == line.none - line.chosen
    (nothing,) = marked(bodies(*"a" * 40), terms(rounds=0)).lines
    assert (nothing.best, nothing.worst, nothing.saves) == (nothing.none, nothing.none, 0)


def test_counting_ends_where_nothing_is_long_enough() -> None:
    marking = Marking(count_of=lambda _provider, _model: len)
    short = Neutral(system="s" * 100, text="x", max_output_tokens=9)
    assert [marking.add(short, provider="p", model="m") for _ in range(LOOK_FIRST)] == [
        *[True] * (LOOK_FIRST - 1),
        False,
    ]
    assert marking.judge(lambda _way, _tally: terms(), judge) == Marks()
    native = Marking(count_of=lambda _provider, _model: len)
    assert [native.add(None, provider="p", model="m") for _ in range(LOOK_FIRST)][-1] is False
    assert counted(bodies(*"a" * (LOOK_FIRST + 5))).longest == 2_000


def test_where_no_terms_are_known_nothing_is_said() -> None:
    assert counted(bodies(*"a" * 40)).judge(lambda _way, _tally: None, judge).lines == ()


def test_a_tally_finds_what_it_counted_and_nothing_else() -> None:
    tally = Tally(count=len)
    body = Neutral(system="s", shared=("a", "b"), text="x", max_output_tokens=9)
    innermost = tally.add(body)
    assert tally.find(body) == innermost
    assert (
        tally.find(replace(body, shared=("a", "c")))
        == tally.find(replace(body, shared=("a",)))
        not in (ROOT, innermost)
    )
    assert tally.find(replace(body, system="t")) == ROOT
    assert tally.longest == 3
    assert tally.counted().prefixes[-1].tail_tokens == 1, "without a count of its own a prompt has its texts' tokens"


# ------------------------------------------------------------------ turns


def lot(number: int, *, behind: bool = False, route: str = "batch", pending: bool = True) -> KnownLot:
    return KnownLot(
        lot=number,
        provider="anthropic",
        route=route,
        pending=pending,
        retrying=0 if pending else 1,
        batch_ceiling=Nanos(1),
        realtime_ceiling=Nanos(2),
        behind=behind,
    )


@pytest.mark.parametrize(
    ("lots", "packed"),
    [
        ((lot(0), lot(1, behind=True)), [0]),
        ((lot(1, behind=True),), []),
        ((lot(1, behind=True, pending=False),), []),
        ((lot(1, behind=True, route="realtime"),), [1]),
        ((lot(1),), [1]),
    ],
)
def test_a_batch_waits_for_those_before_it_and_real_time_does_not(
    lots: tuple[KnownLot, ...], packed: list[int]
) -> None:
    run = KnownRun(
        run_id=RunId("r"),
        state=RunState.ACTIVE,
        wave=0,
        waves=1,
        lots=lots,
        untested=(),
        account=Account(account_id=AccountId("run:r"), limit=None, held=ZERO, spent=ZERO),
        shards=(),
    )
    doors = {"anthropic": KnownDoor(unconfirmed_batch=None, backoff_until=None, queued_requests=0)}
    found = next_commands([run], doors, DispatchRules(queued_requests_max=9, shard_requests_max=9), NOW)
    assert [command.lot for command in found.commands if isinstance(command, PackShard)] == packed
    assert len(found.commands) == len(packed), "a run whose lots wait does not end"
