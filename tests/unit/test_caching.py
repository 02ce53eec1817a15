"""``caching``: one case for each decision and its reason, the figures of the documents, lifetimes, tally and order.

Its laws are in ``properties/test_caching_laws.py``; what it pays in a simulator is measured by ``bench/caching.py``.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest

from lowtide.caching import (
    LIFETIMES,
    ROOT,
    CacheMode,
    CacheStyle,
    Counted,
    HitBasis,
    HitRate,
    HitsSeen,
    Judgement,
    Prefix,
    PrefixId,
    Rates,
    Tally,
    Techniques,
    Terms,
    alive_share,
    break_even,
    expected_hits,
    first_of_each,
    judge,
    lifetimes_allowed,
    marks_of,
    prior,
    ranks,
    rates_of,
    style_of,
    techniques,
)
from lowtide.catalog import Lane, Price, PriceSheet, TokenKind
from lowtide.money import ZERO, cost_nanos
from lowtide.request import Neutral
from lowtide.usage import Usage

CLASSIC = Rates(plain=Decimal(1), writes={"5m": Decimal("1.25"), "1h": Decimal(2)}, read=Decimal("0.1"))
NEWER = Rates(plain=Decimal(2), writes={"30m": Decimal("2.5"), "12h": Decimal(5)}, read=Decimal("0.2"))
FREE = Rates(plain=Decimal("2.5"), read=Decimal("0.25"))
MILLION = 1_000_000


def terms(lane: Lane = Lane.BATCH, *, provider: str = "anthropic", rates: Rates = CLASSIC) -> Terms:
    return Terms(
        lane=lane,
        style=style_of(provider, rates),
        rates=rates,
        minimum_tokens=1_024,
        cold=prior(provider, lane, warmed=False),
        warmed=prior(provider, lane, warmed=True),
        spread=timedelta(minutes=40),
    )


def one_prefix(requests: int, tokens: int = 11_000, tail: int = 0) -> Counted:
    prefix = Prefix(
        id=PrefixId("p"), parent=ROOT, tokens=tokens, requests=requests, ending=requests, tail_tokens=tail * requests
    )
    return Counted(prefixes=(prefix,), requests=requests)


def chain(*sizes: tuple[int, int]) -> Counted:
    """Nest prefixes of so many tokens from the start, each with its number of requests that end there."""
    below = [sum(ending for _, ending in sizes[place:]) for place in range(len(sizes))]
    prefixes = tuple(
        Prefix(
            id=PrefixId(f"p{place}"),
            parent=PrefixId(f"p{place - 1}") if place else ROOT,
            tokens=tokens,
            requests=below[place],
            ending=ending,
        )
        for place, (tokens, ending) in enumerate(sizes)
    )
    return Counted(prefixes=prefixes, requests=below[0])


def only(found: Judgement) -> str:
    assert len(found.decisions) == 1
    return found.decisions[0].why


# where a breakpoint stands, and why


def test_a_cold_batch_gets_no_breakpoint() -> None:
    """Measured: 138 requests at once read nothing and cost more than without."""
    found = judge(one_prefix(138), replace(terms(), rounds_max=0))
    assert found.marked() == frozenset()
    assert found.chosen == found.none == 138 * 11_000 * 1_000
    assert found.everywhere == 2 * found.none
    assert only(found) == (
        "No breakpoint: 0 % of the others are expected to find it (published), and a write for 1h pays from 53 % on; "
        "there is no time for one request to go first."
    )
    assert found.why == "No breakpoint pays here; writing everything would cost $1.52 more."


def test_one_request_goes_first_where_there_is_time() -> None:
    found = judge(one_prefix(138), terms())
    decision = found.decisions[0]
    assert (decision.lifetime, decision.warm, found.rounds) == ("1h", True, 1)
    written, read = 1 + Fraction(137 * 2, 100), Fraction(137 * 98, 100)
    assert found.chosen == cost_nanos((written * 2 + read / 10) * 11_000 / MILLION)
    assert found.tokens.read == 137 * 11_000 * 98 // 100
    assert decision.hits == replace(prior("anthropic", Lane.BATCH, warmed=True))
    assert decision.break_even == Fraction(10, 19)
    assert only(found) == (
        "Breakpoint for 1h: after one request has gone first, 98 % of the others are expected to find it (published); "
        "saves $1.29."
    )
    assert found.why == "1 prefix is cached for 1h, after one request with it has gone first; saves $1.29."


def test_what_this_store_measured_can_make_a_cold_batch_pay() -> None:
    seen = expected_hits(HitsSeen(batches=18, requests=1_000, hits=900), prior("anthropic", Lane.BATCH, warmed=False))
    assert seen.share == Fraction(81, 100)
    found = judge(one_prefix(138), replace(terms(), cold=seen, rounds_max=0))
    assert found.marked() == {"p"}
    assert "81 % of the others are expected to find it (measured)" in only(found)


@pytest.mark.parametrize(
    ("counted", "reason"),
    [
        (one_prefix(1), "No breakpoint: only one request begins with it."),
        (one_prefix(2), "No breakpoint: 2 requests are too few to earn back a write for 1h."),
        (one_prefix(500, 812), "No breakpoint: 812 tokens are below the model's minimum, 1,024."),
    ],
)
def test_reasons_against(counted: Counted, reason: str) -> None:
    found = judge(counted, terms())
    assert only(found) == reason
    assert found.chosen == found.none
    assert found.rounds == 0


def test_an_hour_pays_from_the_third_request_and_five_minutes_from_the_second() -> None:
    """Anthropic's own rule: five minutes pay after one read, an hour after two."""
    slow = replace(terms(), warmed=HitRate(share=Fraction(1), basis=HitBasis.MEASURED), warm_saving_min=ZERO)
    assert not judge(one_prefix(2), slow).marked()
    assert judge(one_prefix(3), slow).lifetime == "1h"
    quick = replace(slow, spread=timedelta(minutes=2), delay=timedelta(minutes=1))
    assert judge(one_prefix(2), quick).lifetime == "5m"


