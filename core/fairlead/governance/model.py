"""The audit log, idempotency records, jobs, approvals and retention rules."""

from __future__ import annotations

import datetime as dt

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from fairlead.storage.base import Base, Shared, Tenant
from fairlead.storage.types import Id, Json, JsonDict, Name, Ref, Text

AGENCY = 0
"""The chain of entries that belong to no single client."""


class AuditHead(Shared, Base):
    """The end of one client's chain; locking this row puts writers in order."""

    __tablename__ = "audit_head"
    client_id: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True)
    number: Mapped[int] = mapped_column(sa.BigInteger)
    digest: Mapped[bytes] = mapped_column(sa.LargeBinary(32))


class AuditEntry(Tenant, Base):
    """Who did what to which thing, before and after; triggers refuse to change or delete it."""

    __tablename__ = "audit_entry"
    __table_args__ = (sa.Index("ix_audit_entry_object", "client_id", "object_type", "object_id", "number"),)
    client_id: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True)
    number: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True)
    at: Mapped[dt.datetime]
    actor: Mapped[str] = mapped_column(sa.String(60))
    action: Mapped[str] = mapped_column(sa.String(60))
    object_type: Mapped[str] = mapped_column(sa.String(40))
    object_id: Mapped[str] = mapped_column(sa.String(60))
    before: Mapped[dict[str, object] | None] = mapped_column(Json)
    after: Mapped[dict[str, object] | None] = mapped_column(Json)
    request_id: Mapped[str] = mapped_column(sa.String(64))
    previous: Mapped[bytes] = mapped_column(sa.LargeBinary(32))
    digest: Mapped[bytes] = mapped_column(sa.LargeBinary(32))


class IdempotencyRecord(Shared, Base):
    """The first answer to a mutation, given again for the same key and input for 24 hours."""

    __tablename__ = "idempotency_record"
    __table_args__ = (sa.Index("ix_idempotency_record_expires_at", "expires_at"),)
    actor: Mapped[str] = mapped_column(sa.String(60), primary_key=True)
    key: Mapped[str] = mapped_column(sa.String(80), primary_key=True)
    operation: Mapped[str] = mapped_column(sa.String(60))
    input_digest: Mapped[bytes] = mapped_column(sa.LargeBinary(32))
    answer: Mapped[dict[str, object] | None] = mapped_column(Json)
    expires_at: Mapped[dt.datetime]


class Job(Tenant, Base):
    """Long work with progress. The row is the truth; the engine only runs it."""

    __tablename__ = "job"
    __table_args__ = (
        sa.Index("ix_job_client_id", "client_id", "id"),
        sa.Index(
            "ix_job_queued",
            "id",
            sqlite_where=sa.text("state = 'queued'"),
            postgresql_where=sa.text("state = 'queued'"),
        ),
        sa.CheckConstraint("state IN ('queued', 'running', 'done', 'failed', 'cancelled')", name="state"),
    )
    id: Mapped[Id]
    kind: Mapped[Name]
    state: Mapped[str] = mapped_column(sa.String(12), default="queued")
    payload: Mapped[JsonDict]
    done: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    total: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    message: Mapped[Text] = mapped_column(default="")
    result: Mapped[dict[str, object] | None] = mapped_column(Json)
    actor: Mapped[str] = mapped_column(sa.String(60))
    created_at: Mapped[dt.datetime]
    started_at: Mapped[dt.datetime | None]
    finished_at: Mapped[dt.datetime | None]


class Approval(Tenant, Base):
    """A request that a second person must agree to; ``digest`` ties the approval to exactly this content."""

    __tablename__ = "approval"
    __table_args__ = (
        sa.Index("ix_approval_state", "client_id", "state", "id"),
        sa.CheckConstraint("state IN ('open', 'approved', 'rejected', 'expired', 'used')", name="state"),
        sa.CheckConstraint("decided_by IS NULL OR decided_by <> requested_by", name="two_people"),
    )
    id: Mapped[Id]
    action: Mapped[Name]
    object_type: Mapped[str] = mapped_column(sa.String(40))
    object_id: Mapped[str] = mapped_column(sa.String(60))
    digest: Mapped[str] = mapped_column(sa.String(64))
    state: Mapped[str] = mapped_column(sa.String(12), default="open")
    requested_by: Mapped[Ref]
    requested_at: Mapped[dt.datetime]
    decided_by: Mapped[int | None] = mapped_column(sa.BigInteger)
    decided_at: Mapped[dt.datetime | None]
    expires_at: Mapped[dt.datetime]


class RetentionRule(Tenant, Base):
    """How long one kind of data is kept: at least ``floor_days``, at most ``ceiling_days``."""

    __tablename__ = "retention_rule"
    __table_args__ = (sa.CheckConstraint("ceiling_days >= floor_days", name="order"),)
    client_id: Mapped[int] = mapped_column(sa.BigInteger, sa.ForeignKey("client.id"), primary_key=True)
    data_kind: Mapped[Name] = mapped_column(primary_key=True)
    floor_days: Mapped[int] = mapped_column(sa.Integer, default=0)
    ceiling_days: Mapped[int] = mapped_column(sa.Integer)
    changed_at: Mapped[dt.datetime]
