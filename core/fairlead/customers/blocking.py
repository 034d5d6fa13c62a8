"""Values that never link two people: a shop's own phone, a test account."""

from __future__ import annotations

from fairlead.customers.identifiers import normalise
from fairlead.customers.model import BlockedIdentity
from fairlead.errors import InvalidInput
from fairlead.governance.audit import record
from fairlead.work import Work


def block_identity(work: Work, kind: str, value: str, reason: str, *, scope: str = "") -> BlockedIdentity:
    """Let a value link nobody from now on; people it has linked stay as they are until their merge is undone.

    ``scope`` is the app or shop that the value is valid in; the same value in another is somebody else's.
    """
    comparable = normalise(kind, value)
    if comparable is None:
        raise InvalidInput(f"this is no {kind}", path=("value",))
    blind = work.vault.blind(work.client_id, kind, comparable)
    row = work.session.get(BlockedIdentity, (work.client_id, kind, scope, blind))
    if row is None:
        row = BlockedIdentity(
            client_id=work.client_id, kind=kind, scope=scope, blind=blind, reason=reason[:120], created_at=work.now
        )
        work.session.add(row)
        work.session.flush()
        record(work, "identity.block", "identity", kind, after={"kind": kind, "reason": reason})
    return row


def unblock_identity(work: Work, kind: str, value: str, *, scope: str = "") -> bool:
    """Let a value link people again; false when it was not blocked."""
    comparable = normalise(kind, value)
    blind = work.vault.blind(work.client_id, kind, comparable or value)
    row = work.session.get(BlockedIdentity, (work.client_id, kind, scope, blind))
    if row is None:
        return False
    work.session.delete(row)
    record(work, "identity.unblock", "identity", kind, before={"kind": kind, "reason": row.reason})
    return True