def test_waiting_for_a_first_batch_must_be_worth_a_cent() -> None:
    small = judge(one_prefix(4, 1_100), terms())
    assert small.rounds == 0
    assert judge(one_prefix(4, 1_100), replace(terms(), warm_saving_min=ZERO)).rounds == 1
    assert only(small) == "No breakpoint: it would save less than waiting for one request to go first is worth ($0.01)."


def test_an_unknown_minimum_is_taken_to_be_the_least() -> None:
    unknown = replace(terms(), minimum_tokens=None)
    assert judge(one_prefix(100, 512), unknown).marked()
    assert only(judge(one_prefix(100, 511), unknown)).endswith(
        "511 tokens are below the least minimum of any model, 512."
    )


def test_real_time_writes_with_the_first_answers_only() -> None:
    counted = one_prefix(100)
    found = judge(counted, terms(Lane.REALTIME))
    assert (found.lifetime, found.rounds) == ("5m", 0)
    many = replace(terms(Lane.REALTIME), in_flight=64)
    held = judge(counted, many)
    assert (held.lifetime, held.rounds > 0, held.chosen) == ("5m", True, found.chosen)
    assert judge(counted, replace(many, rounds_max=0)).tokens.written >= 64 * 11_000


def test_what_an_earlier_batch_wrote_is_read_without_a_first_batch() -> None:
    counted = one_prefix(2)
    alive = replace(counted, prefixes=tuple(replace(prefix, readable=True) for prefix in counted.prefixes))
    found = judge(alive, replace(terms(), rounds_max=0))
    assert (found.lifetime, found.rounds) == ("1h", 0)
    assert found.tokens.read == 2 * 11_000 * 98 // 100


# nested prefixes


def test_each_of_the_nested_prefixes_is_judged_alone() -> None:
    """All share 4,000 tokens; 50 go on with 4,000 more, and one of these with 4,000 of its own."""
    counted = chain((4_000, 50), (8_000, 49), (12_000, 1))
    found = judge(counted, terms())
    assert found.marked() == {"p0", "p1"}
    assert [decision.warm for decision in found.decisions] == [True, True, False]
    assert found.why.startswith("2 prefixes are cached for 1h, after one request with each has gone first; saves $")
    assert marks_of(found) == {ROOT: (), "p0": (0,), "p1": (0, 1), "p2": (0, 1)}
    assert first_of_each(found, [(5, PrefixId("p0")), (9, PrefixId("p2")), (7, PrefixId("p1"))]) == ((7,),)


