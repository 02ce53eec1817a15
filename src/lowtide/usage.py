"""Usage: the tokens one answer was billed for, in inclusive counts.

``input_tokens`` contains what was read from and written to a cache; ``output_tokens`` contains reasoning. Providers
that report disjoint counts (Anthropic) are brought to this form in their codec and nowhere else.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Token counts of one answer, and what the provider said about the tier it billed.

    ``service_tier`` and ``inference_geo`` are the provider's words; ``None`` means it did not say.
    """

    input_tokens: int
    output_tokens: int
    cache_read_tokens: int = 0
    cache_write_5m_tokens: int = 0
    cache_write_1h_tokens: int = 0
    reasoning_tokens: int = 0
    web_searches: int = 0
    service_tier: str | None = None
    inference_geo: str | None = None
    speed: str | None = None

    def __post_init__(self) -> None:
        # Written out flat: this runs once for every answer.
        read, short, long = self.cache_read_tokens, self.cache_write_5m_tokens, self.cache_write_1h_tokens
        assert self.input_tokens >= 0 and self.output_tokens >= 0, "token counts are never negative"  # noqa: PT018
        assert read >= 0 and short >= 0 and long >= 0, "token counts are never negative"  # noqa: PT018
        assert self.reasoning_tokens >= 0 and self.web_searches >= 0, "token counts are never negative"  # noqa: PT018
        assert read + short + long <= self.input_tokens, "cached tokens are part of the input"
        assert self.reasoning_tokens <= self.output_tokens, "reasoning is part of the output"

    @property
    def cached_tokens(self) -> int:
        """Input tokens that met the cache, read or written."""
        return self.cache_read_tokens + self.cache_write_5m_tokens + self.cache_write_1h_tokens

    @property
    def uncached_tokens(self) -> int:
        """Input tokens billed at the plain input price."""
        return self.input_tokens - self.cached_tokens
