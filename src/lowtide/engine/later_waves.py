"""Later waves priced from their totals: an average request, and a ceiling that holds for the longest of them.

Their bodies quote answers that do not exist yet, so a row of such a wave is a sum (or one request, where it may come near a
price threshold). What a prompt costs jumps at a threshold: no average may hide a request beyond it from the ceiling.
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import date

from lowtide.catalog import Catalog, Lane
from lowtide.errors import PriceUnknown
from lowtide.estimate import DENSITIES, FLOOR_PERCENT, Basis, TokenRange, estimate_output, likely_tokens
from lowtide.plan import Cost, Costs, Draft, Learned
from lowtide.providers import BodyFacts
from lowtide.request import Neutral, RequestKey
from lowtide.spool import Scales
from lowtide.workload import LaterWave, PromptThreshold, Quotes

BLANK = Neutral(
    system="?", shared=("?",), text="?", max_output_tokens=1
)  # the frame of every body that a later wave has
BLANK_BYTES = 3


def prompt_threshold(catalog: Catalog, provider: str, model: str, day: date) -> PromptThreshold | None:
    """Give the first prompt length at which a model's price changes, ``None`` where none is known."""
    found = catalog.model(provider, model)
    if found is None:
        return None
    tokens: set[int] = set()
    for lane in (Lane.BATCH, Lane.REALTIME):
        try:
            tokens.update(catalog.sheet(provider, model, lane, day).thresholds)
        except PriceUnknown:
            continue  # not sold on this lane: what costs money has a price, or is refused elsewhere
    if not tokens:
        return None
    density = DENSITIES[found.tokenizer]
    return PromptThreshold(tokens=min(tokens), ascii_bytes=density.ascii_bytes, other_bytes=density.other_bytes)


def add_later(draft: Draft, scales: Scales, wave: int, line: LaterWave, model: str) -> None:
    """Price a row of a later wave and add it to the plan. Raises: PriceUnknown."""
    provider = scales.seller(model)
    found = scales.catalog.model(provider, model)
    codec = scales.codecs[provider]
    count = max(line.requests, 1)
    assert found is not None, "the first wave knew this model"
    window = found.largest_context_tokens
    own_bytes = line.input_bytes_likely - (line.quoted_bytes_likely if line.quotes else 0)
    own_in = likely_tokens(own_bytes // count, tokenizer=found.tokenizer)
    quoted = _quoted_tokens(scales.learned, line.quotes, model)
    # What is quoted has no more bytes than it may, however long the answers are: the rest of them is cut off.
    shown_in = likely_tokens(max(0, line.input_bytes_ceiling - own_bytes) // count, tokenizer=found.tokenizer)
    most_out = max(1, -(-line.output_tokens_ceiling // count))
    facts = codec.read_body(
        codec.encode(model=model, body=replace(BLANK, max_output_tokens=most_out)), codec.neutral_endpoint
    )
    assert isinstance(facts, BodyFacts), "our own body reads"
    frame = facts.content_bytes - BLANK_BYTES  # what a provider may count around the texts
    most_in = min(-(-line.input_bytes_ceiling // count) + frame, window)
    each_in = min(own_in + min(quoted.likely // count, shown_in), most_in)
    # Nothing is known of what quotes answers of an unknown length: it goes from floor to ceiling, as they do.
    floor = min(own_in, most_in) * FLOOR_PERCENT // 100
    tokens_in = TokenRange(floor=floor, likely=each_in, ceiling=most_in, basis=quoted.basis)
    tokens_out = estimate_output(most_out, scales.learned.get((line.kind, model)))
    longest_in = line.input_bytes_longest + frame if line.input_bytes_longest else window
    longest = tokens_in._replace(ceiling=max(most_in, min(longest_in, window)))
    largest = scales.costs(codec, facts, longest, tokens_out)
    draft.add_later(
        wave=wave,
        kind=line.kind,
        provider=provider,
        model=model,
        requests=line.requests,
        tokens_in=tokens_in,
        tokens_out=tokens_out,
        costs=_share(largest, most_in, longest.ceiling),
        largest=largest,
        key=RequestKey(line.key) if line.key else None,
    )


def _share(costs: Costs, tokens: int, longest: int) -> Costs:
    """Give the ceilings of a prompt of so many tokens at the prices that the longest one may meet."""

    def shared(cost: Cost) -> Cost:
        prompt = -(-(cost.ceiling - cost.output_ceiling) * tokens // max(1, longest))
        # The answer's part is what rounding left of a difference: one more keeps it a bound.
        return cost._replace(ceiling=prompt + cost.output_ceiling + 1, output_ceiling=cost.output_ceiling + 1)

    if tokens == longest:
        return costs
    return Costs(
        realtime=shared(costs.realtime),
        batch=None if costs.batch is None else shared(costs.batch),
        windows={lane: shared(cost) for lane, cost in costs.windows.items()},
    )


def _quoted_tokens(learned: Learned, quotes: Iterable[Quotes], model: str) -> TokenRange:
    """Say how many tokens the answers that a later wave quotes have together, and whether that is known."""
    likely, basis = 0, Basis.LOCAL
    for each in quotes:
        one = estimate_output(max(1, -(-each.tokens_ceiling // each.answers)), learned.get((each.kind, model)))
        likely += one.likely * each.answers
        basis = Basis.LIMIT if one.basis is Basis.LIMIT else basis
    return TokenRange(floor=0, likely=likely, ceiling=sum(each.tokens_ceiling for each in quotes), basis=basis)
