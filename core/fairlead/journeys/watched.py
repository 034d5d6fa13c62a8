"""Keeping the segments fresh that active journeys wait at: nobody would enter them otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from fairlead.audiences.segments import find_segment, refresh_segment
from fairlead.clients.service import each_active_client
from fairlead.engine.port import Engine, Retry
from fairlead.errors import NotFound
from fairlead.journeys.graph import parse_graph
from fairlead.journeys.model import Journey, JourneyVersion
from fairlead.work import Work

if TYPE_CHECKING:
    from fairlead.runtime import Fairlead

REFRESH = "journeys.refresh_watched"
REFRESH_ALL = "journeys.refresh_all_watched"
EVERY = "*/5 * * * *"


def register(runtime: Fairlead, engine: Engine) -> None:
    """Make the workflows known and schedule them."""
    engine.register(REFRESH, lambda payload: refresh_watched(runtime, payload), Retry(attempts=2))
    engine.register(REFRESH_ALL, lambda _: _for_all(runtime, engine), Retry(attempts=1))
    engine.schedule(REFRESH_ALL, EVERY)


def watched_segments(work: Work) -> list[str]:
    """Names of the segments that the client's active journeys are triggered by."""
    graphs = work.session.scalars(
        sa.select(JourneyVersion.graph).join(
            Journey, sa.and_(Journey.current_version_id == JourneyVersion.id, Journey.state == "active")
        )
    )
    names = {
        str(node.settings["segment"])
        for graph in graphs
        for node in parse_graph(graph).nodes
        if node.kind == "trigger_segment"
    }
    return sorted(names)


def refresh_watched(runtime: Fairlead, payload: Mapping[str, Any]) -> dict[str, int]:
    """Refresh them, each in a transaction of its own; one that is gone by now is passed over."""
    client_id = int(payload["client_id"])
    with runtime.reading(client_id) as work:
        names = watched_segments(work)
    entered = 0
    for name in names:
        entered += runtime.run(client_id, lambda work, name=name: _refresh(work, name))  # type: ignore[misc]
    return {"segments": len(names), "entered": entered}


def _refresh(work: Work, name: str) -> int:
    try:
        segment = find_segment(work, name)
    except NotFound:
        return 0
    return refresh_segment(work, segment.id).entered if segment.state == "active" else 0


def _for_all(runtime: Fairlead, engine: Engine) -> int:
    count = 0
    for client in each_active_client(runtime):
        with runtime.reading(client.id) as work:
            watched = bool(watched_segments(work))
        if watched:
            engine.enqueue(REFRESH, {"client_id": client.id}, key=f"{REFRESH}/{client.id}")
            count += 1
    return count