def test_a_prefix_that_all_go_on_from_needs_no_breakpoint_of_its_own() -> None:
    found = judge(chain((4_000, 0), (8_000, 50)), terms())
    assert found.marked() == {"p1"}
    assert found.decisions[0].why == "No breakpoint of its own: longer prefixes that begin with it have theirs."
    assert found.decisions[0].chosen < found.decisions[0].none


def test_a_request_carries_at_most_four() -> None:
    counted = chain(*((2_000 * (place + 1), 40) for place in range(6)))
    marks = marks_of(judge(counted, terms(Lane.REALTIME)))
    assert max(map(len, marks.values())) == 4


def test_short_prefixes_are_paid_for_by_the_longer_ones_behind_them() -> None:
    found = judge(chain((700, 0), (1_400, 60)), terms())
    assert found.marked() == {"p1"}
    assert found.sharing.cacheable_tokens == 60 * 1_400


def parts(count: int, *, system: int, own: int, requests: int) -> Counted:
    """A system text for all, and so many parts that go on from it, each with so many requests."""
    whole = Prefix(id=PrefixId("s"), parent=ROOT, tokens=system, requests=count * requests, ending=0)
    below = tuple(
        Prefix(id=PrefixId(f"p{number}"), parent=whole.id, tokens=system + own, requests=requests, ending=requests)
        for number in range(count)
    )
    return Counted(prefixes=(whole, *below), requests=whole.requests)


SURE = replace(terms(), warmed=HitRate(share=Fraction(1), basis=HitBasis.MEASURED))


def test_all_that_go_first_in_one_batch_write_what_they_share() -> None:
    """Then the system text needs no breakpoint of its own: nobody would read it alone."""
    found = judge(parts(30, system=1_500, own=4_000, requests=8), SURE)
    assert (len(found.marked()), found.rounds) == (30, 1)
    assert found.tokens.written == 30 * 5_500
    first = first_of_each(found, [(seq, PrefixId(f"p{seq % 30}")) for seq in range(240)])
    assert first == (tuple(range(30)),)


def test_what_is_written_by_every_first_request_is_counted_so_often() -> None:
    """Ten requests read the system text alone, so it has a breakpoint; thirty first requests write it all the same."""
    counted = parts(30, system=1_500, own=4_000, requests=8)
    whole, *below = counted.prefixes
    whole = replace(whole, requests=whole.requests + 10, ending=10)
    found = judge(Counted(prefixes=(whole, *below), requests=whole.requests), SURE)
    assert (len(found.marked()), found.rounds) == (31, 1)
    assert found.tokens.written == 30 * 5_500
    assert found.tokens.read == 30 * 7 * 5_500 + 10 * 1_500


def test_a_second_round_writes_what_all_share_only_once() -> None:
    found = judge(parts(30, system=1_500, own=4_000, requests=8), replace(SURE, rounds_max=2))
    assert (len(found.marked()), found.rounds) == (31, 2)
    assert found.tokens.written == 1_500 + 30 * 4_000
    first = first_of_each(found, [(seq, PrefixId(f"p{seq % 30}")) for seq in range(240)])
    assert first == ((0,), tuple(range(1, 30)))


def test_two_rounds_are_one_too_few_for_three_levels() -> None:
    """What lies between is counted as written by the first request of each innermost prefix: never too few writes."""
    counted = parts(2, system=40_000, own=3_000, requests=40)
    whole, *below = (replace(prefix, ending=0) for prefix in counted.prefixes)
    nodes = [
        Prefix(id=PrefixId(f"{part.id}n{node}"), parent=part.id, tokens=46_000, requests=8, ending=8)
        for part in below
        for node in range(5)
    ]
    below = [replace(part, requests=44, ending=4) for part in below]
    whole = replace(whole, requests=88)
    found = judge(Counted(prefixes=(whole, *below, *nodes), requests=88), replace(SURE, rounds_max=2))
    assert (len(found.marked()), found.rounds) == (13, 2)
    assert found.tokens.written == 40_000 + 10 * 3_000 + 10 * 3_000


