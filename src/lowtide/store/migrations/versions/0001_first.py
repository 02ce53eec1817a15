"""The first schema: plans, runs, waves, requests, shards, batches, attempts, the books, segments, events."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make every table."""
    op.create_table(
        "accounts",
        sa.Column("account_id", sa.String(length=80), nullable=False),
        sa.Column("limit_nanos", sa.BigInteger(), nullable=True),
        sa.Column("held_nanos", sa.BigInteger(), nullable=False),
        sa.Column("spent_nanos", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", name=op.f("pk_accounts")),
    )
    op.create_table(
        "attempts",
        sa.Column("shard_id", sa.String(length=40), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("plan_id", sa.String(length=40), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("outcome", sa.String(length=10), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("answer_at", sa.BigInteger(), nullable=True),
        sa.Column("input_tokens", sa.BigInteger(), nullable=False),
        sa.Column("cache_read_tokens", sa.BigInteger(), nullable=False),
        sa.Column("cache_write_5m_tokens", sa.BigInteger(), nullable=False),
        sa.Column("cache_write_1h_tokens", sa.BigInteger(), nullable=False),
        sa.Column("cache_write_30m_tokens", sa.BigInteger(), nullable=False),
        sa.Column("cache_write_12h_tokens", sa.BigInteger(), nullable=False),
        sa.Column("output_tokens", sa.BigInteger(), nullable=False),
        sa.Column("reasoning_tokens", sa.BigInteger(), nullable=False),
        sa.Column("cost_nanos", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.String(length=27), nullable=False),
        sa.CheckConstraint(
            "outcome in ('succeeded', 'errored', 'canceled', 'expired')", name=op.f("ck_attempts_outcome_known")
        ),
        sa.PrimaryKeyConstraint("shard_id", "ordinal", name=op.f("pk_attempts")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "doors",
        sa.Column("provider", sa.String(length=40), nullable=False),
        sa.Column("unconfirmed_batch", sa.BigInteger(), nullable=True),
        sa.Column("backoff_until", sa.String(length=27), nullable=True),
        sa.Column("failures", sa.Integer(), server_default="0", nullable=False),
        sa.Column("full_until", sa.String(length=27), nullable=True),
        sa.PrimaryKeyConstraint("provider", name=op.f("pk_doors")),
    )
    op.create_table(
        "events",
        sa.Column("event_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("run_id", sa.String(length=40), nullable=False),
        sa.Column("at", sa.String(length=27), nullable=False),
        sa.Column("level", sa.String(length=8), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("event_id", name=op.f("pk_events")),
    )
    op.create_index("ix_events_run_id", "events", ["run_id", "event_id"], unique=False)
    op.create_table(
        "holds",
        sa.Column("hold_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("account_id", sa.String(length=80), nullable=False),
        sa.Column("counter_account", sa.String(length=80), nullable=False),
        sa.Column("remaining_nanos", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.String(length=24), nullable=False),
        sa.Column("shard_id", sa.String(length=40), nullable=False),
        sa.PrimaryKeyConstraint("hold_id", name=op.f("pk_holds")),
    )
    op.create_table(
        "meta",
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_meta")),
    )
    op.create_table(
        "plans",
        sa.Column("plan_id", sa.String(length=40), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("workload", sa.String(length=40), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("source_digest", sa.String(length=64), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("figures", sa.LargeBinary(), nullable=False),
        sa.Column("scope", sa.LargeBinary(), nullable=False),
        sa.Column("waves", sa.Integer(), nullable=False),
        sa.Column("sealed", sa.Boolean(), nullable=False),
        sa.Column("sealed_at", sa.String(length=27), nullable=True),
        sa.Column("created_at", sa.String(length=27), nullable=False),
        sa.PrimaryKeyConstraint("plan_id", name=op.f("pk_plans")),
    )
    op.create_table(
        "requests",
        sa.Column("plan_id", sa.String(length=40), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("wave", sa.Integer(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("body_at", sa.BigInteger(), nullable=False),
        sa.Column("body_bytes", sa.BigInteger(), nullable=False),
        sa.Column("lot", sa.Integer(), nullable=False),
        sa.Column("input_tokens", sa.BigInteger(), nullable=False),
        sa.Column("output_tokens", sa.BigInteger(), nullable=False),
        sa.Column("likely_nanos", sa.BigInteger(), nullable=False),
        sa.Column("ceiling_nanos", sa.BigInteger(), nullable=False),
        sa.Column("realtime_nanos", sa.BigInteger(), nullable=False),
        sa.Column("tries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("gaps", sa.Text(), server_default="", nullable=False),
        sa.Column("shard_id", sa.String(length=40), nullable=True),
        sa.Column("ordinal", sa.Integer(), nullable=True),
        sa.CheckConstraint(
            "state in ('pending', 'trying', 'retry', 'succeeded', 'failed', 'canceled')",
            name=op.f("ck_requests_state_known"),
        ),
        sa.PrimaryKeyConstraint("plan_id", "seq", name=op.f("pk_requests")),
        sa.UniqueConstraint("plan_id", "key", name=op.f("uq_requests_plan_id_key")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_requests_lot", "requests", ["plan_id", "lot", "seq"], unique=False)
    op.create_index(
        "ix_requests_retry",
        "requests",
        ["plan_id", "state", "seq"],
        unique=False,
        sqlite_where=sa.text("state = 'retry'"),
        postgresql_where=sa.text("state = 'retry'"),
    )
    op.create_table(
        "segments",
        sa.Column("segment", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("purpose", sa.String(length=8), nullable=False),
        sa.Column("writer", sa.String(length=40), nullable=False),
        sa.Column("sealed", sa.Boolean(), nullable=False),
        sa.Column("pruned", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.String(length=27), nullable=False),
        sa.PrimaryKeyConstraint("segment", name=op.f("pk_segments")),
    )
    op.create_table(
        "transfers",
        sa.Column(
            "transfer_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("verb", sa.String(length=8), nullable=False),
        sa.Column("debit_account", sa.String(length=80), nullable=False),
        sa.Column("credit_account", sa.String(length=80), nullable=False),
        sa.Column("amount_nanos", sa.BigInteger(), nullable=False),
        sa.Column("hold_id", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.String(length=24), nullable=False),
        sa.Column("shard_id", sa.String(length=40), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=True),
        sa.Column("at", sa.String(length=27), nullable=False),
        sa.CheckConstraint("verb in ('reserve', 'settle', 'release')", name=op.f("ck_transfers_verb_known")),
        sa.PrimaryKeyConstraint("transfer_id", name=op.f("pk_transfers")),
    )
    op.create_index(
        "ux_transfers_settle",
        "transfers",
        ["hold_id", "ordinal"],
        unique=True,
        sqlite_where=sa.text("verb = 'settle'"),
        postgresql_where=sa.text("verb = 'settle'"),
    )
    op.create_table(
        "webhooks",
        sa.Column("webhook_id", sa.String(length=200), nullable=False),
        sa.Column("received_at", sa.String(length=27), nullable=False),
        sa.Column("type", sa.String(length=100), nullable=False),
        sa.Column("object_id", sa.String(length=200), nullable=False),
        sa.PrimaryKeyConstraint("webhook_id", name=op.f("pk_webhooks")),
    )
    op.create_index("ix_webhooks_received_at", "webhooks", ["received_at"], unique=False)
    op.create_table(
        "kinds",
        sa.Column("plan_id", sa.String(length=40), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("provider", sa.String(length=40), nullable=False),
        sa.Column("model", sa.String(length=120), nullable=False),
        sa.Column("passed", sa.Boolean(), nullable=False),
        sa.Column("refusals", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["plan_id"], ["plans.plan_id"], name=op.f("fk_kinds_plan_id")),
        sa.PrimaryKeyConstraint("plan_id", "kind", "provider", "model", name=op.f("pk_kinds")),
    )
    op.create_table(
        "lots",
        sa.Column("plan_id", sa.String(length=40), nullable=False),
        sa.Column("lot", sa.Integer(), nullable=False),
        sa.Column("provider", sa.String(length=40), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("endpoint", sa.String(length=10), nullable=False),
        sa.Column("route", sa.String(length=10), server_default="batch", nullable=False),
        sa.Column("turn", sa.Integer(), server_default="0", nullable=False),
        sa.Column("packed_seq", sa.BigInteger(), nullable=False),
        sa.Column("requests_max", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["plan_id"], ["plans.plan_id"], name=op.f("fk_lots_plan_id")),
        sa.PrimaryKeyConstraint("plan_id", "lot", name=op.f("pk_lots")),
    )
    op.create_table(
        "runs",
        sa.Column("run_id", sa.String(length=40), nullable=False),
        sa.Column("plan_id", sa.String(length=40), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("wave", sa.Integer(), nullable=False),
        sa.Column("route", sa.String(length=10), nullable=False),
        sa.Column("deadline_at", sa.String(length=27), nullable=True),
        sa.Column("hastened", sa.Boolean(), nullable=False),
        sa.Column("hasten_at", sa.String(length=27), nullable=True),
        sa.Column("routed_wave", sa.Integer(), nullable=True),
        sa.Column("spared_seconds", sa.Integer(), server_default="0", nullable=False),
        sa.Column("called_back", sa.String(length=20), server_default="", nullable=False),
        sa.Column("doubts", sa.String(length=10), server_default="resend", nullable=False),
        sa.Column("out", sa.Text(), server_default="", nullable=False),
        sa.Column("credential", sa.Text(), server_default="", nullable=False),
        sa.Column("retry_round", sa.Integer(), server_default="0", nullable=False),
        sa.Column("created_at", sa.String(length=27), nullable=False),
        sa.Column("ended_at", sa.String(length=27), nullable=True),
        sa.Column("leased_by", sa.String(length=40), nullable=True),
        sa.Column("leased_until", sa.String(length=27), nullable=True),
        sa.CheckConstraint("doubts in ('resend', 'wait')", name=op.f("ck_runs_doubts_known")),
        sa.CheckConstraint("route in ('batch', 'realtime', '2h', '8h')", name=op.f("ck_runs_route_known")),
        sa.CheckConstraint(
            "state in ('active', 'paused', 'canceling', 'done', 'failed', 'canceled')", name=op.f("ck_runs_state_known")
        ),
        sa.ForeignKeyConstraint(["plan_id"], ["plans.plan_id"], name=op.f("fk_runs_plan_id")),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_runs")),
        sa.UniqueConstraint("plan_id", name=op.f("uq_runs_plan_id")),
    )
    op.create_table(
        "waves",
        sa.Column("plan_id", sa.String(length=40), nullable=False),
        sa.Column("wave", sa.Integer(), nullable=False),
        sa.Column("first_seq", sa.BigInteger(), nullable=False),
        sa.Column("last_seq", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["plan_id"], ["plans.plan_id"], name=op.f("fk_waves_plan_id")),
        sa.PrimaryKeyConstraint("plan_id", "wave", name=op.f("pk_waves")),
    )
    op.create_table(
        "shards",
        sa.Column("shard_id", sa.String(length=40), nullable=False),
        sa.Column("run_id", sa.String(length=40), nullable=False),
        sa.Column("plan_id", sa.String(length=40), nullable=False),
        sa.Column("wave", sa.Integer(), nullable=False),
        sa.Column("provider", sa.String(length=40), nullable=False),
        sa.Column("lot", sa.Integer(), nullable=False),
        sa.Column("route", sa.String(length=10), nullable=False),
        sa.Column("kind", sa.String(length=40), server_default="", nullable=False),
        sa.Column("members", sa.LargeBinary(), nullable=False),
        sa.Column("requests", sa.Integer(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("hold_id", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("created_at", sa.String(length=27), nullable=False),
        sa.Column("landed_at", sa.String(length=27), nullable=True),
        sa.Column("delivered_at", sa.String(length=27), nullable=True),
        sa.CheckConstraint("route in ('batch', 'realtime', '2h', '8h')", name=op.f("ck_shards_route_known")),
        sa.CheckConstraint("state in ('reserved', 'out', 'landed', 'dropped')", name=op.f("ck_shards_state_known")),
        sa.ForeignKeyConstraint(["run_id"], ["runs.run_id"], name=op.f("fk_shards_run_id")),
        sa.PrimaryKeyConstraint("shard_id", name=op.f("pk_shards")),
    )
    op.create_index("ix_shards_run_id", "shards", ["run_id"], unique=False)
    op.create_table(
        "batches",
        sa.Column("batch_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("shard_id", sa.String(length=40), nullable=False),
        sa.Column("provider", sa.String(length=40), nullable=False),
        sa.Column("role", sa.String(length=10), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("input_file_id", sa.Text(), nullable=True),
        sa.Column("provider_batch_id", sa.Text(), nullable=True),
        sa.Column("newest_before", sa.Text(), nullable=True),
        sa.Column("newest_before_at", sa.String(length=27), nullable=True),
        sa.Column("results_paths", sa.Text(), server_default="", nullable=False),
        sa.Column("rejected", sa.Text(), server_default="", nullable=False),
        sa.Column("submitting_at", sa.String(length=27), nullable=True),
        sa.Column("doubtful_at", sa.String(length=27), nullable=True),
        sa.Column("creates", sa.Integer(), server_default="0", nullable=False),
        sa.Column("accepted_at", sa.String(length=27), nullable=True),
        sa.Column("over_at", sa.String(length=27), nullable=True),
        sa.Column("looked_at", sa.String(length=27), nullable=True),
        sa.Column("created_at", sa.String(length=27), nullable=True),
        sa.Column("ended_at", sa.String(length=27), nullable=True),
        sa.Column("expires_at", sa.String(length=27), nullable=True),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("succeeded", sa.Integer(), server_default="0", nullable=False),
        sa.Column("errored", sa.Integer(), server_default="0", nullable=False),
        sa.Column("canceled", sa.Integer(), server_default="0", nullable=False),
        sa.Column("expired", sa.Integer(), server_default="0", nullable=False),
        sa.Column("verified", sa.Boolean(), nullable=False),
        sa.Column("cancel_asked", sa.Boolean(), nullable=False),
        sa.Column("not_found", sa.Integer(), server_default="0", nullable=False),
        sa.Column("downloads", sa.Integer(), server_default="0", nullable=False),
        sa.Column("landed_at", sa.String(length=27), nullable=True),
        sa.Column("next_at", sa.String(length=27), nullable=True),
        sa.Column("error", sa.Text(), server_default="", nullable=False),
        sa.Column("problems", sa.LargeBinary(), server_default=sa.text("''"), nullable=False),
        sa.CheckConstraint("role in ('ours', 'duplicate', 'suspect', 'adopted')", name=op.f("ck_batches_role_known")),
        sa.CheckConstraint(
            "state in ('planned', 'submitting', 'doubtful', 'validating', 'queued', 'running', 'finalizing', 'canceling', 'ended', 'failed', 'expired', 'canceled', 'lost')",
            name=op.f("ck_batches_state_known"),
        ),
        sa.ForeignKeyConstraint(["shard_id"], ["shards.shard_id"], name=op.f("fk_batches_shard_id")),
        sa.PrimaryKeyConstraint("batch_id", name=op.f("pk_batches")),
        sa.UniqueConstraint("provider", "provider_batch_id", name=op.f("uq_batches_provider_provider_batch_id")),
    )
    op.create_index("ix_batches_shard_id", "batches", ["shard_id"], unique=False)
    op.create_table(
        "calls",
        sa.Column("shard_id", sa.String(length=40), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("plan_id", sa.String(length=40), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("response_id", sa.Text(), nullable=True),
        sa.Column("hold_id", sa.BigInteger(), nullable=True),
        sa.Column("cancel_asked", sa.Boolean(), nullable=False),
        sa.Column("next_at", sa.String(length=27), nullable=True),
        sa.Column("at", sa.String(length=27), nullable=False),
        sa.CheckConstraint("state in ('sending', 'queued', 'doubtful')", name=op.f("ck_calls_state_known")),
        sa.ForeignKeyConstraint(["shard_id"], ["shards.shard_id"], name=op.f("fk_calls_shard_id")),
        sa.PrimaryKeyConstraint("shard_id", "ordinal", name=op.f("pk_calls")),
    )
    op.create_index("ix_calls_plan_id", "calls", ["plan_id", "seq"], unique=False)
