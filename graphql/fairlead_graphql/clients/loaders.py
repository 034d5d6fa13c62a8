"""How clients are read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from fairlead.clients.model import Client
from fairlead_graphql.clients import types
from fairlead_graphql.context import Context
from fairlead_graphql.listing import Column, Plan, read_all
from fairlead_graphql.nodes import is_there, node_loader
from fairlead_graphql.selection import Selection

CLIENT = Plan(
    types.Client,
    Client.id,
    {
        "slug": Column((Client.slug,)),
        "name": Column((Client.name,)),
        "zone": Column((Client.zone,)),
        "currency": Column((Client.currency,)),
        "state": Column((Client.state,)),
        "createdAt": Column((Client.created_at,)),
    },
    extra={"clientId": Client.id},
)


def _load_clients(context: Context, numbers: Sequence[int], selection: Selection) -> dict[int, Any]:
    seen = [number for number in numbers if is_there(context, number, "client:read")]
    items = read_all(context.agency_work(), CLIENT, sa.select(Client).where(Client.id.in_(seen)), selection)
    return {item.__dict__["_number"]: item for item in items}


node_loader("Client", _load_clients)