def test_parts_are_not_cached_where_their_first_requests_write_too_much_for_them() -> None:
    """Fifty writes of a long system text for parts of 100 tokens: only one part goes along, with the text's own write."""
    found = judge(parts(50, system=12_000, own=100, requests=4), SURE)
    assert found.marked() == {"s", "p0"}
    assert found.tokens.written == 12_100
    assert len(judge(parts(50, system=12_000, own=100, requests=4), replace(SURE, rounds_max=2)).marked()) > 1


def test_rounds_in_real_time_are_as_many_as_prefixes_are_nested() -> None:
    counted = chain((2_000, 40), (4_000, 40), (6_000, 40))
    found = judge(counted, replace(terms(Lane.REALTIME), in_flight=50))
    told = [(seq, PrefixId(f"p{seq % 3}")) for seq in range(30)]
    assert first_of_each(found, told) == ((2,),)
    apart = parts(3, system=2_000, own=2_000, requests=40)
    found = judge(apart, replace(terms(Lane.REALTIME), in_flight=50))
    told = [(seq, PrefixId(f"p{seq % 3}")) for seq in range(30)]
    assert first_of_each(found, told) == ((0,), (1, 2))


def test_in_real_time_a_prefix_is_taken_to_be_asked_in_a_row() -> None:
    """Two prefixes within ten minutes: each takes five, if requests are sorted by prefix."""
    seldom = replace(terms(Lane.REALTIME), spread=timedelta(minutes=10))
    twice = Counted(prefixes=tuple(replace(one_prefix(4).prefixes[0], id=PrefixId(name)) for name in "ab"), requests=8)
    assert {decision.hits.share for decision in judge(twice, seldom).decisions} == {Fraction(99, 100)}


# OpenAI's ways


def test_one_shot_prompts_write_nothing_from_5_6_on() -> None:
    """Left alone, every prompt of 1,024 tokens or more is written at 1.25 times its price for nobody."""
    counted = Counted(requests=400, tail_tokens=400 * 1_500)
    found = judge(counted, terms(Lane.BATCH, provider="openai", rates=NEWER))
    assert (found.mode, found.marked()) == (CacheMode.EXPLICIT, frozenset())
    assert found.none == found.chosen == 600_000 * 2_000
    assert found.everywhere == found.none * 5 // 4


def test_short_prompts_are_left_alone() -> None:
    counted = Counted(requests=400, tail_tokens=400 * 900)
    found = judge(counted, terms(Lane.BATCH, provider="openai", rates=NEWER))
    assert found.mode is CacheMode.ALONE
    assert found.everywhere == found.none


def test_a_shared_beginning_gets_a_breakpoint_where_it_is_read() -> None:
    counted = one_prefix(200, 6_000, tail=500)
    cold = replace(terms(Lane.BATCH, provider="openai", rates=NEWER), rounds_max=0)
    assert not judge(counted, cold).marked(), "nobody has measured that a batch of theirs reads what it wrote"
    first = judge(counted, replace(cold, rounds_max=1, spread=timedelta(minutes=20)))
    assert (first.lifetime, first.rounds) == ("30m", 1)
    found = judge(counted, terms(Lane.REALTIME, provider="openai", rates=NEWER))
    assert (found.mode, found.lifetime, found.marked()) == (CacheMode.EXPLICIT, "30m", frozenset({PrefixId("p")}))
    assert found.tokens.plain == 200 * 500
    assert "50 % of the others are expected to find it (assumed)" in only(found)


def test_left_alone_even_a_short_beginning_is_written_with_its_prompt() -> None:
    found = judge(one_prefix(10, 500, tail=1_000), terms(Lane.BATCH, provider="openai", rates=NEWER))
    assert found.everywhere == found.none * 5 // 4


