"""How channel accounts are read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from fairlead.channels.model import ChannelAccount
from fairlead.channels.service import SECRETS
from fairlead.governance.secrets import open_object
from fairlead.plugins.settings_schema import show
from fairlead.storage.types import Sealed
from fairlead.work import Work
from fairlead_graphql.channels import types
from fairlead_graphql.listing import Column, Plan, read_one
from fairlead_graphql.nodes import node_type
from fairlead_graphql.selection import Selection


def _shown(work: Work, channel: str, number: int, public: Mapping[str, Any], sealed: Sealed | None) -> Any:
    entry = work.plugins.channels.get(channel)
    if entry is None:
        return None
    return show(entry.manifest.settings, public, open_object(work.vault, work.client_id, SECRETS, number, sealed))


ACCOUNT = Plan(
    types.ChannelAccount,
    ChannelAccount.id,
    {
        "channel": Column((ChannelAccount.channel,)),
        "isChannelOn": Column((ChannelAccount.channel,), lambda work, channel: channel in work.plugins.channels),
        "name": Column((ChannelAccount.name,)),
        "platform": Column((ChannelAccount.platform,)),
        "accountType": Column((ChannelAccount.account_type,)),
        "permissionLevel": Column((ChannelAccount.permission_level,)),
        "state": Column((ChannelAccount.state,)),
        "owner": Column((ChannelAccount.owner,)),
        "note": Column((ChannelAccount.note,)),
        "connectedAt": Column((ChannelAccount.connected_at,)),
        "lastError": Column((ChannelAccount.last_error,)),
        "lastErrorAt": Column((ChannelAccount.last_error_at,)),
        "health": Column((ChannelAccount.health,)),
        "healthAt": Column((ChannelAccount.health_at,)),
        "syncedUntil": Column((ChannelAccount.synced_until,)),
        "settings": Column(
            (ChannelAccount.channel, ChannelAccount.id, ChannelAccount.settings, ChannelAccount.secrets), _shown
        ),
        "createdAt": Column((ChannelAccount.created_at,)),
        "changedAt": Column((ChannelAccount.changed_at,)),
    },
)


def read_account(work: Work, account_id: int, selection: Selection) -> types.ChannelAccount | None:
    """One account of the client, ``None`` when there is none."""
    return read_one(work, ACCOUNT, sa.select(ChannelAccount).where(ChannelAccount.id == account_id), selection)


node_type(ACCOUNT, "channels:read")
