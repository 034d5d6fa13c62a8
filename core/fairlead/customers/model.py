"""Profiles, the identities that point at them, merges, consent, and imports."""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from fairlead.storage.base import Base, Tenant
from fairlead.storage.types import Blind, Id, Json, JsonDict, Name, Ref, Sealed, SealedBytes, Text


class Profile(Tenant, Base):
    """One person as this client knows them. ``attributes`` holds nothing that identifies; the name is sealed."""

    __tablename__ = "profile"
    __table_args__ = (
        sa.UniqueConstraint("client_id", "id"),
        sa.Index("ix_profile_client_state_id", "client_id", "state", "id"),
        sa.Index(
            "ix_profile_merged_into",
            "client_id",
            "merged_into",
            sqlite_where=sa.text("merged_into IS NOT NULL"),
            postgresql_where=sa.text("merged_into IS NOT NULL"),
        ),
        sa.Index("ix_profile_client_created", "client_id", "created_at", "id"),
        sa.CheckConstraint("state IN ('active', 'merged', 'restricted', 'erased')", name="state"),
    )
    id: Mapped[Id]
    state: Mapped[str] = mapped_column(sa.String(12), default="active")
    merged_into: Mapped[int | None] = mapped_column(sa.BigInteger)
    name: Mapped[Sealed | None] = mapped_column(SealedBytes)
    gender: Mapped[str | None] = mapped_column(sa.String(8))
    birth_date: Mapped[dt.date | None] = mapped_column(sa.Date)
    region: Mapped[str | None] = mapped_column(sa.String(12))
    language: Mapped[str | None] = mapped_column(sa.String(12))
    zone: Mapped[str | None] = mapped_column(sa.String(40))
    attributes: Mapped[JsonDict] = mapped_column(default=dict)
    created_at: Mapped[dt.datetime]
    changed_at: Mapped[dt.datetime]


class Identity(Tenant, Base):
    """Something that points at a profile, found by its blind index; the value itself is sealed."""

    __tablename__ = "identity"
    __table_args__ = (
        sa.UniqueConstraint("client_id", "kind", "scope", "blind"),
        sa.Index("ix_identity_client_profile", "client_id", "profile_id", "kind"),
        sa.ForeignKeyConstraint(["client_id", "profile_id"], ["profile.client_id", "profile.id"]),
        sa.CheckConstraint("state IN ('active', 'bounced')", name="state"),
    )
    id: Mapped[Id]
    profile_id: Mapped[Ref]
    kind: Mapped[str] = mapped_column(sa.String(24))
    scope: Mapped[str] = mapped_column(sa.String(40), default="")
    blind: Mapped[Blind]
    value: Mapped[Sealed] = mapped_column(SealedBytes)
    strong: Mapped[bool]
    state: Mapped[str] = mapped_column(sa.String(12), default="active")
    source: Mapped[str] = mapped_column(sa.String(40))
    created_at: Mapped[dt.datetime]


class BlockedIdentity(Tenant, Base):
    """A value that never links two people: a shop's own phone, a test account, a value shared by too many."""

    __tablename__ = "blocked_identity"
    client_id: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True)
    kind: Mapped[str] = mapped_column(sa.String(24), primary_key=True)
    scope: Mapped[str] = mapped_column(sa.String(40), primary_key=True, default="")
    blind: Mapped[Blind] = mapped_column(primary_key=True)
    reason: Mapped[str] = mapped_column(sa.String(120))
    created_at: Mapped[dt.datetime]


class ProfileMerge(Tenant, Base):
    """Evidence of one merge: who survived, who was absorbed, and what moved, so that it can be undone."""

    __tablename__ = "profile_merge"
    __table_args__ = (
        sa.Index("ix_profile_merge_client", "client_id", "id"),
        sa.Index("ix_profile_merge_survivor", "client_id", "survivor_id"),
        sa.Index("ix_profile_merge_absorbed", "client_id", "absorbed_id"),
        sa.Index(
            "ix_profile_merge_undone",
            "client_id",
            "undone_at",
            sqlite_where=sa.text("undone_at IS NOT NULL"),
            postgresql_where=sa.text("undone_at IS NOT NULL"),
        ),
    )
    id: Mapped[Id]
    survivor_id: Mapped[Ref]
    absorbed_id: Mapped[Ref]
    rule: Mapped[str] = mapped_column(sa.String(40))
    evidence: Mapped[JsonDict]
    moved: Mapped[JsonDict]
    merged_at: Mapped[dt.datetime]
    undone_at: Mapped[dt.datetime | None]


