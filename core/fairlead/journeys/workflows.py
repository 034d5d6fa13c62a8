"""Journeys in the background: a tick per client takes people in and moves them. A lost tick costs only its time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from fairlead.clients.service import each_active_client
from fairlead.engine.port import Engine, Retry
from fairlead.journeys import watched
from fairlead.journeys.advance import advance
from fairlead.journeys.model import Journey
from fairlead.journeys.triggers import take_in
from fairlead.messaging.workflows import enqueue_dispatch

if TYPE_CHECKING:
    from fairlead.runtime import Fairlead

TICK = "journeys.tick"
ADVANCE = "journeys.advance"
EVERY = "*/10 * * * * *"


def register(runtime: Fairlead, engine: Engine) -> None:
    """Make the workflows known and schedule the tick."""
    engine.register(ADVANCE, lambda payload: run_client(runtime, int(payload["client_id"]), engine), Retry(attempts=3))
    engine.register(TICK, lambda _: _tick(runtime, engine), Retry(attempts=1))
    engine.schedule(TICK, EVERY)
    watched.register(runtime, engine)


def enqueue_advance(engine: Engine | None, client_id: int) -> None:
    """Let a client's journeys move soon; without an engine the next process that has one does it."""
    if engine is not None:
        engine.enqueue(ADVANCE, {"client_id": client_id}, key=f"{ADVANCE}/{client_id}")


def run_client(runtime: Fairlead, client_id: int, engine: Engine | None = None) -> dict[str, Any]:
    """Take in, move, and ask for what became due to be sent."""
    entered = runtime.run(client_id, take_in)
    steps = advance(runtime, client_id)
    return {"entered": entered, "steps": steps, "accounts": enqueue_dispatch(runtime, client_id, engine)}


def _tick(runtime: Fairlead, engine: Engine) -> int:
    count = 0
    for client in each_active_client(runtime):
        with runtime.reading(client.id) as work:
            busy = work.session.scalar(sa.select(Journey.id).where(Journey.state == "active").limit(1)) is not None
        if busy:
            enqueue_advance(engine, client.id)
            count += 1
        else:
            enqueue_dispatch(runtime, client.id, engine)
    return count
