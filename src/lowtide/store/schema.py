"""The tables, reading like the design: plans, runs, waves, requests, shards, batches, attempts, accounts, transfers.

One narrow row a request says where its body and its answer lie; the bytes lie in segments. Instants are UTC, written as
ISO 8601 text with microseconds, which sorts and reads the same in every database. Money is nano-dollars.
"""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)

from lowtide.batch import BatchState

METADATA = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class Instant(TypeDecorator[datetime]):
    """A UTC instant as text: ``2026-11-22T10:00:00.000000Z``."""

    impl = String(27)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> str | None:
        """Write an aware datetime."""
        return None if value is None else instant_text(value)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:  # noqa: ANN401
        """Read it back."""
        return None if value is None else datetime.fromisoformat(value).astimezone(UTC)


def instant_text(value: datetime) -> str:
    """Write an instant as the store keeps it."""
    assert value.tzinfo is not None, "naive datetimes never exist"
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def foreign_text(text: str, characters_max: int) -> str:
    """Write what somebody else said as the store keeps it: no longer, and without NUL, which PostgreSQL refuses."""
    return text[:characters_max].replace("\0", "\N{REPLACEMENT CHARACTER}")


def _one_of(column: str, *names: str) -> CheckConstraint:
    listed = ", ".join(f"'{name}'" for name in names)
    return CheckConstraint(f"{column} in ({listed})", name=f"{column}_known")


BIG = BigInteger().with_variant(Integer(), "sqlite")  # SQLite numbers rows by itself only for INTEGER

META = Table("meta", METADATA, Column("name", String(40), primary_key=True), Column("value", Text, nullable=False))

PLANS = Table(
    "plans",
    METADATA,
    Column("plan_id", String(40), primary_key=True),
    Column("title", Text, nullable=False),
    Column("workload", String(40), nullable=False),
    Column("source", Text, nullable=False),
    Column("source_digest", String(64), nullable=False),
    Column("model", Text, nullable=False),
    Column("provider", Text, nullable=False),  # every provider that it asks, space between
    Column("digest", String(64), nullable=False),
    Column("figures", LargeBinary, nullable=False),  # the plan as it was shown, JSON
    Column("scope", LargeBinary, nullable=False),  # what later waves and delivery need, zstd
    Column("waves", Integer, nullable=False),
    Column("sealed", Boolean, nullable=False),  # its first wave is whole
    Column("sealed_at", Instant),
    Column("created_at", Instant, nullable=False),
)

RUNS = Table(
    "runs",
    METADATA,
    Column("run_id", String(40), primary_key=True),
    Column("plan_id", ForeignKey("plans.plan_id"), nullable=False, unique=True),
    Column("state", String(12), nullable=False),
    Column("reason", Text, nullable=False, server_default=""),
    Column("wave", Integer, nullable=False),
    Column("route", String(10), nullable=False),  # of whatever was in no shard yet
    Column("deadline_at", Instant),
    Column("hastened", Boolean, nullable=False),  # some of what was out was called back, to go out by a quicker lane
    Column("hasten_at", Instant),  # the last safe moment to move what is out of the newest wave
    Column("routed_wave", Integer),  # the newest whose lane was chosen by the time left; NULL: the plan's lane stands
    Column("spared_seconds", Integer, nullable=False, server_default="0"),  # that hasten_at leaves to later waves
    Column("called_back", String(20), nullable=False, server_default=""),  # lanes the newest wave was moved from
    Column("doubts", String(10), nullable=False, server_default="resend"),  # what becomes of a lost real-time reply
    Column("out", Text, nullable=False, server_default=""),
    Column("credential", Text, nullable=False, server_default=""),
    Column("retry_round", Integer, nullable=False, server_default="0"),
    Column("created_at", Instant, nullable=False),
    Column("ended_at", Instant),
    Column("leased_by", String(40)),
    Column("leased_until", Instant),
    _one_of("state", "active", "paused", "canceling", "done", "failed", "canceled"),
    _one_of("route", "batch", "realtime", "2h", "8h"),
    _one_of("doubts", "resend", "wait"),
)

