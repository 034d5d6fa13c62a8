"""Small integers for channels and event types, given out at the door so that later work is array work."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import sqlalchemy as sa

from fairlead.errors import InvalidInput
from fairlead.facts.model import Code
from fairlead.storage.locks import lock
from fairlead.work import Work

CHANNEL = "channel"
EVENT = "event"
MOST = 10_000
"""Names of one domain that a client may have: all of them are read at each ingestion and held in memory."""


def known_codes(work: Work, domain: str) -> dict[str, int]:
    """All codes of a domain by name."""
    rows = work.session.execute(sa.select(Code.name, Code.code).where(Code.domain == domain))
    return dict(rows.all())


def names_by_code(work: Work, domain: str) -> dict[int, str]:
    """All names of a domain by code."""
    return {code: name for name, code in known_codes(work, domain).items()}


def codes_for(work: Work, domain: str, names: Iterable[str]) -> Mapping[str, int]:
    """Codes of ``names``, giving out new ones where needed.

    Raises ``InvalidInput`` where the client would have more than :data:`MOST` names; none is given out then.
    """
    wanted = set(names)
    codes = known_codes(work, domain)
    if wanted <= codes.keys():
        return codes
    lock(work.session, f"codes/{work.client_id}/{domain}")
    codes = known_codes(work, domain)
    fresh = sorted(wanted - codes.keys())
    if len(codes) + len(fresh) > MOST:
        raise InvalidInput(
            f"a client has at most {MOST:,} names of the kind {domain!r}, these would be {len(codes) + len(fresh):,}",
            next_step="map the column that names a kind, not one whose value differs in each row",
        )
    start = max(codes.values(), default=-1) + 1
    given = {name: start + at for at, name in enumerate(fresh)}
    if given:  # whoever held the lock before may have given them out
        work.session.execute(
            sa.insert(Code), [{"domain": domain, "name": name, "code": code} for name, code in given.items()]
        )
    return codes | given
