"""Why a prefix is cached or not, in plain sentences for a plan. Nothing is decided here.

The law: the first reason that holds is said, with the figures it rests on.
"""

from fractions import Fraction

from lowtide.caching.choice import lifetimes_allowed
from lowtide.caching.terms import CacheStyle, Decision, HitRate, break_even
from lowtide.caching.tree import ONE, Choice, Tree
from lowtide.errors import counted
from lowtide.money import Nanos, show_dollars


def decide(tree: Tree, number: int, choice: Choice, amounts: tuple[Nanos, Nanos, Nanos]) -> Decision:
    """Say what becomes of one prefix. ``amounts``: without caching, with caching everywhere, as chosen."""
    none, everywhere, chosen = amounts
    terms, node = tree.terms, tree.nodes[number]
    marked = number in choice.marks and not choice.automatic
    # Where nothing is chosen the reason speaks of the best way there was.
    way = choice.rounds > 0 or (terms.rounds_max > 0 and not choice.lifetime)
    looked = choice.lifetime or next(iter(lifetimes_allowed(terms, warm=way)), "")
    base = terms.warmed if way or node.readable else terms.cold
    hits = HitRate(
        share=Fraction(tree.share(number, lifetime=looked, warm=way), ONE), basis=base.basis, source=base.source
    )
    even = break_even(terms.rates, looked)
    warm = marked and choice.rounds > 0 and not node.readable
    saved = Nanos(none - chosen)
    return Decision(
        prefix=node,
        lifetime=choice.lifetime if marked else "",
        warm=warm,
        hits=hits,
        break_even=even,
        none=none,
        everywhere=everywhere,
        chosen=chosen,
        why=_why_marked(looked, hits, saved, warm=warm)
        if marked
        else _why_not(tree, number, looked, hits, even, saved),
    )


def _why_marked(lifetime: str, hits: HitRate, saved: Nanos, *, warm: bool) -> str:
    """Say in one plain sentence why this prefix ends in a breakpoint."""
    first = "after one request has gone first, " if warm else ""
    money = f"saves {show_dollars(saved)}" if saved >= 0 else "it serves the prefixes around it"
    return f"Breakpoint for {lifetime}: {first}{_found(hits)}; {money}."


def _why_not(tree: Tree, number: int, looked: str, hits: HitRate, even: Fraction | None, saved: Nanos) -> str:
    """Say in one plain sentence why this prefix ends in none; the first reason that holds."""
    node, terms = tree.nodes[number], tree.terms
    if terms.style is CacheStyle.NONE or even is None:
        return "No breakpoint: no cache with a price is known for this model on this lane."
    if terms.style is CacheStyle.AUTOMATIC:
        return "No breakpoint: this provider caches by itself and takes nothing for writing."
    if saved:
        return "No breakpoint of its own: longer prefixes that begin with it have theirs."
    if node.requests < 2:
        return "No breakpoint: only one request begins with it."
    if not tree.cacheable(number):
        least = "the least minimum of any model" if terms.minimum_tokens is None else "the model's minimum"
        return f"No breakpoint: {node.tokens:,} tokens are below {least}, {tree.minimum:,}."
    if hits.share <= even:
        late = "" if terms.rounds_max else "; there is no time for one request to go first"
        return f"No breakpoint: {_found(hits)}, and a write for {looked} pays from {_percent(even)} on{late}."
    if not terms.rounds_max or not tree.saves_alone(number, looked):
        return f"No breakpoint: {node.requests:,} requests are too few to earn back a write for {looked}."
    worth = show_dollars(terms.warm_saving_min)
    return f"No breakpoint: it would save less than waiting for one request to go first is worth ({worth})."


def _found(hits: HitRate) -> str:
    return f"{_percent(hits.share)} of the others are expected to find it ({hits.basis})"


def summary(tree: Tree, choice: Choice, *, none: Nanos, everywhere: Nanos, chosen: Nanos) -> str:
    """Say in one sentence what caching does for all of them."""
    style = tree.terms.style
    if style is CacheStyle.NONE:
        return "No cache with a price is known for this model on this lane."
    if style is CacheStyle.AUTOMATIC:
        return f"The provider caches by itself, free of charge; expected to save {show_dollars(none - chosen)}."
    if not choice.marks:
        saved = f"; writing everything would cost {show_dollars(everywhere - none)} more" if everywhere > none else ""
        return f"No breakpoint pays here{saved}."
    count = len(choice.marks)
    cached = counted(count, "prefix is cached", "prefixes are cached")
    first = f", after one request with {'it' if count == 1 else 'each'} has gone first" if choice.rounds else ""
    return f"{cached} for {choice.lifetime}{first}; saves {show_dollars(none - chosen)}."


def _percent(share: Fraction) -> str:
    return f"{round(share * 100)} %"