class Consent(Tenant, Base):
    """What holds now for one person, purpose and channel (``*`` for all channels)."""

    __tablename__ = "consent"
    __table_args__ = (
        sa.UniqueConstraint("client_id", "profile_id", "purpose", "channel"),
        sa.CheckConstraint("state IN ('granted', 'withdrawn')", name="state"),
    )
    id: Mapped[Id]
    profile_id: Mapped[Ref]
    purpose: Mapped[str] = mapped_column(sa.String(24))
    channel: Mapped[str] = mapped_column(sa.String(40))
    state: Mapped[str] = mapped_column(sa.String(12))
    at: Mapped[dt.datetime]
    expires_at: Mapped[dt.datetime | None]


class ConsentRecord(Tenant, Base):
    """Proof of each grant and withdrawal: the text shown, its version, where, when and by which act."""

    __tablename__ = "consent_record"
    __table_args__ = (
        sa.UniqueConstraint("client_id", "fingerprint"),
        sa.Index("ix_consent_record_profile", "client_id", "profile_id", "at"),
    )
    id: Mapped[Id]
    fingerprint: Mapped[Blind]
    profile_id: Mapped[Ref]
    purpose: Mapped[str] = mapped_column(sa.String(24))
    channel: Mapped[str] = mapped_column(sa.String(40))
    state: Mapped[str] = mapped_column(sa.String(12))
    at: Mapped[dt.datetime]
    expires_at: Mapped[dt.datetime | None]
    source: Mapped[str] = mapped_column(sa.String(40))
    text_version: Mapped[str] = mapped_column(sa.String(40), default="")
    evidence: Mapped[JsonDict] = mapped_column(default=dict)


class Suppression(Tenant, Base):
    """An address that must not be written to, whoever holds it: hard bounce, complaint, opt-out."""

    __tablename__ = "suppression"
    client_id: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True)
    kind: Mapped[str] = mapped_column(sa.String(24), primary_key=True)
    blind: Mapped[Blind] = mapped_column(primary_key=True)
    channel: Mapped[str] = mapped_column(sa.String(40), primary_key=True)
    reason: Mapped[str] = mapped_column(sa.String(40))
    created_at: Mapped[dt.datetime]


class Import(Tenant, Base):
    """One file that was brought in: mapping, counts, progress."""

    __tablename__ = "import_run"
    __table_args__ = (
        sa.Index("ix_import_run_client_id", "client_id", "id"),
        sa.CheckConstraint("state IN ('running', 'done', 'failed')", name="state"),
    )
    id: Mapped[Id]
    file_name: Mapped[str] = mapped_column(sa.String(200))
    file_digest: Mapped[str] = mapped_column(sa.String(64))
    source: Mapped[str] = mapped_column(sa.String(40))
    mapping: Mapped[JsonDict]
    state: Mapped[str] = mapped_column(sa.String(12))
    rows_read: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    rows_accepted: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    rows_rejected: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    rows_known: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    error: Mapped[Text] = mapped_column(default="")
    started_at: Mapped[dt.datetime]
    finished_at: Mapped[dt.datetime | None]


class ImportReject(Tenant, Base):
    """A row that was not taken, and why. The row itself may hold personal data, so it is sealed."""

    __tablename__ = "import_reject"
    import_id: Mapped[Ref] = mapped_column(primary_key=True)
    row_number: Mapped[int] = mapped_column(primary_key=True)
    column: Mapped[Name]
    reason: Mapped[str] = mapped_column(sa.String(200))
    row: Mapped[Sealed] = mapped_column(SealedBytes)


class SavedMapping(Tenant, Base):
    """A mapping from the columns of a file to fields, kept under a name."""

    __tablename__ = "saved_mapping"
    __table_args__ = (sa.UniqueConstraint("client_id", "name"),)
    id: Mapped[Id]
    name: Mapped[Name]
    mapping: Mapped[dict[str, Any]] = mapped_column(Json)
    changed_at: Mapped[dt.datetime]
