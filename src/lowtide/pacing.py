"""When the next real-time call may start: inside every limit of the provider, and using them fully. Pure."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Measure(StrEnum):
    """What a provider counts a minute of."""

    REQUESTS = "requests"
    INPUT_TOKENS = "input_tokens"
    OUTPUT_TOKENS = "output_tokens"
    TOKENS = "tokens"  # input and output together


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a reply said of one limit a minute; ``None`` for what it did not say."""

    measure: Measure
    limit: int | None
    remaining: int | None
    reset_at: datetime | None
