"""The outbox is read through its index, however many messages were ever sent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fairlead.messaging.dispatch import dispatch
from fairlead.messaging.workflows import due_accounts
from fairlead.testing.fakes import FakeClock
from fairlead.testing.hostile import HostileChannel
from support.plans import explained


def test_every_look_at_the_queue_uses_its_index(post: Callable[..., Any], clock: FakeClock) -> None:
    made = post(HostileChannel(clock=clock), 3)
    made.queue()
    client_id = made.runtime.client("acme").id
    with explained(made.runtime.database.engine, looks_for_work) as found:
        assert due_accounts(made.runtime, client_id) == [made.account]
        dispatch(made.runtime, client_id, made.account)
    # The accounts with work, the leases that ran out, the claim, and the claim that finds nothing.
    assert len(found) == 4
    for statement, plan in found:
        # Few messages are being sent at a time, so looking for lost leases among those is as good.
        being_sent = "lease_until" in statement and "due_at" not in statement and "ix_message_state" in plan
        assert "ix_message_due" in plan or being_sent, (statement, plan)
        if "ORDER BY message.due_at" in statement:
            assert "TEMP B-TREE" not in plan
            assert "Sort" not in plan


def looks_for_work(statement: str) -> bool:
    return statement.startswith("SELECT") and any(
        f"message.{part} <" in statement for part in ("due_at", "lease_until")
    )
