"""Blocking a value leaves no trace by which the value could be found again."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from fairlead.customers.blocking import block_identity, unblock_identity
from fairlead.customers.identifiers import normalise
from fairlead.governance.model import AuditEntry
from fairlead.runtime import Fairlead

PHONE = "13800138000"


def test_the_audit_log_names_the_kind_and_never_the_blind_index(runtime: Fairlead, agency: Any) -> None:
    with runtime.work(agency.acme) as work:
        blind = block_identity(work, "phone", PHONE, "ours").blind
        assert unblock_identity(work, "phone", PHONE)
    assert blind == runtime.vault.blind(agency.acme, "phone", normalise("phone", PHONE) or "")
    with runtime.reading(agency.acme) as work:
        entries = work.session.scalars(
            sa.select(AuditEntry).where(AuditEntry.action.like("identity.%")).order_by(AuditEntry.number)
        ).all()
        told = [(entry.action, entry.object_id) for entry in entries]
        text = repr([[entry.object_id, entry.before, entry.after] for entry in entries])
    assert told == [("identity.block", "phone"), ("identity.unblock", "phone")]
    assert blind.hex() not in text
    assert PHONE not in text
