"""How clients are read."""

from __future__ import annotations

from fairlead.clients.model import Client
from fairlead_graphql.clients import types
from fairlead_graphql.listing import Column, Plan

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
