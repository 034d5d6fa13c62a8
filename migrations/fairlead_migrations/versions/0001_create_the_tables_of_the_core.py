"""Create the tables of the core

Revision ID: 0001
Revises:
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from fairlead_migrations import security

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

JSON = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

OF_A_CLIENT = (
    "approval",
    "attribution_credit",
    "attribution_run",
    "audit_entry",
    "audit_head",
    "blocked_identity",
    "channel_account",
    "channel_metric",
    "client_plugin",
    "code",
    "consent",
    "consent_record",
    "enrolment",
    "event",
    "identity",
    "import_reject",
    "import_run",
    "job",
    "journey",
    "journey_version",
    "loose_receipt",
    "membership",
    "message",
    "message_history",
    "message_receipt",
    "messaging_policy",
    "order_line",
    "orders",
    "plugin_settings",
    "profile",
    "profile_merge",
    "profile_tag",
    "retention_rule",
    "saved_mapping",
    "score",
    "segment",
    "segment_change",
    "segment_member",
    "stage",
    "stage_change",
    "step",
    "suppression",
    "tag",
    "template",
    "touch",
    "webhook_delivery",
)
APPEND_ONLY = ("audit_entry",)
OF_THE_AGENCY = ("agency", "api_token", "member", "role")
SHARED = (
    "agency",
    "api_token",
    "engine_executor",
    "id_block",
    "idempotency_record",
    "member",
    "role",
)


def upgrade() -> None:
    postgresql_only = op.get_bind().dialect.name == "postgresql"
    security.create_app_role()
    if postgresql_only:
        op.execute("CREATE SEQUENCE fairlead_id_seq INCREMENT BY 64")
        security.grant_sequence("fairlead_id_seq")

    op.create_table(
        "agency",
        sa.Column("id", BIG, autoincrement=False, nullable=False),
        sa.Column("slug", sa.String(length=80), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_agency")),
        sa.UniqueConstraint("slug", name=op.f("uq_agency_slug")),
    )
    op.create_table(
        "approval",
        sa.Column("client_id", sa.BigInteger(), nullable=False),
        sa.Column("id", BIG, autoincrement=False, nullable=False),
        sa.Column("action", sa.String(length=80), nullable=False),
        sa.Column("object_type", sa.String(length=40), nullable=False),
        sa.Column("object_id", sa.String(length=60), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("requested_by", sa.BigInteger(), nullable=False),
        sa.Column("requested_at", sa.BigInteger(), nullable=False),
        sa.Column("decided_by", sa.BigInteger(), nullable=True),
        sa.Column("decided_at", sa.BigInteger(), nullable=True),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "state IN ('open', 'approved', 'rejected', 'expired', 'used')", name=op.f("ck_approval_state")
        ),
        sa.CheckConstraint("decided_by IS NULL OR decided_by <> requested_by", name=op.f("ck_approval_two_people")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_approval")),
    )
    op.create_index("ix_approval_state", "approval", ["client_id", "state", "id"], unique=False)
    op.create_table(
        "attribution_run",
        sa.Column("client_id", sa.BigInteger(), nullable=False),
        sa.Column("id", BIG, autoincrement=False, nullable=False),
        sa.Column("model", sa.String(length=80), nullable=False),
        sa.Column("settings", JSON, nullable=False),
        sa.Column("question", JSON, nullable=False),
        sa.Column("summary", JSON, nullable=False),
        sa.Column("conversions", sa.Double(), nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
        sa.Column("computed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attribution_run")),
        sa.UniqueConstraint("client_id", "id", name=op.f("uq_attribution_run_client_id_id")),
    )
    op.create_index("ix_attribution_run_client_id", "attribution_run", ["client_id", "id"], unique=False)
    op.create_table(
        "audit_entry",
        sa.Column("client_id", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.String(length=60), nullable=False),
        sa.Column("action", sa.String(length=60), nullable=False),
        sa.Column("object_type", sa.String(length=40), nullable=False),
        sa.Column("object_id", sa.String(length=60), nullable=False),
        sa.Column("before", JSON, nullable=True),
        sa.Column("after", JSON, nullable=True),
        sa.Column("request_id", sa.String(length=64), nullable=False),
        sa.Column("previous", sa.LargeBinary(length=32), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.PrimaryKeyConstraint("client_id", "number", name=op.f("pk_audit_entry")),
    )
    op.create_index(
        "ix_audit_entry_object", "audit_entry", ["client_id", "object_type", "object_id", "number"], unique=False
    )
    op.create_table(
        "audit_head",
        sa.Column("client_id", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.PrimaryKeyConstraint("client_id", name=op.f("pk_audit_head")),
    )
    op.create_table(
        "blocked_identity",
        sa.Column("client_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(length=24), nullable=False),
        sa.Column("scope", sa.String(length=40), nullable=False),
        sa.Column("blind", sa.LargeBinary(length=16), nullable=False),
        sa.Column("reason", sa.String(length=120), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("client_id", "kind", "scope", "blind", name=op.f("pk_blocked_identity")),
    )
    op.create_table(
        "channel_metric",
        sa.Column("client_id", sa.BigInteger(), nullable=False),
        sa.Column("channel_code", sa.Integer(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("metric", sa.String(length=24), nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
        sa.Column("source", sa.String(length=40), nullable=False),
        sa.PrimaryKeyConstraint("client_id", "channel_code", "day", "metric", name=op.f("pk_channel_metric")),
    )
    op.create_table(
        "code",
        sa.Column("client_id", sa.BigInteger(), nullable=False),
        sa.Column("domain", sa.String(length=12), nullable=False),
        sa.Column("code", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.PrimaryKeyConstraint("client_id", "domain", "code", name=op.f("pk_code")),
        sa.UniqueConstraint("client_id", "domain", "name", name=op.f("uq_code_client_id_domain_name")),
    )
    op.create_table(
        "consent",
        sa.Column("client_id", sa.BigInteger(), nullable=False),
        sa.Column("id", BIG, autoincrement=False, nullable=False),
        sa.Column("profile_id", sa.BigInteger(), nullable=False),
        sa.Column("purpose", sa.String(length=24), nullable=False),
        sa.Column("channel", sa.String(length=40), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("state IN ('granted', 'withdrawn')", name=op.f("ck_consent_state")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_consent")),
        sa.UniqueConstraint(
            "client_id",
            "profile_id",
            "purpose",
            "channel",
            name=op.f("uq_consent_client_id_profile_id_purpose_channel"),
        ),
    )
    op.create_table(
        "consent_record",
        sa.Column("client_id", sa.BigInteger(), nullable=False),
        sa.Column("id", BIG, autoincrement=False, nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(length=16), nullable=False),
        sa.Column("profile_id", sa.BigInteger(), nullable=False),
        sa.Column("purpose", sa.String(length=24), nullable=False),
        sa.Column("channel", sa.String(length=40), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.Column("source", sa.String(length=40), nullable=False),
        sa.Column("text_version", sa.String(length=40), nullable=False),
        sa.Column("evidence", JSON, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_consent_record")),
        sa.UniqueConstraint("client_id", "fingerprint", name=op.f("uq_consent_record_client_id_fingerprint")),
    )
    op.create_index("ix_consent_record_profile", "consent_record", ["client_id", "profile_id", "at"], unique=False)
    op.create_table(
        "engine_executor",
        sa.Column("executor_id", sa.Text(), nullable=False),
        sa.Column("heartbeat_at", sa.BigInteger(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("hostname", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("executor_id", name=op.f("pk_engine_executor")),
    )
    op.create_table(
        "event",
        sa.Column("client_id", sa.BigInteger(), nullable=False),
        sa.Column("id", BIG, autoincrement=False, nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(length=16), nullable=False),
        sa.Column("profile_id", sa.BigInteger(), nullable=True),
        sa.Column("identity_id", sa.BigInteger(), nullable=True),
        sa.Column("type_code", sa.Integer(), nullable=False),
        sa.Column("channel_code", sa.Integer(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=True),
        sa.Column("item", sa.String(length=80), nullable=True),
        sa.Column("category", sa.String(length=80), nullable=True),
        sa.Column("properties", JSON, nullable=True),
        sa.Column("import_id", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_event")),
        sa.UniqueConstraint("client_id", "fingerprint", name=op.f("uq_event_client_id_fingerprint")),
    )
    op.create_index("ix_event_profile", "event", ["client_id", "profile_id", "at", "id"], unique=False)
    op.create_index("ix_event_type", "event", ["client_id", "type_code", "profile_id", "at"], unique=False)
    op.create_table(
        "id_block",
        sa.Column("name", sa.String(length=16), nullable=False),
        sa.Column("next", BIG, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_id_block")),
    )
    op.create_table(
        "idempotency_record",
        sa.Column("actor", sa.String(length=60), nullable=False),
        sa.Column("key", sa.String(length=80), nullable=False),
        sa.Column("operation", sa.String(length=60), nullable=False),
        sa.Column("input_digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("answer", JSON, nullable=True),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("actor", "key", name=op.f("pk_idempotency_record")),
    )
    op.create_index("ix_idempotency_record_expires_at", "idempotency_record", ["expires_at"], unique=False)
    op.create_table(
        "import_reject",
        sa.Column("client_id", sa.BigInteger(), nullable=False),
        sa.Column("import_id", sa.BigInteger(), nullable=False),
        sa.Column("row_number", sa.Integer(), nullable=False),
        sa.Column("column", sa.String(length=80), nullable=False),
        sa.Column("reason", sa.String(length=200), nullable=False),
        sa.Column("row", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("import_id", "row_number", name=op.f("pk_import_reject")),
    )
    op.create_table(
        "import_run",
        sa.Column("client_id", sa.BigInteger(), nullable=False),
        sa.Column("id", BIG, autoincrement=False, nullable=False),
        sa.Column("file_name", sa.String(length=200), nullable=False),
        sa.Column("file_digest", sa.String(length=64), nullable=False),
        sa.Column("source", sa.String(length=40), nullable=False),
        sa.Column("mapping", JSON, nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("rows_read", sa.BigInteger(), nullable=False),
        sa.Column("rows_accepted", sa.BigInteger(), nullable=False),
        sa.Column("rows_rejected", sa.BigInteger(), nullable=False),
        sa.Column("rows_known", sa.BigInteger(), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("state IN ('running', 'done', 'failed')", name=op.f("ck_import_run_state")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_import_run")),
    )
    op.create_index("ix_import_run_client_id", "import_run", ["client_id", "id"], unique=False)
    op.create_table(
        "job",
        sa.Column("client_id", sa.BigInteger(), nullable=False),
        sa.Column("id", BIG, autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(length=80), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("payload", JSON, nullable=False),
        sa.Column("done", sa.BigInteger(), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("result", JSON, nullable=True),
        sa.Column("actor", sa.String(length=60), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=True),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("state IN ('queued', 'running', 'done', 'failed', 'cancelled')", name=op.f("ck_job_state")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_job")),
    )
    op.create_index("ix_job_client_id", "job", ["client_id", "id"], unique=False)
    op.create_index(
        "ix_job_queued",
        "job",
        ["id"],
        unique=False,
        sqlite_where=sa.text("state = 'queued'"),
        postgresql_where=sa.text("state = 'queued'"),
    )
    op.create_table(
        "journey",
        sa.Column("client_id", sa.BigInteger(), nullable=False),
        sa.Column("id", BIG, autoincrement=False, nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("title", sa.String(length=80), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("current_version_id", sa.BigInteger(), nullable=True),
        sa.Column("trigger_cursor", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("activated_at", sa.BigInteger(), nullable=True),
        sa.Column("listening_since", sa.BigInteger(), nullable=True),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("state IN ('draft', 'active', 'paused', 'archived')", name=op.f("ck_journey_state")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_journey")),
        sa.UniqueConstraint("client_id", "id", name=op.f("uq_journey_client_id_id")),
        sa.UniqueConstraint("client_id", "name", name=op.f("uq_journey_client_id_name")),
    )
    op.create_table(
        "loose_receipt",
        sa.Column("client_id", sa.BigInteger(), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(length=16), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("external_id", sa.String(length=120), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("detail", sa.String(length=200), nullable=False),
        sa.Column("shut", sa.Boolean(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("client_id", "fingerprint", name=op.f("pk_loose_receipt")),
    )
    op.create_index(
        "ix_loose_receipt_external", "loose_receipt", ["client_id", "account_id", "external_id"], unique=False
    )
    op.create_index(op.f("ix_loose_receipt_received_at"), "loose_receipt", ["received_at"], unique=False)
    op.create_table(
        "message_history",
        sa.Column("client_id", sa.BigInteger(), nullable=False),
        sa.Column("message_id", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("reason", sa.String(length=120), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("message_id", "number", name=op.f("pk_message_history")),
    )
    op.create_table(
        "message_receipt",
        sa.Column("client_id", sa.BigInteger(), nullable=False),
        sa.Column("id", BIG, autoincrement=False, nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(length=16), nullable=False),
        sa.Column("message_id", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("detail", sa.String(length=200), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_message_receipt")),
        sa.UniqueConstraint("client_id", "fingerprint", name=op.f("uq_message_receipt_client_id_fingerprint")),
    )
    op.create_index(op.f("ix_message_receipt_message_id"), "message_receipt", ["message_id"], unique=False)
    op.create_table(
        "order_line",
        sa.Column("client_id", sa.BigInteger(), nullable=False),
        sa.Column("order_id", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("sku", sa.String(length=80), nullable=False),
        sa.Column("title", sa.String(length=200), nullable=False),
        sa.Column("category", sa.String(length=80), nullable=True),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("order_id", "position", name=op.f("pk_order_line")),
    )
    op.create_index("ix_order_line_sku", "order_line", ["client_id", "sku", "order_id"], unique=False)
    op.create_table(
        "orders",
        sa.Column("client_id", sa.BigInteger(), nullable=False),
        sa.Column("id", BIG, autoincrement=False, nullable=False),
        sa.Column("source_id", sa.String(length=64), nullable=False),
        sa.Column("profile_id", sa.BigInteger(), nullable=True),
        sa.Column("identity_id", sa.BigInteger(), nullable=True),
        sa.Column("channel_code", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(length=12), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("paid_amount", sa.BigInteger(), nullable=False),
        sa.Column("refund_amount", sa.BigInteger(), nullable=False),
        sa.Column("placed_at", sa.BigInteger(), nullable=False),
        sa.Column("paid_at", sa.BigInteger(), nullable=True),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.Column("region", sa.String(length=40), nullable=True),
        sa.Column("properties", JSON, nullable=True),
        sa.Column("import_id", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            "status IN ('created', 'paid', 'shipped', 'finished', 'closed', 'refunded')", name=op.f("ck_orders_status")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_orders")),
        sa.UniqueConstraint(
            "client_id", "channel_code", "source_id", name=op.f("uq_orders_client_id_channel_code_source_id")
        ),
    )
    op.create_index("ix_orders_paid", "orders", ["client_id", "paid_at", "id"], unique=False)
    op.create_index("ix_orders_placed", "orders", ["client_id", "placed_at", "id"], unique=False)
    op.create_index("ix_orders_profile", "orders", ["client_id", "profile_id", "placed_at", "id"], unique=False)
    op.create_table(
        "profile",
        sa.Column("client_id", sa.BigInteger(), nullable=False),
        sa.Column("id", BIG, autoincrement=False, nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("merged_into", sa.BigInteger(), nullable=True),
        sa.Column("name", sa.LargeBinary(), nullable=True),
        sa.Column("gender", sa.String(length=8), nullable=True),
        sa.Column("birth_date", sa.Date(), nullable=True),
        sa.Column("region", sa.String(length=12), nullable=True),
        sa.Column("language", sa.String(length=12), nullable=True),
        sa.Column("zone", sa.String(length=40), nullable=True),
        sa.Column("attributes", JSON, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("state IN ('active', 'merged', 'restricted', 'erased')", name=op.f("ck_profile_state")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_profile")),
        sa.UniqueConstraint("client_id", "id", name=op.f("uq_profile_client_id_id")),
    )
    op.create_index("ix_profile_client_created", "profile", ["client_id", "created_at", "id"], unique=False)
    op.create_index("ix_profile_client_state_id", "profile", ["client_id", "state", "id"], unique=False)
    op.create_index(
        "ix_profile_merged_into",
        "profile",
        ["client_id", "merged_into"],
        unique=False,
        sqlite_where=sa.text("merged_into IS NOT NULL"),
        postgresql_where=sa.text("merged_into IS NOT NULL"),
    )
    op.create_table(
        "profile_merge",
        sa.Column("client_id", sa.BigInteger(), nullable=False),
        sa.Column("id", BIG, autoincrement=False, nullable=False),
        sa.Column("survivor_id", sa.BigInteger(), nullable=False),
        sa.Column("absorbed_id", sa.BigInteger(), nullable=False),
        sa.Column("rule", sa.String(length=40), nullable=False),
        sa.Column("evidence", JSON, nullable=False),
        sa.Column("moved", JSON, nullable=False),
        sa.Column("merged_at", sa.BigInteger(), nullable=False),
        sa.Column("undone_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_profile_merge")),
    )
    op.create_index("ix_profile_merge_absorbed", "profile_merge", ["client_id", "absorbed_id"], unique=False)
    op.create_index("ix_profile_merge_client", "profile_merge", ["client_id", "id"], unique=False)
    op.create_index("ix_profile_merge_survivor", "profile_merge", ["client_id", "survivor_id"], unique=False)
    op.create_index(
        "ix_profile_merge_undone",
        "profile_merge",
        ["client_id", "undone_at"],
        unique=False,
        sqlite_where=sa.text("undone_at IS NOT NULL"),
        postgresql_where=sa.text("undone_at IS NOT NULL"),
    )
    op.create_table(
        "saved_mapping",
        sa.Column("client_id", sa.BigInteger(), nullable=False),
        sa.Column("id", BIG, autoincrement=False, nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("mapping", JSON, nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_saved_mapping")),
        sa.UniqueConstraint("client_id", "name", name=op.f("uq_saved_mapping_client_id_name")),
    )
    op.create_table(
        "score",
        sa.Column("client_id", sa.BigInteger(), nullable=False),
        sa.Column("profile_id", sa.BigInteger(), nullable=False),
        sa.Column("scheme", sa.String(length=80), nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
        sa.Column("parts", JSON, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("client_id", "profile_id", "scheme", name=op.f("pk_score")),
    )
    op.create_index("ix_score_value", "score", ["client_id", "scheme", "value", "profile_id"], unique=False)
    op.create_table(
        "segment",
        sa.Column("client_id", sa.BigInteger(), nullable=False),
        sa.Column("id", BIG, autoincrement=False, nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("title", sa.String(length=80), nullable=False),
        sa.Column("rule", JSON, nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("head_count", sa.BigInteger(), nullable=False),
        sa.Column("refreshed_at", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("state IN ('active', 'archived')", name=op.f("ck_segment_state")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_segment")),
        sa.UniqueConstraint("client_id", "id", name=op.f("uq_segment_client_id_id")),
        sa.UniqueConstraint("client_id", "name", name=op.f("uq_segment_client_id_name")),
    )
    op.create_table(
        "segment_change",
        sa.Column("client_id", sa.BigInteger(), nullable=False),
        sa.Column("segment_id", sa.BigInteger(), nullable=False),
        sa.Column("profile_id", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("entered", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("client_id", "segment_id", "profile_id", "at", name=op.f("pk_segment_change")),
    )
    op.create_index("ix_segment_change_profile", "segment_change", ["client_id", "profile_id", "at"], unique=False)
    op.create_index(
        "ix_segment_change_segment", "segment_change", ["client_id", "segment_id", "at", "profile_id"], unique=False
    )
    op.create_table(
        "stage",
        sa.Column("client_id", sa.BigInteger(), nullable=False),
        sa.Column("profile_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("client_id", "profile_id", name=op.f("pk_stage")),
    )
    op.create_index("ix_stage_name", "stage", ["client_id", "name", "profile_id"], unique=False)
    op.create_table(
        "stage_change",
        sa.Column("client_id", sa.BigInteger(), nullable=False),
        sa.Column("profile_id", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("before", sa.String(length=80), nullable=False),
        sa.Column("after", sa.String(length=80), nullable=False),
        sa.PrimaryKeyConstraint("client_id", "profile_id", "at", name=op.f("pk_stage_change")),
    )
    op.create_table(
        "step",
        sa.Column("client_id", sa.BigInteger(), nullable=False),
        sa.Column("enrolment_id", sa.BigInteger(), nullable=False),
        sa.Column("visit", sa.Integer(), nullable=False),
        sa.Column("node", sa.Integer(), nullable=False),
        sa.Column("outlet", sa.String(length=40), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("note", sa.String(length=120), nullable=False),
        sa.PrimaryKeyConstraint("client_id", "enrolment_id", "visit", name=op.f("pk_step")),
    )
    op.create_table(
        "suppression",
        sa.Column("client_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(length=24), nullable=False),
        sa.Column("blind", sa.LargeBinary(length=16), nullable=False),
        sa.Column("channel", sa.String(length=40), nullable=False),
        sa.Column("reason", sa.String(length=40), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("client_id", "kind", "blind", "channel", name=op.f("pk_suppression")),
    )
    op.create_table(
        "tag",
        sa.Column("client_id", sa.BigInteger(), nullable=False),
        sa.Column("id", BIG, autoincrement=False, nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("level", sa.SmallInteger(), nullable=False),
        sa.Column("parent_id", sa.BigInteger(), nullable=True),
        sa.Column("origin", sa.String(length=8), nullable=False),
        sa.Column("rule", JSON, nullable=True),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("owner", sa.String(length=80), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("origin IN ('manual', 'rule')", name=op.f("ck_tag_origin")),
        sa.CheckConstraint("level IN (1, 2)", name=op.f("ck_tag_level")),
        sa.ForeignKeyConstraint(
            ["client_id", "parent_id"], ["tag.client_id", "tag.id"], name=op.f("fk_tag_client_id_parent_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tag")),
        sa.UniqueConstraint("client_id", "id", name=op.f("uq_tag_client_id_id")),
        sa.UniqueConstraint("client_id", "name", name=op.f("uq_tag_client_id_name")),
    )
    op.create_table(
        "template",
        sa.Column("client_id", sa.BigInteger(), nullable=False),
        sa.Column("id", BIG, autoincrement=False, nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("html", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_template")),
        sa.UniqueConstraint("client_id", "id", name=op.f("uq_template_client_id_id")),
        sa.UniqueConstraint("client_id", "name", "number", name=op.f("uq_template_client_id_name_number")),
    )
    op.create_table(
        "touch",
        sa.Column("client_id", sa.BigInteger(), nullable=False),
        sa.Column("id", BIG, autoincrement=False, nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(length=16), nullable=False),
        sa.Column("profile_id", sa.BigInteger(), nullable=False),
        sa.Column("identity_id", sa.BigInteger(), nullable=False),
        sa.Column("channel_code", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("campaign", sa.String(length=80), nullable=True),
        sa.Column("import_id", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_touch")),
        sa.UniqueConstraint("client_id", "fingerprint", name=op.f("uq_touch_client_id_fingerprint")),
    )
    op.create_index("ix_touch_at", "touch", ["client_id", "at", "profile_id", "channel_code"], unique=False)
    op.create_index("ix_touch_profile", "touch", ["client_id", "profile_id", "at", "id"], unique=False)
    op.create_table(
        "webhook_delivery",
        sa.Column("client_id", sa.BigInteger(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("dedupe_id", sa.String(length=120), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "dedupe_id", name=op.f("pk_webhook_delivery")),
    )
    op.create_index(op.f("ix_webhook_delivery_received_at"), "webhook_delivery", ["received_at"], unique=False)
    op.create_table(
        "attribution_credit",
        sa.Column("client_id", sa.BigInteger(), nullable=False),
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("channel", sa.String(length=80), nullable=False),
        sa.Column("touches", sa.BigInteger(), nullable=False),
        sa.Column("conversions", sa.Double(), nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
        sa.Column("detail", JSON, nullable=False),
        sa.ForeignKeyConstraint(
            ["client_id", "run_id"],
            ["attribution_run.client_id", "attribution_run.id"],
            name=op.f("fk_attribution_credit_client_id_run_id"),
        ),
        sa.PrimaryKeyConstraint("client_id", "run_id", "channel", name=op.f("pk_attribution_credit")),
    )
    op.create_table(
        "client",
        sa.Column("id", BIG, autoincrement=False, nullable=False),
        sa.Column("agency_id", sa.BigInteger(), nullable=False),
        sa.Column("slug", sa.String(length=80), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("zone", sa.String(length=40), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("state IN ('active', 'archived')", name=op.f("ck_client_state")),
        sa.ForeignKeyConstraint(["agency_id"], ["agency.id"], name=op.f("fk_client_agency_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_client")),
        sa.UniqueConstraint("slug", name=op.f("uq_client_slug")),
    )
    op.create_table(
        "identity",
        sa.Column("client_id", sa.BigInteger(), nullable=False),
        sa.Column("id", BIG, autoincrement=False, nullable=False),
        sa.Column("profile_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(length=24), nullable=False),
        sa.Column("scope", sa.String(length=40), nullable=False),
        sa.Column("blind", sa.LargeBinary(length=16), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.Column("strong", sa.Boolean(), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("source", sa.String(length=40), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("state IN ('active', 'bounced')", name=op.f("ck_identity_state")),
        sa.ForeignKeyConstraint(
            ["client_id", "profile_id"],
            ["profile.client_id", "profile.id"],
            name=op.f("fk_identity_client_id_profile_id"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_identity")),
        sa.UniqueConstraint("client_id", "kind", "scope", "blind", name=op.f("uq_identity_client_id_kind_scope_blind")),
    )
    op.create_index("ix_identity_client_profile", "identity", ["client_id", "profile_id", "kind"], unique=False)
    op.create_table(
        "journey_version",
        sa.Column("client_id", sa.BigInteger(), nullable=False),
        sa.Column("id", BIG, autoincrement=False, nullable=False),
        sa.Column("journey_id", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("graph", JSON, nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["client_id", "journey_id"],
            ["journey.client_id", "journey.id"],
            name=op.f("fk_journey_version_client_id_journey_id"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_journey_version")),
        sa.UniqueConstraint("client_id", "id", name=op.f("uq_journey_version_client_id_id")),
        sa.UniqueConstraint(
            "client_id", "journey_id", "number", name=op.f("uq_journey_version_client_id_journey_id_number")
        ),
    )
    op.create_table(
        "member",
        sa.Column("id", BIG, autoincrement=False, nullable=False),
        sa.Column("agency_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("email", sa.LargeBinary(), nullable=False),
        sa.Column("email_blind", sa.LargeBinary(length=16), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("state IN ('active', 'disabled', 'removed')", name=op.f("ck_member_state")),
        sa.ForeignKeyConstraint(["agency_id"], ["agency.id"], name=op.f("fk_member_agency_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_member")),
        sa.UniqueConstraint("agency_id", "email_blind", name=op.f("uq_member_agency_id_email_blind")),
    )
    op.create_table(
        "profile_tag",
        sa.Column("client_id", sa.BigInteger(), nullable=False),
        sa.Column("profile_id", sa.BigInteger(), nullable=False),
        sa.Column("tag_id", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("source", sa.String(length=40), nullable=False),
        sa.ForeignKeyConstraint(
            ["client_id", "tag_id"], ["tag.client_id", "tag.id"], name=op.f("fk_profile_tag_client_id_tag_id")
        ),
        sa.PrimaryKeyConstraint("client_id", "profile_id", "tag_id", name=op.f("pk_profile_tag")),
    )
    op.create_index("ix_profile_tag_tag", "profile_tag", ["client_id", "tag_id", "profile_id"], unique=False)
    op.create_table(
        "role",
        sa.Column("id", BIG, autoincrement=False, nullable=False),
        sa.Column("agency_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("permissions", JSON, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["agency_id"], ["agency.id"], name=op.f("fk_role_agency_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_role")),
        sa.UniqueConstraint("agency_id", "name", name=op.f("uq_role_agency_id_name")),
    )
    op.create_table(
        "segment_member",
        sa.Column("client_id", sa.BigInteger(), nullable=False),
        sa.Column("segment_id", sa.BigInteger(), nullable=False),
        sa.Column("profile_id", sa.BigInteger(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["client_id", "segment_id"],
            ["segment.client_id", "segment.id"],
            name=op.f("fk_segment_member_client_id_segment_id"),
        ),
        sa.PrimaryKeyConstraint("client_id", "segment_id", "profile_id", name=op.f("pk_segment_member")),
    )
    op.create_index(
        "ix_segment_member_profile", "segment_member", ["client_id", "profile_id", "segment_id"], unique=False
    )
    op.create_table(
        "api_token",
        sa.Column("id", BIG, autoincrement=False, nullable=False),
        sa.Column("member_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("hint", sa.String(length=12), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("client_ids", JSON, nullable=True),
        sa.Column("permissions", JSON, nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.Column("last_used_at", sa.BigInteger(), nullable=True),
        sa.Column("replaced_by", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["member_id"], ["member.id"], name=op.f("fk_api_token_member_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_token")),
        sa.UniqueConstraint("digest", name=op.f("uq_api_token_digest")),
    )
    op.create_index("ix_api_token_member_id", "api_token", ["member_id"], unique=False)
    op.create_table(
        "channel_account",
        sa.Column("id", BIG, autoincrement=False, nullable=False),
        sa.Column("client_id", sa.BigInteger(), nullable=False),
        sa.Column("channel", sa.String(length=80), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("platform", sa.String(length=80), nullable=False),
        sa.Column("account_type", sa.String(length=24), nullable=False),
        sa.Column("permission_level", sa.String(length=16), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("owner", sa.String(length=80), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("connected_at", sa.BigInteger(), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=False),
        sa.Column("last_error_at", sa.BigInteger(), nullable=True),
        sa.Column("health", sa.String(length=16), nullable=False),
        sa.Column("health_at", sa.BigInteger(), nullable=True),
        sa.Column("synced_until", sa.BigInteger(), nullable=True),
        sa.Column("fetch_after", sa.BigInteger(), nullable=True),
        sa.Column("send_after", sa.BigInteger(), nullable=True),
        sa.Column("send_failures", sa.Integer(), nullable=False),
        sa.Column("send_tokens", sa.Double(), nullable=False),
        sa.Column("send_tokens_at", sa.BigInteger(), nullable=True),
        sa.Column("settings", JSON, nullable=False),
        sa.Column("secrets", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "account_type IN ('shop', 'official_account', 'mini_program', 'mailbox', 'sms', 'ads', 'till', 'crm', 'other')",
            name=op.f("ck_channel_account_account_type"),
        ),
        sa.CheckConstraint("health IN ('unknown', 'ok', 'degraded', 'down')", name=op.f("ck_channel_account_health")),
        sa.CheckConstraint(
            "permission_level IN ('read', 'write', 'manage')", name=op.f("ck_channel_account_permission_level")
        ),
        sa.CheckConstraint(
            "state IN ('planned', 'connected', 'paused', 'failed', 'disconnected')",
            name=op.f("ck_channel_account_state"),
        ),
        sa.ForeignKeyConstraint(["client_id"], ["client.id"], name=op.f("fk_channel_account_client_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_channel_account")),
        sa.UniqueConstraint("client_id", "channel", "name", name=op.f("uq_channel_account_client_id_channel_name")),
        sa.UniqueConstraint("client_id", "id", name=op.f("uq_channel_account_client_id_id")),
    )
    op.create_table(
        "client_plugin",
        sa.Column("client_id", sa.BigInteger(), nullable=False),
        sa.Column("plugin", sa.String(length=80), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["client_id"], ["client.id"], name=op.f("fk_client_plugin_client_id")),
        sa.PrimaryKeyConstraint("client_id", "plugin", name=op.f("pk_client_plugin")),
    )
    op.create_table(
        "enrolment",
        sa.Column("client_id", sa.BigInteger(), nullable=False),
        sa.Column("id", BIG, autoincrement=False, nullable=False),
        sa.Column("journey_id", sa.BigInteger(), nullable=False),
        sa.Column("version_id", sa.BigInteger(), nullable=False),
        sa.Column("profile_id", sa.BigInteger(), nullable=False),
        sa.Column("entry", sa.String(length=40), nullable=False),
        sa.Column("node", sa.Integer(), nullable=False),
        sa.Column("visit", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("entered_node_at", sa.BigInteger(), nullable=False),
        sa.Column("enrolled_at", sa.BigInteger(), nullable=False),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.Column("goal_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("state <> 'active' OR finished_at IS NULL", name=op.f("ck_enrolment_finished")),
        sa.CheckConstraint("state IN ('active', 'finished', 'exited')", name=op.f("ck_enrolment_state")),
        sa.ForeignKeyConstraint(
            ["client_id", "version_id"],
            ["journey_version.client_id", "journey_version.id"],
            name=op.f("fk_enrolment_client_id_version_id"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_enrolment")),
        sa.UniqueConstraint("client_id", "id", name=op.f("uq_enrolment_client_id_id")),
        sa.UniqueConstraint(
            "client_id",
            "journey_id",
            "profile_id",
            "entry",
            name=op.f("uq_enrolment_client_id_journey_id_profile_id_entry"),
        ),
    )
    op.create_index(
        "ix_enrolment_due",
        "enrolment",
        ["client_id", "version_id", "node", "due_at", "id"],
        unique=False,
        sqlite_where=sa.text("state = 'active'"),
        postgresql_where=sa.text("state = 'active'"),
    )
    op.create_index("ix_enrolment_profile", "enrolment", ["client_id", "profile_id", "id"], unique=False)
    op.create_index("ix_enrolment_version", "enrolment", ["client_id", "version_id", "id"], unique=False)
    op.create_table(
        "membership",
        sa.Column("id", BIG, autoincrement=False, nullable=False),
        sa.Column("member_id", sa.BigInteger(), nullable=False),
        sa.Column("client_id", sa.BigInteger(), nullable=True),
        sa.Column("role", sa.String(length=80), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["client_id"], ["client.id"], name=op.f("fk_membership_client_id")),
        sa.ForeignKeyConstraint(["member_id"], ["member.id"], name=op.f("fk_membership_member_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_membership")),
        sa.UniqueConstraint("member_id", "client_id", "role", name=op.f("uq_membership_member_id_client_id_role")),
    )
    op.create_index("ix_membership_client_id", "membership", ["client_id"], unique=False)
    op.create_table(
        "messaging_policy",
        sa.Column("client_id", sa.BigInteger(), nullable=False),
        sa.Column("quiet_from", sa.Integer(), nullable=False),
        sa.Column("quiet_until", sa.Integer(), nullable=False),
        sa.Column("caps", JSON, nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "quiet_from BETWEEN 0 AND 1439 AND quiet_until BETWEEN 0 AND 1439", name=op.f("ck_messaging_policy_quiet")
        ),
        sa.ForeignKeyConstraint(["client_id"], ["client.id"], name=op.f("fk_messaging_policy_client_id")),
        sa.PrimaryKeyConstraint("client_id", name=op.f("pk_messaging_policy")),
    )
    op.create_table(
        "plugin_settings",
        sa.Column("client_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(length=24), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("public", JSON, nullable=False),
        sa.Column("secrets", sa.LargeBinary(), nullable=True),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["client_id"], ["client.id"], name=op.f("fk_plugin_settings_client_id")),
        sa.PrimaryKeyConstraint("client_id", "kind", "name", name=op.f("pk_plugin_settings")),
    )
    op.create_table(
        "retention_rule",
        sa.Column("client_id", sa.BigInteger(), nullable=False),
        sa.Column("data_kind", sa.String(length=80), nullable=False),
        sa.Column("floor_days", sa.Integer(), nullable=False),
        sa.Column("ceiling_days", sa.Integer(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("ceiling_days >= floor_days", name=op.f("ck_retention_rule_order")),
        sa.ForeignKeyConstraint(["client_id"], ["client.id"], name=op.f("fk_retention_rule_client_id")),
        sa.PrimaryKeyConstraint("client_id", "data_kind", name=op.f("pk_retention_rule")),
    )
    op.create_table(
        "message",
        sa.Column("client_id", sa.BigInteger(), nullable=False),
        sa.Column("id", BIG, autoincrement=False, nullable=False),
        sa.Column("key", sa.String(length=80), nullable=False),
        sa.Column("profile_id", sa.BigInteger(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("channel", sa.String(length=80), nullable=False),
        sa.Column("purpose", sa.String(length=24), nullable=False),
        sa.Column("template_id", sa.BigInteger(), nullable=True),
        sa.Column("enrolment_id", sa.BigInteger(), nullable=True),
        sa.Column("node", sa.String(length=40), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("reason", sa.String(length=120), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("lease_until", sa.BigInteger(), nullable=True),
        sa.Column("owner", sa.String(length=40), nullable=True),
        sa.Column("external_id", sa.String(length=120), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("sent_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            "state IN ('queued', 'sending', 'sent', 'refused', 'failed', 'unknown', 'cancelled')",
            name=op.f("ck_message_state"),
        ),
        sa.ForeignKeyConstraint(
            ["client_id", "account_id"],
            ["channel_account.client_id", "channel_account.id"],
            name=op.f("fk_message_client_id_account_id"),
        ),
        sa.ForeignKeyConstraint(
            ["client_id", "template_id"],
            ["template.client_id", "template.id"],
            name=op.f("fk_message_client_id_template_id"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_message")),
        sa.UniqueConstraint("client_id", "id", name=op.f("uq_message_client_id_id")),
        sa.UniqueConstraint("client_id", "key", name=op.f("uq_message_client_id_key")),
    )
    op.create_index(
        "ix_message_due",
        "message",
        ["client_id", "account_id", "due_at", "id"],
        unique=False,
        sqlite_where=sa.text("state IN ('queued', 'sending')"),
        postgresql_where=sa.text("state IN ('queued', 'sending')"),
    )
    op.create_index("ix_message_enrolment", "message", ["client_id", "enrolment_id"], unique=False)
    op.create_index("ix_message_external", "message", ["client_id", "account_id", "external_id"], unique=False)
    op.create_index("ix_message_profile", "message", ["client_id", "profile_id", "sent_at"], unique=False)
    op.create_index("ix_message_state", "message", ["client_id", "state", "id"], unique=False)
    if not postgresql_only:
        op.execute("INSERT INTO id_block (name, next) VALUES ('all', 1)")
    security.grant("client", *SHARED, *(table for table in OF_A_CLIENT if table not in APPEND_ONLY))
    security.grant_append_only(*APPEND_ONLY)
    security.separate_clients("client", column="id")
    security.separate_clients(*OF_A_CLIENT)
    security.agency_only(*OF_THE_AGENCY)


def downgrade() -> None:
    security.drop_append_only(*APPEND_ONLY)

    op.drop_index("ix_message_state", table_name="message")
    op.drop_index("ix_message_profile", table_name="message")
    op.drop_index("ix_message_external", table_name="message")
    op.drop_index("ix_message_enrolment", table_name="message")
    op.drop_index(
        "ix_message_due",
        table_name="message",
        sqlite_where=sa.text("state IN ('queued', 'sending')"),
        postgresql_where=sa.text("state IN ('queued', 'sending')"),
    )
    op.drop_table("message")
    op.drop_table("retention_rule")
    op.drop_table("plugin_settings")
    op.drop_table("messaging_policy")
    op.drop_index("ix_membership_client_id", table_name="membership")
    op.drop_table("membership")
    op.drop_index("ix_enrolment_version", table_name="enrolment")
    op.drop_index("ix_enrolment_profile", table_name="enrolment")
    op.drop_index(
        "ix_enrolment_due",
        table_name="enrolment",
        sqlite_where=sa.text("state = 'active'"),
        postgresql_where=sa.text("state = 'active'"),
    )
    op.drop_table("enrolment")
    op.drop_table("client_plugin")
    op.drop_table("channel_account")
    op.drop_index("ix_api_token_member_id", table_name="api_token")
    op.drop_table("api_token")
    op.drop_index("ix_segment_member_profile", table_name="segment_member")
    op.drop_table("segment_member")
    op.drop_table("role")
    op.drop_index("ix_profile_tag_tag", table_name="profile_tag")
    op.drop_table("profile_tag")
    op.drop_table("member")
    op.drop_table("journey_version")
    op.drop_index("ix_identity_client_profile", table_name="identity")
    op.drop_table("identity")
    op.drop_table("client")
    op.drop_table("attribution_credit")
    op.drop_index(op.f("ix_webhook_delivery_received_at"), table_name="webhook_delivery")
    op.drop_table("webhook_delivery")
    op.drop_index("ix_touch_profile", table_name="touch")
    op.drop_index("ix_touch_at", table_name="touch")
    op.drop_table("touch")
    op.drop_table("template")
    op.drop_table("tag")
    op.drop_table("suppression")
    op.drop_table("step")
    op.drop_table("stage_change")
    op.drop_index("ix_stage_name", table_name="stage")
    op.drop_table("stage")
    op.drop_index("ix_segment_change_segment", table_name="segment_change")
    op.drop_index("ix_segment_change_profile", table_name="segment_change")
    op.drop_table("segment_change")
    op.drop_table("segment")
    op.drop_index("ix_score_value", table_name="score")
    op.drop_table("score")
    op.drop_table("saved_mapping")
    op.drop_index(
        "ix_profile_merge_undone",
        table_name="profile_merge",
        sqlite_where=sa.text("undone_at IS NOT NULL"),
        postgresql_where=sa.text("undone_at IS NOT NULL"),
    )
    op.drop_index("ix_profile_merge_survivor", table_name="profile_merge")
    op.drop_index("ix_profile_merge_client", table_name="profile_merge")
    op.drop_index("ix_profile_merge_absorbed", table_name="profile_merge")
    op.drop_table("profile_merge")
    op.drop_index(
        "ix_profile_merged_into",
        table_name="profile",
        sqlite_where=sa.text("merged_into IS NOT NULL"),
        postgresql_where=sa.text("merged_into IS NOT NULL"),
    )
    op.drop_index("ix_profile_client_state_id", table_name="profile")
    op.drop_index("ix_profile_client_created", table_name="profile")
    op.drop_table("profile")
    op.drop_index("ix_orders_profile", table_name="orders")
    op.drop_index("ix_orders_placed", table_name="orders")
    op.drop_table("orders")
    op.drop_index("ix_order_line_sku", table_name="order_line")
    op.drop_table("order_line")
    op.drop_index(op.f("ix_message_receipt_message_id"), table_name="message_receipt")
    op.drop_table("message_receipt")
    op.drop_table("message_history")
    op.drop_index(op.f("ix_loose_receipt_received_at"), table_name="loose_receipt")
    op.drop_index("ix_loose_receipt_external", table_name="loose_receipt")
    op.drop_table("loose_receipt")
    op.drop_table("journey")
    op.drop_index("ix_job_client_id", table_name="job")
    op.drop_table("job")
    op.drop_index("ix_import_run_client_id", table_name="import_run")
    op.drop_table("import_run")
    op.drop_table("import_reject")
    op.drop_index("ix_idempotency_record_expires_at", table_name="idempotency_record")
    op.drop_table("idempotency_record")
    op.drop_table("id_block")
    op.drop_index("ix_event_type", table_name="event")
    op.drop_index("ix_event_profile", table_name="event")
    op.drop_table("event")
    op.drop_table("engine_executor")
    op.drop_index("ix_consent_record_profile", table_name="consent_record")
    op.drop_table("consent_record")
    op.drop_table("consent")
    op.drop_table("code")
    op.drop_table("channel_metric")
    op.drop_table("blocked_identity")
    op.drop_table("audit_head")
    op.drop_index("ix_audit_entry_object", table_name="audit_entry")
    op.drop_table("audit_entry")
    op.drop_index("ix_attribution_run_client_id", table_name="attribution_run")
    op.drop_table("attribution_run")
    op.drop_index("ix_approval_state", table_name="approval")
    op.drop_table("approval")
    op.drop_table("agency")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP SEQUENCE fairlead_id_seq")
