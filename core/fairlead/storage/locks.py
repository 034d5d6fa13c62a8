"""A named lock for the rest of the transaction."""

from __future__ import annotations

import hashlib

import sqlalchemy as sa

from fairlead.storage.session import ScopedSession


def lock(session: ScopedSession, name: str) -> None:
    """Wait until nobody else holds ``name``, then hold it until the transaction ends.

    PostgreSQL takes an advisory lock; on SQLite a writing transaction is the only one already.
    """
    if session.is_postgresql:
        number = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big", signed=True)
        session.bare(sa.text("SELECT pg_advisory_xact_lock(:number)"), {"number": number})
