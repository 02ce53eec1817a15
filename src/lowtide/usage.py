"""Usage: the tokens one answer was billed for, in inclusive counts.

``input_tokens`` contains what was read from and written to a cache; ``output_tokens`` contains reasoning. Providers
that report disjoint counts (Anthropic) are brought to this form in their codec and nowhere else.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Token counts of one answer, and what the provider said about the tier it billed.

    Cache writes are counted by the lifetime they were bought for: 5 minutes and an hour (Anthropic), 30 minutes and 12
    hours (OpenAI).
    ``service_tier`` and ``inference_geo`` are the provider's words; ``None`` means it did not say.
    """

    input_tokens: int
    output_tokens: int
    cache_read_tokens: int = 0
    cache_write_5m_tokens: int = 0
    cache_write_1h_tokens: int = 0
    cache_write_30m_tokens: int = 0
    cache_write_12h_tokens: int = 0
    reasoning_tokens: int = 0
    web_searches: int = 0
    service_tier: str | None = None
    inference_geo: str | None = None
    speed: str | None = None

    def __post_init__(self) -> None:
        # Written out flat: this runs once for every answer. One negative number makes the bits of all of them negative.
        read = self.cache_read_tokens
        short, long = self.cache_write_5m_tokens, self.cache_write_1h_tokens
        half, day = self.cache_write_30m_tokens, self.cache_write_12h_tokens
        inputs, outputs, reasoning = self.input_tokens, self.output_tokens, self.reasoning_tokens
        counts = inputs | outputs | read | short | long | half | day | reasoning | self.web_searches
        assert counts >= 0, "token counts are never negative"
        assert read + short + long + half + day <= inputs, "cached tokens are part of the input"
        assert reasoning <= outputs, "reasoning is part of the output"

    @property
    def cache_write_tokens(self) -> int:
        """Input tokens that were written to a cache, of any lifetime."""
        short = self.cache_write_5m_tokens + self.cache_write_30m_tokens
        return short + self.cache_write_1h_tokens + self.cache_write_12h_tokens

    @property
    def cached_tokens(self) -> int:
        """Input tokens that met the cache, read or written."""
        return self.cache_read_tokens + self.cache_write_tokens

    @property
    def uncached_tokens(self) -> int:
        """Input tokens billed at the plain input price."""
        return self.input_tokens - self.cached_tokens
