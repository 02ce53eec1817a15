"""What each technique saves, alone and together, from the same tokens (V5).

Which tokens met a cache is given, by answers or by a judgement's expectation. The law: four prices of one usage, exact.
"""

from dataclasses import dataclass
from fractions import Fraction

from lowtide.catalog import PriceSheet
from lowtide.usage import Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Techniques:
    """What the same tokens cost with no technique, with each alone, and with both (V5), in exact dollars."""

    none: Fraction = Fraction(0)
    caching: Fraction = Fraction(0)
    batch: Fraction = Fraction(0)
    both: Fraction = Fraction(0)

    def plus(self, other: "Techniques") -> "Techniques":
        """Add another request's."""
        return Techniques(
            none=self.none + other.none,
            caching=self.caching + other.caching,
            batch=self.batch + other.batch,
            both=self.both + other.both,
        )


def techniques(usage: Usage, *, realtime: PriceSheet, batch: PriceSheet) -> Techniques:
    """Price one request's tokens four times. Sum these, never usages: a sum would reach a tier that no request did.

    Raises: PriceUnknown when a kind of token has no price on either lane.
    """
    bare = Usage(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        reasoning_tokens=usage.reasoning_tokens,
        web_searches=usage.web_searches,
        inference_geo=usage.inference_geo,
    )
    return Techniques(
        none=realtime.cost(bare), caching=realtime.cost(usage), batch=batch.cost(bare), both=batch.cost(usage)
    )
