"""Caching that pays: which shared beginnings of a run's prompts get a breakpoint, for how long, and what that is worth.

A judgement from counts, prices and hit rates; nothing is sent, marked or looked up here (codecs mark, the catalog knows
prices, the store knows earlier hits). The law: a hit is a probability with a stated basis, a breakpoint stands only
where it is expected to save money, and every figure is compared with no caching and with caching everywhere.

The prompts of a run are a tree of prefixes: system, then what a file shares, then what a node shares. Each boundary may
carry a breakpoint, at most four on the way of one request. A request reads the longest prefix that is readable, writes on
to its last breakpoint, and pays the plain price for the rest. So every token is paid by the breakpoint nearest below it.

Source: prompt caching and batch pages and the measurements in anthropics/skills#1475 and Bike4Mind/bike4mind#2741, checked
2026-11-21: real-time and batch caches do not see each other; a cold batch with breakpoints read nothing and cost more than
one without; after a batch of one item with the prefix about all of the rest read it.
"""

from lowtide.caching.choice import choose, everywhere_of, lifetimes_allowed
from lowtide.caching.marking import CachingLine, Mark, Marking, Marks
from lowtide.caching.reasons import decide, summary
from lowtide.caching.tally import Firsts, Tally, first_of_each, marks_of, ranks
from lowtide.caching.techniques import Techniques, techniques
from lowtide.caching.terms import (
    LIFETIMES,
    ROOT,
    CacheMode,
    CacheStyle,
    Counted,
    Decision,
    HitBasis,
    HitRate,
    HitsSeen,
    Judgement,
    Prefix,
    PrefixId,
    Rates,
    Sharing,
    Terms,
    TokenSplit,
    break_even,
    expected_hits,
    prior,
    rates_of,
    style_of,
)
from lowtide.caching.tree import Choice, Tree, alive_share

__all__ = [
    "LIFETIMES",
    "ROOT",
    "CacheMode",
    "CacheStyle",
    "CachingLine",
    "Counted",
    "Decision",
    "Firsts",
    "HitBasis",
    "HitRate",
    "HitsSeen",
    "Judgement",
    "Mark",
    "Marking",
    "Marks",
    "Prefix",
    "PrefixId",
    "Rates",
    "Sharing",
    "Tally",
    "Techniques",
    "Terms",
    "TokenSplit",
    "alive_share",
    "break_even",
    "expected_hits",
    "first_of_each",
    "judge",
    "lifetimes_allowed",
    "marks_of",
    "prior",
    "ranks",
    "rates_of",
    "style_of",
    "techniques",
]


def judge(counted: Counted, terms: Terms) -> Judgement:
    """Decide for every prefix of these requests, so that their whole input is expected to cost least."""
    tree = Tree.grow(counted, terms)
    choice = choose(tree)
    everywhere = everywhere_of(tree)
    nothing = Choice()
    settled = tree.sums(choice)
    before = tree.sums(everywhere)
    plain = tree.sums(nothing)
    decisions = tuple(
        decide(tree, number, choice, (plain.of(number), before.of(number), settled.of(number)))
        for number in range(1, len(tree.nodes))
    )
    none, every, chosen = (sums.total() for sums in (plain, before, settled))
    return Judgement(
        decisions=decisions,
        mode=choice.mode,
        lifetime=choice.lifetime,
        rounds=choice.rounds,
        sharing=tree.sharing(),
        tokens=settled.split(),
        none=none,
        everywhere=every,
        chosen=chosen,
        why=summary(tree, choice, none=none, everywhere=every, chosen=chosen),
    )