def test_older_models_cache_by_themselves() -> None:
    found = judge(one_prefix(200, 6_000), terms(Lane.REALTIME, provider="openai", rates=FREE))
    assert (found.mode, found.marked(), found.lifetime) == (CacheMode.ALONE, frozenset(), "")
    assert found.chosen == found.everywhere < found.none
    assert only(found) == "No breakpoint: this provider caches by itself and takes nothing for writing."
    assert found.why.startswith("The provider caches by itself, free of charge; expected to save $")


def test_without_a_price_for_reading_nothing_is_cached() -> None:
    rates = Rates(plain=Decimal(1))
    found = judge(one_prefix(200), terms(provider="local", rates=rates))
    assert found.chosen == found.everywhere == found.none
    assert found.why == "No cache with a price is known for this model on this lane."
    assert only(found) == "No breakpoint: no cache with a price is known for this model on this lane."
    assert break_even(rates, "5m") is None


@pytest.mark.parametrize(
    ("provider", "rates", "style"),
    [
        ("anthropic", CLASSIC, CacheStyle.MARKED),
        ("openai", NEWER, CacheStyle.IMPLICIT),
        ("openai", FREE, CacheStyle.AUTOMATIC),
        ("local", FREE, CacheStyle.AUTOMATIC),
        ("openai", Rates(plain=Decimal(1)), CacheStyle.NONE),
    ],
)
def test_who_decides_what_is_written(provider: str, rates: Rates, style: CacheStyle) -> None:
    assert style_of(provider, rates) is style


# rates, hits, lifetimes


@pytest.mark.parametrize(
    ("rates", "lifetime", "share"),
    [
        (CLASSIC, "5m", Fraction(25, 115)),
        (CLASSIC, "1h", Fraction(10, 19)),
        (replace(CLASSIC, read=Decimal("0.025")), "1h", Fraction(40, 79)),
        (NEWER, "30m", Fraction(25, 115)),
        (NEWER, "12h", Fraction(15, 24)),
        (FREE, "", Fraction(0)),
        (replace(CLASSIC, read=Decimal(1)), "5m", None),
    ],
)
def test_break_even(rates: Rates, lifetime: str, share: Fraction | None) -> None:
    """(write - 1) / (write - read): 22 % for five minutes and 53 % for an hour at classic prices."""
    assert break_even(rates, lifetime) == share


def test_measured_hits_outweigh_the_prior_only_in_time() -> None:
    before = HitRate(share=Fraction(98, 100), basis=HitBasis.PUBLISHED)
    assert expected_hits(None, before) == before
    assert expected_hits(HitsSeen(batches=0, requests=0, hits=0), before) == before
    shares = [
        expected_hits(HitsSeen(batches=count, requests=100 * count, hits=0), before).share for count in (1, 2, 8, 98)
    ]
    assert shares == [Fraction(98 * 2, 100 * (count + 2)) for count in (1, 2, 8, 98)]
    assert expected_hits(HitsSeen(batches=1, requests=9, hits=0), before).basis is HitBasis.MEASURED


def test_nobody_is_taken_to_hit_where_nobody_measured() -> None:
    assert prior("somebody", Lane.BATCH, warmed=True) == HitRate(share=Fraction(0), basis=HitBasis.ASSUMED)


@pytest.mark.parametrize(
    ("requests", "lifetime", "spread", "delay", "share"),
    [
        (100, 60, 60, 0, 10_000),  # it outlasts the batch
        (100, 60, 59, 2, 9_999),  # nearly; but the first may come late
        (1, 60, 120, 0, 5_000),  # one read, anywhere in two hours
        (1, 60, 120, 30, 2_500),
        (1, 60, 120, 60, 0),
        (2, 60, 120, 0, 6_562),  # first 3/4, then 3/4 again: (3/4 + 9/16) / 2
        (40, 60, 300, 2, 9_952),
        (0, 60, 120, 0, 0),
    ],
)
def test_reads_keep_an_entry_alive(requests: int, lifetime: int, spread: int, delay: int, share: int) -> None:
    found = alive_share(
        requests,
        lifetime=timedelta(minutes=lifetime),
        spread=timedelta(minutes=spread),
        delay=timedelta(minutes=delay),
    )
    assert abs(found - share) <= 20, found


