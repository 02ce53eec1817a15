"""The laws of ``caching``: the search is as good as trying everything, figures add up, nothing pays more than no caching."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lowtide.caching import (
    ROOT,
    CacheStyle,
    Counted,
    HitBasis,
    HitRate,
    Prefix,
    PrefixId,
    Rates,
    Tally,
    Terms,
    alive_share,
    first_of_each,
    judge,
    lifetimes_allowed,
    ranks,
)
from lowtide.caching.choice import rounds_allowed
from lowtide.caching.tree import ONE, Choice, Tree
from lowtide.catalog import Lane
from lowtide.money import ZERO
from lowtide.request import Neutral

RATES = Rates(
    plain=Decimal(1), writes={"5m": Decimal("1.25"), "1h": Decimal(2), "12h": Decimal("2.5")}, read=Decimal("0.05")
)


@st.composite
def forests(draw: st.DrawFn, largest: int = 7) -> Counted:
    """A small forest of prefixes."""
    size = draw(st.integers(0, largest))
    parents = [draw(st.integers(0, number)) for number in range(size)]  # 0 is the root
    ending = [draw(st.integers(0, 5)) for _ in range(size)]
    own = [draw(st.sampled_from([0, 1, 300, 700, 1_024, 9_000])) for _ in range(size)]
    requests = list(ending)
    for number in reversed(range(size)):
        if parents[number]:
            requests[parents[number] - 1] += requests[number]
    tokens = [0] * size
    for number in range(size):
        tokens[number] = own[number] + (tokens[parents[number] - 1] if parents[number] else 0)
    prefixes = tuple(
        Prefix(
            id=PrefixId(f"p{number + 1}"),
            parent=PrefixId(f"p{parents[number]}") if parents[number] else ROOT,
            tokens=tokens[number],
            requests=requests[number],
            ending=ending[number],
            tail_tokens=ending[number] * draw(st.sampled_from([0, 10, 2_000])),
            readable=draw(st.booleans()) and draw(st.booleans()),
        )
        for number in range(size)
    )
    direct = draw(st.integers(0, 3))
    below = sum(count for count, parent in zip(requests, parents, strict=True) if not parent)
    return Counted(prefixes=prefixes, requests=direct + below, tail_tokens=direct * 50)


rates_of_hits = st.fractions(0, 1, max_denominator=20).map(lambda share: HitRate(share=share, basis=HitBasis.MEASURED))
terms_of_all_kinds = st.builds(
    Terms,
    lane=st.sampled_from([Lane.REALTIME, Lane.BATCH]),
    style=st.sampled_from(list(CacheStyle)),
    rates=st.just(RATES),
    minimum_tokens=st.sampled_from([None, 0, 512, 1_024]),
    cold=rates_of_hits,
    warmed=rates_of_hits,
    rounds_max=st.integers(0, 2),
    spread=st.sampled_from([timedelta(minutes=1), timedelta(hours=2), timedelta(hours=20)]),
    delay=st.sampled_from([timedelta(0), timedelta(minutes=3)]),
    in_flight=st.integers(1, 5),
    warm_saving_min=st.just(ZERO),
)


@settings(max_examples=80, deadline=None)
@given(forests(largest=5), terms_of_all_kinds.filter(lambda terms: terms.style is CacheStyle.MARKED), st.integers(1, 4))
def test_no_choice_of_breakpoints_is_cheaper(forest: Counted, terms: Terms, most: int) -> None:
    """Every set of breakpoints is tried, in every way that was allowed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lowtide.caching.choice.BREAKPOINTS_MAX", most)
        found = judge(forest, terms)
        tree = Tree.grow(forest, terms)
    able = [number for number in range(1, len(tree.nodes)) if tree.cacheable(number)]
    cheapest = Fraction(tree.sums(Choice()).total())
    for rounds in rounds_allowed(terms):
        for lifetime in lifetimes_allowed(terms, warm=rounds > 0):
            for count in range(len(able) + 1):
                for marks in combinations(able, count):
                    if _deepest(tree, set(marks)) <= most:
                        choice = Choice(lifetime=lifetime, rounds=rounds, marks=frozenset(marks))
                        cheapest = min(cheapest, Fraction(tree.sums(choice).total()))
    assert found.chosen <= cheapest + 1  # a rounding may fall either way
    assert found.chosen <= found.none


def _deepest(tree: Tree, marks: set[int]) -> int:
    counts = [0] * len(tree.nodes)
    for number in range(1, len(tree.nodes)):
        counts[number] = counts[tree.parents[number]] + (number in marks)
    return max(counts)


