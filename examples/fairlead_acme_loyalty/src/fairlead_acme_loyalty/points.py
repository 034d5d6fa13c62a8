"""What one can do with points."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence

import sqlalchemy as sa
from sqlalchemy.orm import Session

from fairlead.errors import InvalidInput
from fairlead_acme_loyalty.model import Balance

CHUNK = 5_000


def grant(session: Session, client_id: int, profile_id: int, points: int, now: dt.datetime) -> int:
    """Add ``points`` (negative to take away) and return the new balance. Refuses to go below zero."""
    balance = session.get(Balance, (client_id, profile_id))
    if balance is None:
        balance = Balance(client_id=client_id, profile_id=profile_id, points=0, changed_at=now)
        session.add(balance)
    if balance.points + points < 0:
        raise InvalidInput(f"only {balance.points} points are left", path=("points",))
    balance.points += points
    balance.changed_at = now
    session.flush()
    return balance.points


def balances(session: Session, client_id: int, profile_ids: Sequence[int]) -> Mapping[int, int]:
    """Points by profile id, for those who have any; one statement per :data:`CHUNK` people."""
    found: dict[int, int] = {}
    for start in range(0, len(profile_ids), CHUNK):
        some = [int(profile_id) for profile_id in profile_ids[start : start + CHUNK]]
        chosen = sa.select(Balance.profile_id, Balance.points).where(
            Balance.client_id == client_id, Balance.profile_id.in_(some)
        )
        for profile_id, points in session.execute(chosen):
            found[profile_id] = points
    return found


def outstanding(session: Session, client_id: int) -> int:
    """Points that all people of the client hold together."""
    total = session.scalar(sa.select(sa.func.sum(Balance.points)).where(Balance.client_id == client_id))
    return int(total or 0)
