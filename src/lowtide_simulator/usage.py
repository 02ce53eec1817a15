"""What one generation used.

Here: the counts and their shape in a ``usage`` object. Not here: prices. Law: ``input`` is what no cache served or
took; the whole prompt is input + writes + read.
"""

from dataclasses import dataclass
from typing import Any

from lowtide_simulator.prices import KINDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens of one generation, by the kinds that are priced apart. ``output`` includes ``thinking``."""

    input: int = 0
    write_5m: int = 0
    write_1h: int = 0
    read: int = 0
    output: int = 0
    thinking: int = 0
    geo: str = "global"
    fast: bool = False

    @property
    def prompt(self) -> int:
        """Every prompt token, cached or not: what length tiers and context windows look at."""
        return self.input + self.write_5m + self.write_1h + self.read

    @property
    def kinds(self) -> tuple[str, ...]:
        """The names of ``each``."""
        return KINDS

    @property
    def each(self) -> tuple[int, ...]:
        """Tokens by what they cost."""
        return (self.input, self.write_5m, self.write_1h, self.read, self.output)

    def to_json(self, service_tier: str) -> dict[str, Any]:
        """The ``usage`` object, fields in the order of recorded answers (2026-08-19)."""
        body: dict[str, Any] = {
            "input_tokens": self.input,
            "cache_creation_input_tokens": self.write_5m + self.write_1h,
            "cache_read_input_tokens": self.read,
            "cache_creation": {
                "ephemeral_5m_input_tokens": self.write_5m,
                "ephemeral_1h_input_tokens": self.write_1h,
            },
            "output_tokens": self.output,
            "output_tokens_details": {"thinking_tokens": self.thinking},
            "service_tier": service_tier,
            "inference_geo": self.geo,
        }
        if self.fast:
            body["speed"] = "fast"
        return body
