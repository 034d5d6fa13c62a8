"""What a person's consents come to: a pure function of the proofs, kept in a table because every send asks it.

Per person, purpose and channel the newest word holds; of two words at one instant a withdrawal does. A withdrawal from
all channels (``*``) ends the grants for single channels that are not newer, until a newer word for all channels says
otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa

from fairlead.customers.heirs import cut
from fairlead.customers.model import Consent, ConsentRecord
from fairlead.storage import bulk, ids
from fairlead.work import Work

QUIET = {"synchronize_session": False}


def hold_again(work: Work, profile_ids: Iterable[int]) -> None:
    """Bring what holds for these people to what their proofs say; untouched where nothing changed."""
    for part in cut(profile_ids):
        wanted = {row[:3]: row[3:] for row in work.session.execute(_held(part))}
        kept, stale = set(), []
        for number, *row in work.session.execute(_known(part)):
            key, word = tuple(row[:3]), tuple(row[3:])
            if wanted.get(key) == word:
                kept.add(key)
            else:
                stale.append(number)
        for numbers in cut(stale):
            work.session.execute(sa.delete(Consent).where(Consent.id.in_(numbers)), execution_options=QUIET)
        new = [(*key, *word) for key, word in wanted.items() if key not in kept]
        names = ("profile_id", "purpose", "channel", "state", "at", "expires_at")
        columns: dict[str, Sequence[Any]] = dict(zip(names, zip(*new, strict=True), strict=True)) if new else {}
        if columns:
            bulk.insert(work.session, Consent, {"id": ids.reserve(work.session.connection(), len(new)), **columns})


def _known(profile_ids: Sequence[int]) -> sa.Select[Any]:
    at, ends = (sa.type_coerce(column, sa.BigInteger) for column in (Consent.at, Consent.expires_at))
    columns: Sequence[Any] = (Consent.id, Consent.profile_id, Consent.purpose, Consent.channel, Consent.state, at, ends)
    return sa.select(*columns).where(Consent.profile_id.in_(profile_ids))


def _held(profile_ids: Sequence[int]) -> sa.Select[Any]:
    """Profile, purpose, channel, state, instant and end of what holds."""
    record = ConsentRecord
    key = (record.profile_id, record.purpose, record.channel)
    # "withdrawn" comes after "granted", so at one instant it is the first of the falling order.
    newest_first = (record.at.desc(), record.state.desc(), record.id.desc())
    word = (
        sa.select(
            *key,
            record.state,
            sa.type_coerce(record.at, sa.BigInteger).label("at"),
            sa.type_coerce(record.expires_at, sa.BigInteger).label("ends"),
            sa.func.row_number().over(partition_by=key, order_by=newest_first).label("place"),
        )
        .where(record.profile_id.in_(profile_ids))
        .cte("word")
    )
    general = word.alias("general")
    ended = (
        sa.select(word.c.profile_id, word.c.purpose, sa.func.max(word.c.at).label("at"))
        .where(word.c.channel == "*", word.c.state == "withdrawn")
        .group_by(word.c.profile_id, word.c.purpose)
        .cte("ended")
    )
    over = sa.and_(word.c.channel != "*", word.c.state == "granted", sa.func.coalesce(ended.c.at, -1) >= word.c.at)
    return (
        sa.select(
            word.c.profile_id,
            word.c.purpose,
            word.c.channel,
            sa.case((over, "withdrawn"), else_=word.c.state),
            sa.case((over, ended.c.at), else_=word.c.at),
            sa.case((over, sa.null()), else_=word.c.ends),
        )
        .outerjoin(ended, sa.and_(ended.c.profile_id == word.c.profile_id, ended.c.purpose == word.c.purpose))
        .outerjoin(
            general,
            sa.and_(
                general.c.profile_id == word.c.profile_id,
                general.c.purpose == word.c.purpose,
                general.c.channel == "*",
                general.c.place == 1,
            ),
        )
        .where(word.c.place == 1, sa.not_(sa.and_(over, sa.func.coalesce(general.c.state, "") == "granted")))
    )