@settings(max_examples=80, deadline=None)
@given(forests(), terms_of_all_kinds)
def test_the_figures_add_up(forest: Counted, terms: Terms) -> None:
    found = judge(forest, terms)
    prefixes, tail = forest.prefixes, forest.tail_tokens
    own = {prefix.id: prefix.tokens for prefix in prefixes}
    own[ROOT] = 0
    whole = tail + sum((p.tokens - own[p.parent]) * p.requests + p.tail_tokens for p in prefixes)
    assert found.sharing.input_tokens == whole
    assert found.none == whole * 1_000  # $1 a million is 1,000 nano-dollars a token
    assert abs(found.tokens.plain + found.tokens.written + found.tokens.read - whole) <= 2
    assert found.sharing.repeated_tokens <= found.sharing.cacheable_tokens <= found.sharing.shared_tokens <= whole
    tails = tail + sum(prefix.tail_tokens for prefix in prefixes)
    assert sum(decision.none for decision in found.decisions) + tails * 1_000 == found.none
    assert abs(sum(decision.chosen for decision in found.decisions) + tails * 1_000 - found.chosen) <= len(prefixes)
    if terms.style in (CacheStyle.MARKED, CacheStyle.IMPLICIT):
        assert found.chosen <= found.none
        assert found.chosen <= found.everywhere
    for decision in found.decisions:
        assert decision.why.endswith(".")
        assert bool(decision.lifetime) == (decision.prefix.id in found.marked())


@settings(max_examples=60, deadline=None)
@given(forests(), terms_of_all_kinds, st.integers(2, 9))
def test_a_better_hit_rate_never_costs_more(forest: Counted, terms: Terms, more: int) -> None:

    def better(rate: HitRate) -> HitRate:
        return replace(rate, share=min(Fraction(1), rate.share + Fraction(1, more)))

    upper = replace(terms, cold=better(terms.cold), warmed=better(terms.warmed))
    before = judge(forest, terms)
    after = judge(forest, upper)
    assert after.chosen <= before.chosen
    assert after.none == before.none


@given(
    st.integers(1, 10**6),
    st.integers(1, 90_000),
    st.integers(0, 4_000),
    st.sampled_from([300, 3_600]),
    st.booleans(),
)
def test_what_is_alive_is_a_share(requests: int, spread: int, delay: int, lifetime: int, recovers: bool) -> None:
    def share(lasting: int) -> int:
        return alive_share(
            requests,
            lifetime=timedelta(seconds=lasting),
            spread=timedelta(seconds=spread),
            delay=timedelta(seconds=delay),
            recovers=recovers,
        )

    assert 0 <= share(lifetime) <= share(lifetime * 2) <= ONE


words = st.sampled_from(["a", "b", "c" * 40, "d" * 900])
bodies = st.builds(
    Neutral, system=st.sampled_from(["", "s" * 500]), shared=st.lists(words, max_size=3).map(tuple), text=words,
    max_output_tokens=st.just(10),
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.lists(bodies, max_size=12), terms_of_all_kinds, st.integers(0, 5))
def test_a_tally_counts_what_bodies_begin_with(asked: list[Neutral], terms: Terms, most: int) -> None:
    """Against a plain count of all beginnings; with and without room for all of them."""
    for room in (10_000, most):
        tally = Tally(count=len, prefixes_max=room)
        innermost = [
            tally.add(body, prompt_tokens=len(body.system) + sum(map(len, body.shared)) + len(body.text))
            for body in asked
        ]
        chains = [[("system", b.system)] * bool(b.system) + [("shared", t) for t in b.shared] for b in asked]
        begun = [tuple(chain[: end + 1]) for chain in chains for end in range(len(chain))]
        if room == 10_000:
            assert sorted(p.requests for p in tally.counted().prefixes) == sorted(
                begun.count(one) for one in set(begun)
            )
        found = judge(tally.counted(), terms)
        assert found.sharing.requests == len(asked)
        whole = sum(len(body.system) + sum(map(len, body.shared)) + len(body.text) for body in asked)
        assert found.sharing.input_tokens == whole
        order = ranks(tally.counted().prefixes)
        assert sorted(order.values()) == list(range(len(tally.counted().prefixes) + 1))
        first = first_of_each(found, enumerate(innermost))
        assert bool(first) == bool(found.warmed())
        chosen = [seq for one in first for seq in one]
        assert len(chosen) == len(set(chosen))
        assert set(chosen) <= set(range(len(asked)))
        assert len(first) <= found.rounds


@given(st.lists(bodies, max_size=12))
def test_requests_sorted_by_rank_stand_together(asked: list[Neutral]) -> None:
    """All that begin with a prefix stand in one row, whatever the prefix."""
    tally = Tally(count=len)
    innermost = [tally.add(body, prompt_tokens=5_000) for body in asked]
    order = ranks(tally.counted().prefixes)
    parents = {prefix.id: prefix.parent for prefix in tally.counted().prefixes}
    row = [innermost[seq] for seq in sorted(range(len(asked)), key=lambda seq: (order[innermost[seq]], seq))]

    def begins(name: PrefixId, prefix: PrefixId) -> bool:
        while name not in (ROOT, prefix):
            name = parents[name]
        return name == prefix

    for prefix in parents:
        places = [place for place, name in enumerate(row) if begins(name, prefix)]
        assert places == list(range(places[0], places[-1] + 1))
