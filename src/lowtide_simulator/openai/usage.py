"""What one OpenAI generation used.

Here: the counts and their three shapes (chat, responses, batch). Not here: prices. Law: cached and written tokens are
inside the prompt, reasoning is inside the output; ``each`` names what is priced apart, with nothing twice.
"""

from dataclasses import dataclass
from typing import Any, Final

KINDS: Final = ("input", "cached", "cache_write_30m", "cache_write_12h", "output")


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens of one generation. ``paid_writes`` says whether the model's answers report cache writes."""

    prompt: int = 0
    cached: int = 0
    write_30m: int = 0
    write_12h: int = 0
    output: int = 0
    reasoning: int = 0
    paid_writes: bool = False

    @property
    def kinds(self) -> tuple[str, ...]:
        """The names of ``each``."""
        return KINDS

    @property
    def each(self) -> tuple[int, ...]:
        """Tokens by what they cost."""
        fresh = self.prompt - self.cached - self.write_30m - self.write_12h
        return (fresh, self.cached, self.write_30m, self.write_12h, self.output)

    def to_json(self, service_tier: str) -> dict[str, Any]:
        """For the bill: the Responses shape and the tier."""
        return {**self.responses(), "service_tier": service_tier}

    def chat(self) -> dict[str, Any]:
        """The ``usage`` of a chat completion, fields as recorded 2026-08."""
        details: dict[str, Any] = {"cached_tokens": self.cached, "audio_tokens": 0}
        if self.paid_writes:
            details["cache_write_tokens"] = self.write_30m + self.write_12h
        return {
            "prompt_tokens": self.prompt,
            "completion_tokens": self.output,
            "total_tokens": self.prompt + self.output,
            "prompt_tokens_details": details,
            "completion_tokens_details": {
                "reasoning_tokens": self.reasoning,
                "audio_tokens": 0,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        }

    def responses(self) -> dict[str, Any]:
        """The ``usage`` of a response."""
        written: dict[str, Any] = {"cache_write_tokens": self.write_30m + self.write_12h}
        if self.write_12h:
            written["cache_write_tokens_details"] = {"ttl_30m_tokens": self.write_30m, "ttl_12h_tokens": self.write_12h}
        return {
            "input_tokens": self.prompt,
            "input_tokens_details": {"cached_tokens": self.cached, **written},
            "output_tokens": self.output,
            "output_tokens_details": {"reasoning_tokens": self.reasoning},
            "total_tokens": self.prompt + self.output,
        }
