"""What replies of every provider say in headers in the same way: the date, and how long to stay away."""

import re
from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from math import ceil
from typing import Final

YEAR_MAX: Final = 9000  # a duration can be added to any date before
DIGITS_MAX: Final = 15


def retry_after(headers: Mapping[str, str], now: datetime | None) -> int | None:
    """Read the seconds to wait, rounded up; ``None`` when the provider did not say or it cannot be read.

    ``now`` is the provider's time, for a ``retry-after`` that is a date.
    """
    for name, per_second in (("retry-after-ms", 1000), ("retry-after", 1)):
        text = headers.get(name, "").strip()
        if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", text, re.ASCII):
            return ceil(float(text) / per_second)
    until = http_date(headers.get("retry-after", ""))
    if until is None or now is None:
        return None
    return max(0, ceil((until - now).total_seconds()))


def http_date(text: str) -> datetime | None:
    """Read an HTTP date, before the year 9000; ``None`` for anything else."""
    try:
        found = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return found if found.tzinfo is not None and found.year < YEAR_MAX else None


def whole_number(text: str | None) -> int | None:
    """Read a whole number of at most ``DIGITS_MAX`` digits; ``None`` for anything else."""
    return int(text) if text is not None and len(text) <= DIGITS_MAX and text.isascii() and text.isdigit() else None
