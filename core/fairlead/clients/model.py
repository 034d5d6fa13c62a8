"""Agency, clients, members, their roles, API tokens, and which plugins are on for a client."""

from __future__ import annotations

import datetime as dt

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from fairlead.storage.base import AgencyOnly, Base, Tenant
from fairlead.storage.types import Blind, Id, Json, JsonDict, Name, Ref, Sealed, SealedBytes


class Agency(AgencyOnly, Base):
    """Who runs this installation."""

    __tablename__ = "agency"
    id: Mapped[Id]
    slug: Mapped[Name] = mapped_column(unique=True)
    name: Mapped[Name]
    created_at: Mapped[dt.datetime]


class Client(Base):
    """A client of the agency: the tenant that every customer, fact and message belongs to."""

    __tablename__ = "client"
    __table_args__ = (sa.CheckConstraint("state IN ('active', 'archived')", name="state"),)
    id: Mapped[Id]
    agency_id: Mapped[Ref] = mapped_column(sa.ForeignKey("agency.id"))
    slug: Mapped[Name] = mapped_column(unique=True)
    name: Mapped[Name]
    zone: Mapped[str] = mapped_column(sa.String(40), default="Asia/Shanghai")
    currency: Mapped[str] = mapped_column(sa.String(3), default="CNY")
    state: Mapped[str] = mapped_column(sa.String(16), default="active")
    created_at: Mapped[dt.datetime]


class Member(AgencyOnly, Base):
    """A person or machine that may hold tokens."""

    __tablename__ = "member"
    __table_args__ = (
        sa.UniqueConstraint("agency_id", "email_blind"),
        sa.CheckConstraint("state IN ('active', 'disabled', 'removed')", name="state"),
    )
    id: Mapped[Id]
    agency_id: Mapped[Ref] = mapped_column(sa.ForeignKey("agency.id"))
    name: Mapped[Name]
    email: Mapped[Sealed] = mapped_column(SealedBytes)
    email_blind: Mapped[Blind]
    state: Mapped[str] = mapped_column(sa.String(16), default="active")
    created_at: Mapped[dt.datetime]


class Role(AgencyOnly, Base):
    """A custom role: a name for a set of permissions. The four built-in roles are code, not rows."""

    __tablename__ = "role"
    __table_args__ = (sa.UniqueConstraint("agency_id", "name"),)
    id: Mapped[Id]
    agency_id: Mapped[Ref] = mapped_column(sa.ForeignKey("agency.id"))
    name: Mapped[Name]
    permissions: Mapped[list[str]] = mapped_column(Json)
    created_at: Mapped[dt.datetime]


class Membership(AgencyOnly, Base):
    """A member's role at one client, or (``client_id`` null) at every client and the agency itself."""

    __tablename__ = "membership"
    __table_args__ = (
        sa.UniqueConstraint("member_id", "client_id", "role"),
        sa.Index("ix_membership_client_id", "client_id"),
    )
    id: Mapped[Id]
    member_id: Mapped[Ref] = mapped_column(sa.ForeignKey("member.id"))
    client_id: Mapped[int | None] = mapped_column(sa.BigInteger, sa.ForeignKey("client.id"))
    role: Mapped[Name]
    created_at: Mapped[dt.datetime]


class ApiToken(AgencyOnly, Base):
    """A credential of a member; only its hash is kept. ``client_ids`` and ``permissions`` narrow the member's own."""

    __tablename__ = "api_token"
    __table_args__ = (sa.Index("ix_api_token_member_id", "member_id"),)
    id: Mapped[Id]
    member_id: Mapped[Ref] = mapped_column(sa.ForeignKey("member.id"))
    name: Mapped[Name]
    hint: Mapped[str] = mapped_column(sa.String(12))
    digest: Mapped[bytes] = mapped_column(sa.LargeBinary(32), unique=True)
    client_ids: Mapped[list[int] | None] = mapped_column(Json)
    permissions: Mapped[list[str] | None] = mapped_column(Json)
    created_at: Mapped[dt.datetime]
    expires_at: Mapped[dt.datetime]
    revoked_at: Mapped[dt.datetime | None]
    last_used_at: Mapped[dt.datetime | None]
    replaced_by: Mapped[int | None] = mapped_column(sa.BigInteger)


class ClientPlugin(Tenant, Base):
    """Whether a plugin is on for a client. No row means off."""

    __tablename__ = "client_plugin"
    client_id: Mapped[int] = mapped_column(sa.BigInteger, sa.ForeignKey("client.id"), primary_key=True)
    plugin: Mapped[Name] = mapped_column(primary_key=True)
    enabled: Mapped[bool]
    changed_at: Mapped[dt.datetime]


class PluginSettings(Tenant, Base):
    """A client's settings of one registered thing, secrets apart and sealed as one JSON object."""

    __tablename__ = "plugin_settings"
    client_id: Mapped[int] = mapped_column(sa.BigInteger, sa.ForeignKey("client.id"), primary_key=True)
    kind: Mapped[str] = mapped_column(sa.String(24), primary_key=True)
    name: Mapped[Name] = mapped_column(primary_key=True)
    public: Mapped[JsonDict]
    secrets: Mapped[Sealed | None] = mapped_column(SealedBytes)
    changed_at: Mapped[dt.datetime]