def test_in_real_time_a_lapsed_entry_is_written_again() -> None:
    hour = timedelta(hours=1)
    lost = alive_share(3, lifetime=hour, spread=3 * hour)
    assert alive_share(3, lifetime=hour, spread=3 * hour, recovers=True) > lost


@pytest.mark.parametrize(
    ("minutes", "names"), [(2, ("5m", "1h")), (3, ("5m", "1h")), (4, ("1h",)), (58, ("1h",)), (600, ("1h",))]
)
def test_a_batch_takes_only_lifetimes_that_outlast_it(minutes: int, names: tuple[str, ...]) -> None:
    found = lifetimes_allowed(replace(terms(), spread=timedelta(minutes=minutes)), warm=True)
    assert found == names


def test_real_time_looks_at_every_lifetime_shortest_first() -> None:
    assert lifetimes_allowed(terms(Lane.REALTIME), warm=False) == ("5m", "1h")
    assert list(LIFETIMES) == sorted(LIFETIMES, key=LIFETIMES.__getitem__)


def test_rarely_read_prefixes_take_the_longer_lifetime() -> None:
    """Three calls an hour apart from one another: five minutes would lapse each time."""
    seldom = replace(terms(Lane.REALTIME), spread=timedelta(hours=1))
    assert judge(one_prefix(6), seldom).lifetime == "1h"
    assert judge(one_prefix(600), seldom).lifetime == "5m"


# figures of the documents


def sheet(lane: Lane, prices: dict[TokenKind, str]) -> PriceSheet:
    day = date(2026, 1, 28)
    rows = tuple(
        Price(
            provider="anthropic",
            model="claude-sonnet-4-5",
            lane=lane,
            kind=kind,
            prompt_tokens_over=over,
            dollars_per_million=Decimal(price) * (1 + (over > 0)),
            effective_from=day,
            effective_to=None,
            recorded_on=None,
            source="",
            checked_on=None,
            file="",
        )
        for kind, price in prices.items()
        for over in (0, 200_000)
    )
    return PriceSheet(provider="anthropic", model="claude-sonnet-4-5", lane=lane, day=day, rows=rows)


REALTIME = sheet(
    Lane.REALTIME,
    {
        TokenKind.INPUT: "3",
        TokenKind.OUTPUT: "15",
        TokenKind.CACHE_WRITE_5M: "3.75",
        TokenKind.CACHE_WRITE_1H: "6",
        TokenKind.CACHE_READ: "0.30",
    },
)
BATCH = sheet(
    Lane.BATCH,
    {
        TokenKind.INPUT: "1.50",
        TokenKind.OUTPUT: "7.50",
        TokenKind.CACHE_WRITE_5M: "1.875",
        TokenKind.CACHE_WRITE_1H: "3",
        TokenKind.CACHE_READ: "0.15",
    },
)