WAVES = Table(
    "waves",
    METADATA,
    Column("plan_id", ForeignKey("plans.plan_id"), nullable=False),
    Column("wave", Integer, nullable=False),
    Column("first_seq", BigInteger, nullable=False),
    Column("last_seq", BigInteger, nullable=False),  # first_seq - 1 for a wave of nothing
    PrimaryKeyConstraint("plan_id", "wave"),
)

KINDS = Table(
    "kinds",
    METADATA,
    Column("plan_id", ForeignKey("plans.plan_id"), nullable=False),
    Column("kind", String(40), nullable=False),
    Column("provider", String(40), nullable=False),
    Column("model", String(120), nullable=False),
    Column("passed", Boolean, nullable=False),  # one request of it was answered in real time, or tried often enough
    Column("refusals", Integer, nullable=False),
    PrimaryKeyConstraint("plan_id", "kind", "provider", "model"),
)

LOTS = Table(  # requests that may share a batch
    "lots",
    METADATA,
    Column("plan_id", ForeignKey("plans.plan_id"), nullable=False),
    Column("lot", Integer, nullable=False),
    Column("provider", String(40), nullable=False),
    Column("model", Text, nullable=False),  # empty where a batch takes several
    Column("endpoint", String(10), nullable=False),
    Column("route", String(10), nullable=False, server_default="batch"),  # how what waits of it goes out
    Column(
        "turn", Integer, nullable=False, server_default="0"
    ),  # batches of it wait until those of lower turns are back
    Column("packed_seq", BigInteger, nullable=False),  # every pending request up to here is in a shard
    Column("requests_max", Integer),  # of one batch, where the provider's queue proved too small for more
    PrimaryKeyConstraint("plan_id", "lot"),
)

