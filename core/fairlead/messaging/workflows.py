"""Sending in the background: one run per account at a time, so that one slow platform holds up no other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from fairlead.engine.port import Engine, Retry
from fairlead.messaging.dispatch import dispatch
from fairlead.messaging.leases import is_lost
from fairlead.messaging.model import IS_OPEN, QUEUED, Message

if TYPE_CHECKING:
    from fairlead.runtime import Fairlead

DISPATCH = "messaging.dispatch"
QUEUE = "accounts"


def register(runtime: Fairlead, engine: Engine) -> None:
    """Make the workflow known; journeys' tick asks for it."""
    engine.register(DISPATCH, lambda payload: _dispatch(runtime, payload), Retry(attempts=2))


def enqueue_dispatch(runtime: Fairlead, client_id: int, engine: Engine | None = None) -> int:
    """Ask for every account of the client with something to send or to take back; the answer is how many."""
    engine = engine or runtime.engine
    accounts = due_accounts(runtime, client_id)
    if engine is not None:
        for account_id in accounts:
            payload = {"client_id": client_id, "account_id": account_id}
            engine.enqueue(DISPATCH, payload, key=f"{DISPATCH}/{account_id}", queue=QUEUE, partition=str(account_id))
    return len(accounts)


def due_accounts(runtime: Fairlead, client_id: int) -> list[int]:
    """Accounts with a message that is due, or whose sender's lease ran out."""
    with runtime.reading(client_id) as work:
        due = sa.or_(
            sa.and_(Message.state == QUEUED, Message.due_at <= work.now),
            is_lost(work.now),
        )
        accounts = sa.select(Message.account_id).where(IS_OPEN, due).distinct().order_by(Message.account_id)
        return list(work.session.scalars(accounts))


def _dispatch(runtime: Fairlead, payload: dict[str, Any]) -> dict[str, Any]:
    done = dispatch(runtime, int(payload["client_id"]), int(payload["account_id"]))
    return {"sent": done.sent, "refused": done.refused, "delayed": done.delayed, "unknown": done.unknown}
