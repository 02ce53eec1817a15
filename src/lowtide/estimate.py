"""How many tokens: a judgement from bytes, limits and earlier answers, always with a bound. Nothing is asked or sent.

Money is not known here (``catalog`` prices tokens). The law: a ceiling is a true bound, a likely figure says what it
rests on, and nothing is below its floor by our own arithmetic.

Measured against Anthropic's own counts in recorded traffic (tests/contract/test_anthropic_recordings.py), on bodies
without images: in 22 of 8 to 2,073 tokens for models up to 4.6 the likely figure is off by 23 % in the median, mostly
too high; in 5 of the newer family by 19 %. Half of them are shorter than 60 tokens, where the frame around a message
weighs most. The ceiling was never passed. No recording has another script than Latin, or a long text of prose: those
densities are assumptions until counts or usage of our own correct them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import isqrt
from typing import Protocol

from lowtide.catalog import Model, TokenizerFamily


class Basis(StrEnum):
    """What a figure rests on, surest first."""

    COUNTED = "counted"  # the provider counted it
    LEARNED = "learned"  # earlier answers to the same kind of request
    LOCAL = "local"  # our own estimate from bytes
    LIMIT = "limit"  # nothing is known but a limit


class InputFacts(Protocol):
    """What must be known of a body (``providers.BodyFacts`` has it, and is above this room)."""

    @property
    def content_bytes(self) -> int:
        """UTF-8 bytes of everything that becomes tokens, what the provider adds around it included."""
        ...

    @property
    def non_ascii_bytes(self) -> int:
        """The part of it outside ASCII."""
        ...

    @property
    def images(self) -> int:
        """Images, each bounded by the image formula."""
        ...

    @property
    def input_unbounded(self) -> bool:
        """Whether the body names something whose length cannot be seen."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRange:
    """Tokens of one request: hardly fewer than ``floor``, probably ``likely``, never more than ``ceiling``."""

    floor: int
    likely: int
    ceiling: int
    basis: Basis


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputHistory:
    """Lengths in tokens of earlier answers to one kind of request: their number, mean, and 5 % and 95 % quantiles."""

    answers: int
    mean_tokens: int
    low_tokens: int
    high_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SumRange:
    """A sum over many requests, in any unit (tokens, nano-dollars): ``low`` to ``high`` holds 95 times in 100.

    ``floor`` and ``ceiling`` are the sums of the single bounds; ``basis`` is the least sure that went in.
    """

    floor: int
    low: int
    likely: int
    high: int
    ceiling: int
    basis: Basis

    def plus(self, other: "SumRange") -> "SumRange":
        """Add a sum. Errors are taken to go together, so the range is never too narrow for it."""
        order = list(Basis)
        return SumRange(
            floor=self.floor + other.floor,
            low=self.low + other.low,
            likely=self.likely + other.likely,
            high=self.high + other.high,
            ceiling=self.ceiling + other.ceiling,
            basis=max(self.basis, other.basis, key=order.index),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Density:
    """Bytes that a hundred tokens hold: ASCII text, and text in other scripts (2 to 4 bytes a character)."""

    ascii_bytes: int
    other_bytes: int


# English prose holds 4.0 to 4.8 bytes a token in recorded answers, tools and JSON 3.2 and more in recorded bodies; a
# little too many tokens is the better error. From Opus 4.7 on the same text gives about 30 % more (token counting page,
# checked 2026-11-21). Other scripts are assumed: a Cyrillic letter has 2 bytes and most of a token, a Chinese one 3.
DENSITIES: dict[TokenizerFamily, Density] = {
    TokenizerFamily.CLAUDE_3: Density(ascii_bytes=380, other_bytes=260),
    TokenizerFamily.CLAUDE_4_7: Density(ascii_bytes=292, other_bytes=200),
    TokenizerFamily.UNKNOWN: Density(ascii_bytes=330, other_bytes=220),
}
FLOOR_PERCENT = 60  # of the likely input: prose of long words, in the densest recorded body 4.8 bytes a token
IMAGE_TOKENS_MAX = 4_784  # 28-pixel patches of the largest image a model looks at (vision page, checked 2026-11-21)
UNSEEN_TOKENS_LIKELY = 4_500  # a page or two of a PDF: 1,500 to 3,000 tokens of text, and its picture

# With no history an answer is guessed at half its limit, and at no more than this: most limits are set far too high.
LIMIT_SHARE_PERCENT = 50
LIMIT_LIKELY_MAX = 4_000

# Half widths of a 95 % range in percent of the likely sum: what all requests of a run have in common (a wrong density
# is wrong for all of them), and what is each one's own and so shrinks with the root of their number.
SHARED_PERCENT = {Basis.COUNTED: 3, Basis.LEARNED: 15, Basis.LOCAL: 40}
OWN_PERCENT = {Basis.COUNTED: 3, Basis.LEARNED: 100, Basis.LOCAL: 50}


def likely_tokens(content_bytes: int, *, non_ascii_bytes: int = 0, tokenizer: TokenizerFamily) -> int:
    """Guess the tokens of so many UTF-8 bytes of text; at least 1 where there is any."""
    density = DENSITIES[tokenizer]
    plain = (content_bytes - non_ascii_bytes) * 100 // density.ascii_bytes
    return plain + non_ascii_bytes * 100 // density.other_bytes + (content_bytes > 0)


def estimate_input(facts: InputFacts, model: Model) -> TokenRange:
    """Estimate the input tokens of a body.

    The ceiling is a bound: a token holds at least one byte, an image at most the formula's maximum, and what cannot be
    seen at most the context window, which also bounds the whole.
    """
    window = model.largest_context_tokens
    content = facts.content_bytes
    likely = likely_tokens(content, non_ascii_bytes=facts.non_ascii_bytes, tokenizer=model.tokenizer)
    ceiling = content
    floor = likely * FLOOR_PERCENT // 100
    if facts.images:
        image = model.image_tokens_max or IMAGE_TOKENS_MAX
        ceiling += facts.images * image
        likely += facts.images * image // 2
    if facts.input_unbounded:
        ceiling = window
        likely += UNSEEN_TOKENS_LIKELY
    return TokenRange(
        floor=min(floor, window),
        likely=min(likely, ceiling, window),
        ceiling=min(ceiling, window),
        basis=Basis.LIMIT if facts.input_unbounded else Basis.LOCAL,
    )


def counted_input(tokens: int, model: Model) -> TokenRange:
    """Take the provider's own count. It calls it an estimate: the ceiling allows 5 % and 64 tokens more.

    Source: token counting page, checked 2026-11-21; how far it errs is not stated there.
    """
    window = model.largest_context_tokens
    ceiling = min(tokens + tokens // 20 + 64, window)
    return TokenRange(
        floor=min(tokens - tokens // 20, ceiling), likely=min(tokens, ceiling), ceiling=ceiling, basis=Basis.COUNTED
    )


def estimate_output(max_output_tokens: int, history: OutputHistory | None) -> TokenRange:
    """Estimate the output tokens of one answer; the ceiling is always the limit it was given.

    With a history the likely figure is its mean, because sums are made of means. Without one it is a stated share of
    the limit (``LIMIT_SHARE_PERCENT``, ``LIMIT_LIKELY_MAX``), and its basis says that nothing is known.
    """
    if history is None or history.answers == 0:
        likely = min(max_output_tokens * LIMIT_SHARE_PERCENT // 100, LIMIT_LIKELY_MAX)
        return TokenRange(
            floor=min(1, max_output_tokens), likely=max(likely, 1), ceiling=max_output_tokens, basis=Basis.LIMIT
        )
    return TokenRange(
        floor=min(history.low_tokens, max_output_tokens),
        likely=min(history.mean_tokens, max_output_tokens),
        ceiling=max_output_tokens,
        basis=Basis.LEARNED,
    )


def output_history(lengths: Sequence[int]) -> OutputHistory:
    """Sum up the lengths in tokens of earlier answers to one kind of request."""
    ordered = sorted(lengths)
    last = len(ordered) - 1
    return OutputHistory(
        answers=len(ordered),
        mean_tokens=-(-sum(ordered) // max(len(ordered), 1)),
        low_tokens=ordered[last // 20] if ordered else 0,
        high_tokens=ordered[-(-last * 19 // 20)] if ordered else 0,
    )


def spread_percent(count: int, basis: Basis) -> int | None:
    """Give the half width of the 95 % range of a sum over ``count`` requests in percent; ``None`` when unknown."""
    if basis is Basis.LIMIT or count == 0:
        return None
    wide = range_of_sum(count=count, floor=0, likely=100_000, ceiling=10**9, basis=basis)
    return -(-(wide.high - 100_000) // 1000)


def range_of_sum(*, count: int, floor: int, likely: int, ceiling: int, basis: Basis) -> SumRange:
    """Give the 95 % range of a sum over ``count`` requests of one kind, from the sums of their ranges.

    Half its width is a part all requests share, plus a part of their own that shrinks with the root of their number;
    both in percent of ``likely``, kept inside floor and ceiling. Where only a limit is known it is floor to ceiling.
    """
    if basis is Basis.LIMIT or count == 0:
        return SumRange(floor=floor, low=floor, likely=likely, high=ceiling, ceiling=ceiling, basis=basis)
    # Thousandths, so that the root of a small number is not rounded away.
    own = OWN_PERCENT[basis] * 1_000 * 1_000 // max(1, isqrt(count * 1_000_000))
    half = likely * (SHARED_PERCENT[basis] * 1_000 + own) // 100_000
    return SumRange(
        floor=floor,
        low=max(floor, likely - half),
        likely=likely,
        high=min(ceiling, likely + half),
        ceiling=ceiling,
        basis=basis,
    )
