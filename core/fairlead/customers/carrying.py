"""What consents do when two profiles become one, and when they become two again.

While merged, a withdrawal on either side holds for the person. The merge keeps what both sides had, so that a split
gives each its own words back; a withdrawal that came in between then holds for both, since nobody knows whose it was.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from fairlead.customers.model import Consent, ConsentRecord
from fairlead.storage.types import from_millis
from fairlead.work import Work

QUIET = {"synchronize_session": False}
LOOKUP = 5000
Key = tuple[str, str]
Word = tuple[str, int, int | None]


def carry_consents(work: Work, absorbed_id: int, survivor_id: int) -> dict[str, Any]:
    """Let the survivor hold the consents of both, and move the proofs; answers what :func:`return_consents` needs."""
    own, other = _words(work, survivor_id), _words(work, absorbed_id)
    records = _record_ids(work, absorbed_id)
    joined = dict(own)
    for key, word in other.items():
        if key not in own or (word[0] == "withdrawn" and own[key][0] == "granted"):
            joined[key] = word
    _write(work, absorbed_id, {}, other)
    _write(work, survivor_id, joined, own)
    end_older_grants(work, [survivor_id])
    _move_records(work, records, survivor_id)
    after = _words(work, survivor_id)
    return {"own": _dump(own), "other": _dump(other), "joined": _dump(after), "records": records}


def return_consents(work: Work, carried: Mapping[str, Any], survivor_id: int, absorbed_id: int) -> None:
    """Give both sides the consents they had before, and keep what was said since."""
    own, other, joined = (_load(carried[name]) for name in ("own", "other", "joined"))
    now = _words(work, survivor_id)
    since = {key: word for key, word in now.items() if joined.get(key) != word}
    withdrawn = {key: word for key, word in since.items() if word[0] == "withdrawn"}
    _write(work, survivor_id, own | since, now)
    _write(work, absorbed_id, other | withdrawn, {})
    _move_records(work, carried["records"], absorbed_id)
    for (purpose, channel), (state, at, _) in withdrawn.items():
        mark = f"split/{survivor_id}/{absorbed_id}/{purpose}/{channel}/{at}"
        proof = ConsentRecord(
            fingerprint=hashlib.blake2b(mark.encode(), digest_size=16).digest(),
            profile_id=absorbed_id,
            purpose=purpose,
            channel=channel,
            state=state,
            at=from_millis(at),
            source="split of a merge",
            evidence={"profile": survivor_id},
        )
        work.session.add(proof)


def end_older_grants(work: Work, profile_ids: list[int]) -> None:
    """Where a word for all channels withdrew, withdraw the grants for single channels that are not newer."""
    general = aliased(Consent)
    ended = (
        sa.select(general.at)
        .where(
            general.profile_id == Consent.profile_id,
            general.purpose == Consent.purpose,
            general.channel == "*",
            general.state == "withdrawn",
            general.at >= Consent.at,
        )
        .scalar_subquery()
    )
    for start in range(0, len(profile_ids), LOOKUP):
        work.session.execute(
            sa.update(Consent)
            .where(
                Consent.profile_id.in_(profile_ids[start : start + LOOKUP]),
                Consent.channel != "*",
                Consent.state == "granted",
                ended.is_not(None),
            )
            .values(state="withdrawn", at=ended),
            execution_options=QUIET,
        )


def _words(work: Work, profile_id: int) -> dict[Key, Word]:
    at, until = (sa.type_coerce(column, sa.BigInteger) for column in (Consent.at, Consent.expires_at))
    rows = work.session.execute(
        sa.select(Consent.purpose, Consent.channel, Consent.state, at, until).where(Consent.profile_id == profile_id)
    )
    return {(purpose, channel): (state, said, ends) for purpose, channel, state, said, ends in rows}


def _write(work: Work, profile_id: int, wanted: Mapping[Key, Word], known: Mapping[Key, Word]) -> None:
    """Make the profile's consents the wanted ones; ``known`` is what it has."""
    for purpose, channel in [key for key, word in known.items() if wanted.get(key) != word]:
        work.session.execute(
            sa.delete(Consent).where(
                Consent.profile_id == profile_id, Consent.purpose == purpose, Consent.channel == channel
            ),
            execution_options=QUIET,
        )
    for (purpose, channel), word in wanted.items():
        if known.get((purpose, channel)) != word:
            state, at, until = word
            ends = None if until is None else from_millis(until)
            work.session.add(
                Consent(
                    profile_id=profile_id,
                    purpose=purpose,
                    channel=channel,
                    state=state,
                    at=from_millis(at),
                    expires_at=ends,
                )
            )
    work.session.flush()


def _record_ids(work: Work, profile_id: int) -> list[int]:
    found = sa.select(ConsentRecord.id).where(ConsentRecord.profile_id == profile_id).order_by(ConsentRecord.id)
    return list(work.session.scalars(found))


def _move_records(work: Work, record_ids: list[int], profile_id: int) -> None:
    work.session.execute(
        sa.update(ConsentRecord).where(ConsentRecord.id.in_(record_ids)).values(profile_id=profile_id),
        execution_options=QUIET,
    )


def _dump(words: Mapping[Key, Word]) -> list[list[Any]]:
    return [[*key, *word] for key, word in sorted(words.items())]


def _load(rows: Iterable[list[Any]]) -> dict[Key, Word]:
    return {(purpose, channel): (state, at, until) for purpose, channel, state, at, until in rows}
