"""Facts: what happened, append-only, idempotent by ``(client, source, source id)``; all else is rebuilt from them.

Channels and event types are small integers given out at the door (:class:`Code`). ``fingerprint`` is 128 bits of
BLAKE2b over source and source id, so the unique index stays narrow. Money is in minor units of ``currency``.
``identity_id`` is the identity that brought the fact: when two people turn out to be one, or one to be two, facts
follow their identity.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from fairlead.storage.base import Base, Tenant
from fairlead.storage.types import Blind, Id, Json, Name, Ref


class Code(Tenant, Base):
    """A small integer for a name, per client and domain (``channel``, ``event``); given out once, never reused."""

    __tablename__ = "code"
    __table_args__ = (sa.UniqueConstraint("client_id", "domain", "name"),)
    client_id: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True)
    domain: Mapped[str] = mapped_column(sa.String(12), primary_key=True)
    code: Mapped[int] = mapped_column(sa.Integer, primary_key=True)
    name: Mapped[Name]


class Event(Tenant, Base):
    """Something a person did, or that happened to them."""

    __tablename__ = "event"
    __table_args__ = (
        sa.UniqueConstraint("client_id", "fingerprint"),
        sa.Index("ix_event_profile", "client_id", "profile_id", "at", "id"),
        sa.Index("ix_event_type", "client_id", "type_code", "profile_id", "at"),
    )
    id: Mapped[Id]
    fingerprint: Mapped[Blind]
    profile_id: Mapped[int | None] = mapped_column(sa.BigInteger)
    identity_id: Mapped[int | None] = mapped_column(sa.BigInteger)
    type_code: Mapped[int] = mapped_column(sa.Integer)
    channel_code: Mapped[int] = mapped_column(sa.Integer)
    at: Mapped[dt.datetime]
    amount: Mapped[int | None] = mapped_column(sa.BigInteger)
    item: Mapped[str | None] = mapped_column(sa.String(80))
    category: Mapped[str | None] = mapped_column(sa.String(80))
    properties: Mapped[dict[str, Any] | None] = mapped_column(Json)
    import_id: Mapped[int | None] = mapped_column(sa.BigInteger)


class Order(Tenant, Base):
    """An order as its channel shows it now; a newer ``changed_at`` replaces an older one."""

    __tablename__ = "orders"
    __table_args__ = (
        sa.UniqueConstraint("client_id", "channel_code", "source_id"),
        sa.Index("ix_orders_profile", "client_id", "profile_id", "placed_at", "id"),
        sa.Index("ix_orders_placed", "client_id", "placed_at", "id"),
        sa.Index("ix_orders_paid", "client_id", "paid_at", "id"),
        sa.CheckConstraint("status IN ('created', 'paid', 'shipped', 'finished', 'closed', 'refunded')", name="status"),
    )
    id: Mapped[Id]
    source_id: Mapped[str] = mapped_column(sa.String(64))
    profile_id: Mapped[int | None] = mapped_column(sa.BigInteger)
    identity_id: Mapped[int | None] = mapped_column(sa.BigInteger)
    channel_code: Mapped[int] = mapped_column(sa.Integer)
    status: Mapped[str] = mapped_column(sa.String(12))
    currency: Mapped[str] = mapped_column(sa.String(3))
    amount: Mapped[int] = mapped_column(sa.BigInteger)
    paid_amount: Mapped[int] = mapped_column(sa.BigInteger)
    refund_amount: Mapped[int] = mapped_column(sa.BigInteger)
    placed_at: Mapped[dt.datetime]
    paid_at: Mapped[dt.datetime | None]
    changed_at: Mapped[dt.datetime]
    region: Mapped[str | None] = mapped_column(sa.String(40))
    properties: Mapped[dict[str, Any] | None] = mapped_column(Json)
    import_id: Mapped[int | None] = mapped_column(sa.BigInteger)


class OrderLine(Tenant, Base):
    """One position of an order; ``amount`` is for the whole line."""

    __tablename__ = "order_line"
    __table_args__ = (sa.Index("ix_order_line_sku", "client_id", "sku", "order_id"),)
    order_id: Mapped[Ref] = mapped_column(primary_key=True)
    position: Mapped[int] = mapped_column(sa.Integer, primary_key=True)
    sku: Mapped[str] = mapped_column(sa.String(80))
    title: Mapped[str] = mapped_column(sa.String(200))
    category: Mapped[str | None] = mapped_column(sa.String(80))
    quantity: Mapped[int] = mapped_column(sa.BigInteger)
    amount: Mapped[int] = mapped_column(sa.BigInteger)


class Touch(Tenant, Base):
    """A contact of a person with a channel: an impression, a click, an opened mail."""

    __tablename__ = "touch"
    __table_args__ = (
        sa.UniqueConstraint("client_id", "fingerprint"),
        sa.Index("ix_touch_profile", "client_id", "profile_id", "at", "id"),
        sa.Index("ix_touch_at", "client_id", "at", "profile_id", "channel_code"),
    )
    id: Mapped[Id]
    fingerprint: Mapped[Blind]
    profile_id: Mapped[Ref]
    identity_id: Mapped[Ref]
    channel_code: Mapped[int] = mapped_column(sa.Integer)
    kind: Mapped[str] = mapped_column(sa.String(16))
    at: Mapped[dt.datetime]
    campaign: Mapped[str | None] = mapped_column(sa.String(80))
    import_id: Mapped[int | None] = mapped_column(sa.BigInteger)


class ChannelMetric(Tenant, Base):
    """One figure of one channel on one day: impressions, clicks, cost (minor units)."""

    __tablename__ = "channel_metric"
    client_id: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True)
    channel_code: Mapped[int] = mapped_column(sa.Integer, primary_key=True)
    day: Mapped[dt.date] = mapped_column(sa.Date, primary_key=True)
    metric: Mapped[str] = mapped_column(sa.String(24), primary_key=True)
    value: Mapped[float] = mapped_column(sa.Double)
    source: Mapped[str] = mapped_column(sa.String(40))
