"""The words of the catalog: models, prices and limits, each a dated row with its source. No arithmetic lives here.

The law: a row is never changed, it ends and another begins; what no row says is unknown, never zero.
"""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum


class Lane(StrEnum):
    """How a request is bought. The first two are sold by many; the others where a model has prices on them.

    ``WINDOW_2H`` and ``WINDOW_8H`` are OpenAI's background windows: one response, made within so many hours. ``FLEX`` is
    real time that may be slow or refused, ``FAST`` is real time at a higher price (once called priority).
    """

    REALTIME = "realtime"
    BATCH = "batch"
    WINDOW_2H = "2h"
    WINDOW_8H = "8h"
    FLEX = "flex"
    FAST = "fast"


class TokenKind(StrEnum):
    """What is counted and priced. All are tokens but ``web_search``, which counts searches."""

    INPUT = "input"
    CACHE_WRITE_5M = "cache_write_5m"
    CACHE_WRITE_1H = "cache_write_1h"
    CACHE_WRITE_30M = "cache_write_30m"
    CACHE_WRITE_12H = "cache_write_12h"
    CACHE_READ = "cache_read"
    OUTPUT = "output"
    WEB_SEARCH = "web_search"


class TokenizerFamily(StrEnum):
    """Which tokenizer a model counts with. Counts do not carry from one family to another."""

    CLAUDE_3 = "claude-3"  # Claude 2 to 4.6
    CLAUDE_4_7 = "claude-4.7"  # Opus 4.7 and later: about 30 % more tokens for the same text
    O200K = "o200k"  # OpenAI from gpt-4o on
    CL100K = "cl100k"  # OpenAI before: gpt-4, gpt-3.5
    UNKNOWN = "unknown"


class LimitName(StrEnum):
    """What a provider limits. Bytes are decimal: 256 MB is 256,000,000."""

    BATCH_REQUESTS = "batch_requests"  # requests in one batch
    BATCH_BYTES = "batch_bytes"  # bytes of one batch: its create body, or the file of its lines
    BATCH_EXPIRES_SECONDS = "batch_expires_seconds"  # from creation
    RESULTS_KEPT_DAYS = "results_kept_days"  # from creation (Anthropic), from completion (OpenAI)
    BODY_BYTES = "body_bytes"  # bytes of one real-time body
    FILE_BYTES = "file_bytes"  # bytes of one uploaded file of any purpose
    FILE_UPLOADS_PER_MINUTE = "file_uploads_per_minute"
    BATCH_CALLS_PER_MINUTE = "batch_calls_per_minute"  # calls to all batch endpoints
    BATCH_CREATES_PER_HOUR = "batch_creates_per_hour"  # calls that make a batch
    BATCH_REQUESTS_QUEUED = "batch_requests_queued"  # requests in all unfinished batches
    BATCH_TOKENS_QUEUED = "batch_tokens_queued"  # prompt tokens in all unfinished batches of one model
    COUNT_CALLS_PER_MINUTE = "count_calls_per_minute"  # calls that count tokens
    REQUESTS_PER_MINUTE = "requests_per_minute"
    INPUT_TOKENS_PER_MINUTE = "input_tokens_per_minute"  # cache reads not counted
    OUTPUT_TOKENS_PER_MINUTE = "output_tokens_per_minute"
    TOKENS_PER_MINUTE = "tokens_per_minute"  # input, cached or not, and the output that was asked for


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What one kind of token costs on one lane over some days.

    ``dollars_per_million`` is in dollars per million units, as the provider prints it (a search at $10 per 1,000 is
    10,000). ``prompt_tokens_over`` is the tier: the row applies to a whole request whose prompt, cached tokens
    included, has more tokens than this; 0 is the base. Days are UTC; ``effective_to`` is the first day it no longer
    holds, ``None`` when no end is known. ``recorded_on`` is the day the row was written, ``checked_on`` the day its
    source was read. ``file`` names the price file it stands in. ``at_most`` is the most the price can be where its source
    leaves something open (``None``: nothing is open): costs are counted at the price, ceilings at this.
    """

    provider: str
    model: str
    lane: Lane
    kind: TokenKind
    prompt_tokens_over: int
    dollars_per_million: Decimal
    effective_from: date
    effective_to: date | None
    recorded_on: date | None
    source: str
    checked_on: date | None
    file: str
    at_most: Decimal | None = None

    @property
    def dearest(self) -> Decimal:
        """The most it can be: what a ceiling counts with."""
        return self.dollars_per_million if self.at_most is None else max(self.at_most, self.dollars_per_million)

    def holds_on(self, day: date) -> bool:
        """Say whether this price was in force on a day."""
        return self.effective_from <= day and (self.effective_to is None or day < self.effective_to)


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """One model and what it can do.

    ``name`` is the name prices are kept under; ``aliases`` are other names for it, dated snapshots among them.
    ``launched_on`` is the first day it is sold, ``retires_on`` the first day it no longer is (``None``: unknown),
    ``retires_not_before`` a provider's promise. ``context_tokens`` bounds prompt and answer together;
    ``context_beta_tokens`` is the larger window a beta sold for a time. ``batch_output_tokens_max`` is what a batch may
    ask for under a beta header, ``None`` when that is not known to differ. ``cache_minimum_tokens`` is the shortest
    prefix that is cached, ``None`` when unknown. ``us_factor`` multiplies every token price where the provider served
    the request in the US because it was asked to. ``pool`` names the models it shares its rate limits with.

    The last three are no facts of their own but seen from its prices of any day (``parse``): ``cache_write_priced`` whether
    a write into a cache costs more than plain input, ``flex`` and ``windows`` whether it was ever sold on those lanes.
    """

    provider: str
    name: str
    display_name: str = ""
    aliases: tuple[str, ...] = ()
    launched_on: date | None = None
    retires_on: date | None = None
    retires_not_before: date | None = None
    context_tokens: int
    context_beta_tokens: int | None = None
    output_tokens_max: int
    batch_output_tokens_max: int | None = None
    tokenizer: TokenizerFamily = TokenizerFamily.UNKNOWN
    image_tokens_max: int | None = None
    cache_minimum_tokens: int | None = None
    batch: bool = True
    sampling: bool = True
    us_factor: Decimal = Decimal(1)
    pool: str = ""
    source: str = ""
    checked_on: date | None = None
    file: str = ""
    cache_write_priced: bool = False
    flex: bool = False
    windows: bool = False

    @property
    def largest_context_tokens(self) -> int:
        """The largest window it was ever sold with: the true bound of an input whose length is not known."""
        return max(self.context_tokens, self.context_beta_tokens or 0)

    def sold_on(self, day: date) -> bool:
        """Say whether the provider sells it on a day: launched, and not retired."""
        launched = self.launched_on is None or self.launched_on <= day
        return launched and (self.retires_on is None or day < self.retires_on)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """One limit of a provider over some days.

    ``tier`` is the account's usage tier in the provider's words, ``""`` when it holds for every tier. ``models`` names
    the pool of models it is counted over, ``""`` for all.
    """

    provider: str
    name: LimitName
    amount: int
    tier: str = ""
    models: str = ""
    effective_from: date
    effective_to: date | None = None
    source: str = ""
    checked_on: date | None = None
    file: str = ""

    def holds_on(self, day: date) -> bool:
        """Say whether this limit was in force on a day."""
        return self.effective_from <= day and (self.effective_to is None or day < self.effective_to)
