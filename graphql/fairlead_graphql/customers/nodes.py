"""Customers and what belongs to them by global id."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fairlead.customers.model import Profile
from fairlead_graphql.context import Context
from fairlead_graphql.customers.loaders import HAPPENINGS, IDENTITY, ORDER, PROFILE, timeline_items
from fairlead_graphql.nodes import node_loader, node_type, rows_by_client
from fairlead_graphql.selection import Selection


def _load_items(context: Context, numbers: Sequence[int], selection: Selection) -> dict[int, Any]:
    """Timeline items stand in four tables; one sequence numbers all of them."""
    by_client: dict[int, list[int]] = {}
    for entity in HAPPENINGS:
        for client_id, own in rows_by_client(context, entity, numbers, "profiles:read").items():
            by_client.setdefault(client_id, []).extend(own)
    return {
        item.__dict__["_number"]: item
        for client_id, own in by_client.items()
        for item in timeline_items(context.work(client_id), own, selection)
    }


node_type(PROFILE, "profiles:read", Profile.state != "erased")
node_type(IDENTITY, "profiles:read")
node_type(ORDER, "profiles:read")
node_loader("TimelineItem", _load_items)