def shares(total: int, count: int) -> list[int]:
    return [total // count + (number < total % count) for number in range(count)]


def test_the_saving_of_each_technique_from_the_same_tokens() -> None:
    """V5: 294 videos. The document's own table does not follow from its own tokens; these figures do."""
    kinds = [shares(total, 291) for total in (365_624, 106_920, 416_988, 611_412)]
    total = Techniques()
    for plain, written, read, output in zip(*kinds, strict=True):
        usage = Usage(
            input_tokens=plain + written + read,
            output_tokens=output,
            cache_write_1h_tokens=written,
            cache_read_tokens=read,
        )
        total = total.plus(techniques(usage, realtime=REALTIME, batch=BATCH))
    shown = [f"{float(amount):.2f}" for amount in (total.none, total.caching, total.batch, total.both)]
    assert shown == ["11.84", "11.03", "5.92", "5.52"]
    assert total.both * 2 == total.caching
    assert total.none - total.caching == Fraction("0.8051076")


def test_rates_are_read_for_a_prompt_of_that_length() -> None:
    assert rates_of(BATCH) == Rates(
        plain=Decimal("1.50"), writes={"5m": Decimal("1.875"), "1h": Decimal(3)}, read=Decimal("0.15")
    )
    assert rates_of(BATCH, prompt_tokens=200_000).plain == Decimal("1.50")
    assert rates_of(BATCH, prompt_tokens=200_001).plain == Decimal(3)


def test_how_much_of_the_input_is_shared() -> None:
    """V6, the same 294 videos: what can be cached at all, before anything is bought."""
    found = judge(one_prefix(291, 1_800, tail=1_256), terms())
    assert found.sharing.input_tokens == 291 * 3_056
    assert found.sharing.shared_tokens == found.sharing.cacheable_tokens == 291 * 1_800
    assert found.sharing.repeated_tokens == 290 * 1_800
    short = judge(one_prefix(291, 800, tail=1_256), terms()).sharing
    assert (short.shared_tokens, short.cacheable_tokens, short.repeated_tokens) == (291 * 800, 0, 0)


# counting and order


def body(system: str, *shared: str, text: str = "own") -> Neutral:
    return Neutral(system=system, shared=shared, text=text, max_output_tokens=5)


def tallied(bodies: Sequence[Neutral], room: int = 100) -> tuple[Tally, list[PrefixId]]:
    tally = Tally(count=len, prefixes_max=room)
    return tally, [tally.add(one, prompt_tokens=20) for one in bodies]


def test_a_tally_counts_beginnings() -> None:
    tally, innermost = tallied([body("sys", "a"), body("sys", "b"), body("sys", "a"), body(""), body("sys")])
    counted = tally.counted()
    assert [(p.tokens, p.requests, p.ending, p.tail_tokens) for p in counted.prefixes] == [
        (3, 4, 1, 17),
        (4, 2, 2, 32),
        (4, 1, 1, 16),
    ]
    assert (counted.requests, counted.tail_tokens) == (5, 20)
    assert innermost[0] == innermost[2] != innermost[1]
    assert innermost[3] == ROOT


def test_the_place_of_a_text_is_part_of_what_it_begins() -> None:
    _, (first, second, third) = tallied([body("a", "b"), body("", "a", "b"), body("a", "", "b")])
    assert first != second
    assert first == third, "empty texts are not sent"


def test_what_is_past_the_limit_counts_as_not_shared() -> None:
    tally, innermost = tallied([body("sys", "a"), body("sys", "b"), body("new")], room=2)
    assert [prefix.requests for prefix in tally.counted().prefixes] == [2, 1]
    assert tally.overflowed == 2
    assert innermost[1] == tally.counted().prefixes[0].id
    assert innermost[2] == ROOT
    assert judge(tally.counted(), terms()).sharing.input_tokens == 60


def test_only_so_many_boundaries_are_counted() -> None:
    tally, _ = tallied([body("s", *"abcdefghijklmnopqrstuvwxyz0123456789")])
    assert len(tally.counted().prefixes) == 32


def test_ranks_keep_together_what_begins_alike() -> None:
    tally, innermost = tallied([body("x", "a"), body("y"), body("x", "b"), body(""), body("x", "a")])
    order = ranks(tally.counted().prefixes)
    assert sorted(range(5), key=lambda seq: (order[innermost[seq]], seq)) == [3, 0, 4, 2, 1]


def test_who_goes_first_is_one_of_each_innermost_prefix() -> None:
    bodies = [body("s" * 2_000, "a" * 4_000)] * 40 + [body("s" * 2_000, "b" * 4_000)] * 40 + [body("s" * 2_000)] * 3
    tally, innermost = tallied(bodies)
    found = judge(tally.counted(), terms())
    assert len(found.marked()) == 3
    assert first_of_each(found, enumerate(innermost)) == ((0, 40),)
    assert first_of_each(judge(tally.counted(), replace(terms(), rounds_max=0)), enumerate(innermost)) == ()


def test_a_count_that_does_not_add_up_is_our_fault() -> None:
    prefix = one_prefix(5).prefixes[0]
    for wrong in (
        Counted(prefixes=(prefix,), requests=4),
        Counted(prefixes=(replace(prefix, ending=3),), requests=5),
        Counted(prefixes=(prefix, prefix), requests=10),
    ):
        with pytest.raises(AssertionError):
            judge(wrong, terms())
