"""Channel accounts and what came in through them."""

from __future__ import annotations

import datetime as dt

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from fairlead.storage.base import Base, Tenant, one_of
from fairlead.storage.types import Id, JsonDict, Name, Ref, Sealed, SealedBytes, Text

ACCOUNT_TYPES = ("shop", "official_account", "mini_program", "mailbox", "sms", "ads", "till", "crm", "other")
PERMISSION_LEVELS = ("read", "write", "manage")
STATES = ("planned", "connected", "paused", "failed", "disconnected")
HEALTHS = ("unknown", "ok", "degraded", "down")


class ChannelAccount(Tenant, Base):
    """One account of a client on one platform, reached through the channel plugin ``channel``.

    Until ``fetch_after`` nothing is fetched or checked on schedule, until ``send_after`` nothing is sent: the platform
    asked for it, or ``send_failures`` calls in a row failed as a whole.
    """

    __tablename__ = "channel_account"
    __table_args__ = (
        sa.UniqueConstraint("client_id", "channel", "name"),
        sa.UniqueConstraint("client_id", "id"),
        sa.CheckConstraint(one_of("account_type", ACCOUNT_TYPES), name="account_type"),
        sa.CheckConstraint(one_of("permission_level", PERMISSION_LEVELS), name="permission_level"),
        sa.CheckConstraint(one_of("state", STATES), name="state"),
        sa.CheckConstraint(one_of("health", HEALTHS), name="health"),
    )
    id: Mapped[Id]
    client_id: Mapped[int] = mapped_column(sa.BigInteger, sa.ForeignKey("client.id"))
    channel: Mapped[Name]
    name: Mapped[Name]
    platform: Mapped[Name]
    account_type: Mapped[str] = mapped_column(sa.String(24), default="other")
    permission_level: Mapped[str] = mapped_column(sa.String(16), default="read")
    state: Mapped[str] = mapped_column(sa.String(16), default="planned")
    owner: Mapped[Name] = mapped_column(default="")
    note: Mapped[Text] = mapped_column(default="")
    connected_at: Mapped[dt.datetime | None]
    last_error: Mapped[Text] = mapped_column(default="")
    last_error_at: Mapped[dt.datetime | None]
    health: Mapped[str] = mapped_column(sa.String(16), default="unknown")
    health_at: Mapped[dt.datetime | None]
    synced_until: Mapped[dt.datetime | None]
    fetch_after: Mapped[dt.datetime | None]
    send_after: Mapped[dt.datetime | None]
    send_failures: Mapped[int] = mapped_column(sa.Integer, default=0)
    send_tokens: Mapped[float] = mapped_column(sa.Double, default=0.0)
    send_tokens_at: Mapped[dt.datetime | None]
    settings: Mapped[JsonDict]
    secrets: Mapped[Sealed | None] = mapped_column(SealedBytes)
    created_at: Mapped[dt.datetime]
    changed_at: Mapped[dt.datetime]


class WebhookDelivery(Tenant, Base):
    """A webhook that was taken in; the same delivery again has no effect."""

    __tablename__ = "webhook_delivery"
    account_id: Mapped[Ref] = mapped_column(primary_key=True)
    dedupe_id: Mapped[str] = mapped_column(sa.String(120), primary_key=True)
    received_at: Mapped[dt.datetime] = mapped_column(index=True)
