"""Rows that the API reads by queries of its own, for tests of the services behind it."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from fairlead.audiences.model import SegmentChange
from fairlead.clients.members import EMAIL
from fairlead.clients.model import Member
from fairlead.governance.model import AuditEntry, Job
from fairlead.storage.scope import ClientScope
from fairlead.work import Work


def audit_entries(work: Work, *, client_id: int | None = None, object_type: str | None = None) -> list[AuditEntry]:
    """A chain's entries, the newest first: the session's client's, else the named client's or the agency's."""
    query = sa.select(AuditEntry).order_by(AuditEntry.number.desc())
    if not isinstance(work.session.scope, ClientScope):
        query = query.where(AuditEntry.client_id == (client_id or 0))
    if object_type is not None:
        query = query.where(AuditEntry.object_type == object_type)
    return list(work.session.scalars(query))


def jobs_of(work: Work) -> list[Job]:
    """The client's jobs, the newest first."""
    return list(work.session.scalars(sa.select(Job).order_by(Job.id.desc())))


def segment_history(work: Work, segment_id: int) -> list[tuple[int, bool]]:
    """Who entered (true) or left, the newest first."""
    change = SegmentChange
    query = sa.select(change.profile_id, change.entered).where(change.segment_id == segment_id)
    rows: list[Any] = list(work.session.execute(query.order_by(change.at.desc(), change.profile_id.desc())))
    return [(row.profile_id, row.entered) for row in rows]


def address_of(work: Work, member: Member) -> str:
    """The member's address in clear."""
    return work.vault.open(0, EMAIL, member.email)