REQUESTS = Table(
    "requests",
    METADATA,
    Column("plan_id", String(40), nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("wave", Integer, nullable=False),
    Column("key", Text, nullable=False),
    Column("kind", String(40), nullable=False),
    Column("model", Text, nullable=False),
    Column("state", String(10), nullable=False),
    Column("body_at", BigInteger, nullable=False),
    Column("body_bytes", BigInteger, nullable=False),
    Column("lot", Integer, nullable=False),
    Column("input_tokens", BigInteger, nullable=False),  # likely, for pacing
    Column("output_tokens", BigInteger, nullable=False),  # its limit, for pacing
    Column("likely_nanos", BigInteger, nullable=False),
    Column("ceiling_nanos", BigInteger, nullable=False),  # on the batch lane
    Column("realtime_nanos", BigInteger, nullable=False),  # the ceiling on every other lane
    Column("tries", Integer, nullable=False, server_default="0"),
    Column("gaps", Text, nullable=False, server_default=""),  # keys whose text was missing, a line each
    Column("shard_id", String(40)),  # of the attempt that decided its state
    Column("ordinal", Integer),
    PrimaryKeyConstraint("plan_id", "seq"),
    UniqueConstraint("plan_id", "key"),
    _one_of("state", "pending", "trying", "retry", "succeeded", "failed", "canceled"),
    sqlite_with_rowid=False,
)
Index(
    "ix_requests_retry",
    REQUESTS.c.plan_id,
    REQUESTS.c.state,
    REQUESTS.c.seq,
    sqlite_where=text("state = 'retry'"),
    postgresql_where=text("state = 'retry'"),
)

Index("ix_requests_lot", REQUESTS.c.plan_id, REQUESTS.c.lot, REQUESTS.c.seq)

SHARDS = Table(
    "shards",
    METADATA,
    Column("shard_id", String(40), primary_key=True),
    Column("run_id", ForeignKey("runs.run_id"), nullable=False),
    Column("plan_id", String(40), nullable=False),
    Column("wave", Integer, nullable=False),
    Column("provider", String(40), nullable=False),
    Column("lot", Integer, nullable=False),
    Column("route", String(10), nullable=False),
    Column("kind", String(40), nullable=False, server_default=""),  # of the first request of its kind, tried alone
    Column("members", LargeBinary, nullable=False),  # seqs as ranges, in ordinal order
    Column("requests", Integer, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("hold_id", BigInteger, nullable=False),
    Column("state", String(10), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("landed_at", Instant),
    Column("delivered_at", Instant),
    _one_of("route", "batch", "realtime", "2h", "8h"),
    _one_of("state", "reserved", "out", "landed", "dropped"),
    Index("ix_shards_run_id", "run_id"),
)

CALLS = Table(  # real-time calls whose intent is written and whose outcome is not
    "calls",
    METADATA,
    Column("shard_id", ForeignKey("shards.shard_id"), nullable=False),
    Column("ordinal", Integer, nullable=False),
    Column("plan_id", String(40), nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("state", String(10), nullable=False),
    Column("response_id", Text),  # of one that is made in the background
    Column("hold_id", BigInteger),  # a doubt's own
    Column("cancel_asked", Boolean, nullable=False),
    Column("next_at", Instant),
    Column("at", Instant, nullable=False),
    PrimaryKeyConstraint("shard_id", "ordinal"),
    _one_of("state", "sending", "queued", "doubtful"),
    Index("ix_calls_plan_id", "plan_id", "seq"),
)

BATCHES = Table(
    "batches",
    METADATA,
    Column("batch_id", BIG, primary_key=True, autoincrement=True),
    Column("shard_id", ForeignKey("shards.shard_id"), nullable=False),
    Column("provider", String(40), nullable=False),
    Column("role", String(10), nullable=False),
    Column("state", String(12), nullable=False),
    Column("input_file_id", Text),  # where the lines were uploaded before the batch is created
    Column("provider_batch_id", Text),
    Column("newest_before", Text),  # newest batch of the provider when the intent was written
    Column("newest_before_at", Instant),  # and the provider's time of it
    Column("results_paths", Text, nullable=False, server_default=""),  # all are read; space between
    Column("rejected", Text, nullable=False, server_default=""),  # ids proved foreign, space between
    Column("submitting_at", Instant),
    Column("doubtful_at", Instant),
    Column("creates", Integer, nullable=False, server_default="0"),
    Column("accepted_at", Instant),  # when we knew that it exists
    Column("over_at", Instant),  # when we knew that it is over
    Column("looked_at", Instant),  # when we last asked how it stands
    Column("created_at", Instant),  # the provider's
    Column("ended_at", Instant),  # the provider's
    Column("expires_at", Instant),  # the provider's
    Column("total", Integer, nullable=False),
    Column("succeeded", Integer, nullable=False, server_default="0"),
    Column("errored", Integer, nullable=False, server_default="0"),
    Column("canceled", Integer, nullable=False, server_default="0"),
    Column("expired", Integer, nullable=False, server_default="0"),
    Column(
        "verified", Boolean, nullable=False
    ),  # the id came with the create's own reply, or its results carry our ids
    Column("cancel_asked", Boolean, nullable=False),
    Column("not_found", Integer, nullable=False, server_default="0"),
    Column("downloads", Integer, nullable=False, server_default="0"),
    Column("landed_at", Instant),
    Column("next_at", Instant),
    Column("error", Text, nullable=False, server_default=""),
    Column("problems", LargeBinary, nullable=False, server_default=text("''")),  # why it failed as a whole, JSON
    UniqueConstraint("provider", "provider_batch_id"),
    _one_of("role", "ours", "duplicate", "suspect", "adopted"),
    _one_of("state", *BatchState),
    Index("ix_batches_shard_id", "shard_id"),
)

ATTEMPTS = Table(
    "attempts",
    METADATA,
    Column("shard_id", String(40), nullable=False),
    Column("ordinal", Integer, nullable=False),
    Column("plan_id", String(40), nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("outcome", String(10), nullable=False),
    Column("code", Text, nullable=False),  # the stop reason of an answer, the error type of a refusal
    Column("message", Text, nullable=False),
    Column("answer_at", BigInteger),
    Column("input_tokens", BigInteger, nullable=False),
    Column("cache_read_tokens", BigInteger, nullable=False),
    Column("cache_write_5m_tokens", BigInteger, nullable=False),
    Column("cache_write_1h_tokens", BigInteger, nullable=False),
    Column("cache_write_30m_tokens", BigInteger, nullable=False),
    Column("cache_write_12h_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("reasoning_tokens", BigInteger, nullable=False),
    Column("cost_nanos", BigInteger, nullable=False),
    Column("at", Instant, nullable=False),
    PrimaryKeyConstraint("shard_id", "ordinal"),
    _one_of("outcome", "succeeded", "errored", "canceled", "expired"),
    sqlite_with_rowid=False,
)

ACCOUNTS = Table(
    "accounts",
    METADATA,
    Column("account_id", String(80), primary_key=True),
    Column("limit_nanos", BigInteger),
    Column("held_nanos", BigInteger, nullable=False),
    Column("spent_nanos", BigInteger, nullable=False),
)

TRANSFERS = Table(
    "transfers",
    METADATA,
    Column("transfer_id", BIG, primary_key=True, autoincrement=True),
    Column("verb", String(8), nullable=False),
    Column("debit_account", String(80), nullable=False),
    Column("credit_account", String(80), nullable=False),
    Column("amount_nanos", BigInteger, nullable=False),
    Column("hold_id", BigInteger),  # None for the reserve itself, whose transfer_id it is
    Column("reason", String(24), nullable=False),
    Column("shard_id", String(40), nullable=False),
    Column("ordinal", Integer),
    Column("at", Instant, nullable=False),
    _one_of("verb", "reserve", "settle", "release"),
)
Index(
    "ux_transfers_settle",
    TRANSFERS.c.hold_id,
    TRANSFERS.c.ordinal,
    unique=True,
    sqlite_where=text("verb = 'settle'"),
    postgresql_where=text("verb = 'settle'"),
)

HOLDS = Table(
    "holds",
    METADATA,
    Column("hold_id", BIG, primary_key=True, autoincrement=False),
    Column("account_id", String(80), nullable=False),
    Column("counter_account", String(80), nullable=False),
    Column("remaining_nanos", BigInteger, nullable=False),
    Column("reason", String(24), nullable=False),
    Column("shard_id", String(40), nullable=False),
)

DOORS = Table(
    "doors",
    METADATA,
    Column("provider", String(40), primary_key=True),
    Column("unconfirmed_batch", BigInteger),  # the one create that may be unconfirmed, over all processes
    Column("backoff_until", Instant),
    Column("failures", Integer, nullable=False, server_default="0"),
    Column("full_until", Instant),  # its queue of batches is full: nothing is created before
)

SEGMENTS = Table(
    "segments",
    METADATA,
    Column("segment", BIG, primary_key=True, autoincrement=True),
    Column("purpose", String(8), nullable=False),
    Column("writer", String(40), nullable=False),
    Column("sealed", Boolean, nullable=False),
    Column("pruned", Boolean, nullable=False),
    Column("created_at", Instant, nullable=False),
)

EVENTS = Table(
    "events",
    METADATA,
    Column("event_id", BIG, primary_key=True, autoincrement=True),
    Column("run_id", String(40), nullable=False),
    Column("at", Instant, nullable=False),
    Column("level", String(8), nullable=False),
    Column("text", Text, nullable=False),
    Index("ix_events_run_id", "run_id", "event_id"),
)

WEBHOOKS = Table(  # events that were signed for us, so that each counts once; nothing else is taken from them
    "webhooks",
    METADATA,
    Column("webhook_id", String(200), primary_key=True),
    Column("received_at", Instant, nullable=False),
    Column("type", String(100), nullable=False),
    Column("object_id", String(200), nullable=False),
    Index("ix_webhooks_received_at", "received_at"),
)
