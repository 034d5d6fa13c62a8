"""What consents do when two profiles become one, and when they become two again.

The proofs move with the person. Where one side had withdrawn what the other had agreed to, the withdrawal is restated
at the merge, so that it holds until the person says otherwise after it: the merge may be wrong, and a message may not.
A split takes the restatement back and gives each side its own proofs; a withdrawal that came in between then holds for
both, since nobody knows whose it was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import orjson
import sqlalchemy as sa

from fairlead.customers.heirs import cut, heir
from fairlead.customers.holding import QUIET, hold_again
from fairlead.customers.model import Consent, ConsentRecord, ProfileMerge
from fairlead.facts.fingerprint import fingerprints
from fairlead.storage import bulk, ids
from fairlead.storage.types import to_millis
from fairlead.work import Work

RESTATED = "merge"
COPIED = "split of a merge"
Key = tuple[str, str]
Words = dict[Key, str]


def join_consents(work: Work, merges: Sequence[ProfileMerge]) -> dict[int, dict[str, list[int]]]:
    """Move the proofs of the absorbed, who know their survivor already; what :func:`part_consents` needs, by them."""
    people = [number for merge in merges for number in (merge.survivor_id, merge.absorbed_id)]
    moved: dict[int, list[int]] = {merge.absorbed_id: [] for merge in merges}
    for part in cut(moved):
        query = sa.select(ConsentRecord.id, ConsentRecord.profile_id).where(ConsentRecord.profile_id.in_(part))
        for number, profile_id in work.session.execute(query.order_by(ConsentRecord.id)):
            moved[profile_id].append(number)
    restated = _restate(work, merges, _words(work, people))
    for part in cut(moved):
        work.session.execute(
            sa.update(ConsentRecord).where(ConsentRecord.profile_id.in_(part)).values(profile_id=heir(ConsentRecord)),
            execution_options=QUIET,
        )
    hold_again(work, people)
    return {number: {"moved": records, "restated": restated.get(number, [])} for number, records in moved.items()}


def part_consents(work: Work, merge: ProfileMerge, *, for_good: bool) -> None:
    """Give the absorbed its proofs back; ``for_good`` says what was withdrawn in between to it as well."""
    carried = merge.moved["consents"]
    for numbers in cut(carried["restated"]):
        work.session.execute(sa.delete(ConsentRecord).where(ConsentRecord.id.in_(numbers)), execution_options=QUIET)
    for numbers in cut(carried["moved"]):
        work.session.execute(
            sa.update(ConsentRecord).where(ConsentRecord.id.in_(numbers)).values(profile_id=merge.absorbed_id),
            execution_options=QUIET,
        )
    if for_good:
        _copy_withdrawals(work, merge)
    hold_again(work, (merge.survivor_id, merge.absorbed_id))


def _words(work: Work, profile_ids: Sequence[int]) -> dict[int, Words]:
    found: dict[int, Words] = {}
    for part in cut(profile_ids):
        columns = (Consent.profile_id, Consent.purpose, Consent.channel, Consent.state)
        for profile_id, purpose, channel, state in work.session.execute(
            sa.select(*columns).where(Consent.profile_id.in_(part))
        ):
            found.setdefault(profile_id, {})[purpose, channel] = state
    return found


def _restate(work: Work, merges: Sequence[ProfileMerge], words: Mapping[int, Words]) -> dict[int, list[int]]:
    """Write the withdrawals that the other side would overrule as words of the merge; ids by absorbed profile."""
    known = {number: dict(own) for number, own in words.items()}
    rows: list[tuple[ProfileMerge, Key]] = []
    for merge in merges:
        own, other = known.setdefault(merge.survivor_id, {}), known.get(merge.absorbed_id, {})
        contested = sorted(_overruled(own, other) | _overruled(other, own))
        rows += ((merge, key) for key in contested)
        own.update({key: state for key, state in other.items() if own.get(key) != "withdrawn"})
    numbers = ids.reserve(work.session.connection(), len(rows)).tolist()
    marks = [f"{merge.id}/{purpose}/{channel}" for merge, (purpose, channel) in rows]
    columns: bulk.Columns = {
        "id": numbers,
        "fingerprint": fingerprints(RESTATED, marks),
        "profile_id": [merge.survivor_id for merge, _ in rows],
        "purpose": [purpose for _, (purpose, _) in rows],
        "channel": [channel for _, (_, channel) in rows],
        "state": ["withdrawn"] * len(rows),
        "at": [to_millis(merge.merged_at) for merge, _ in rows],
        "source": [RESTATED] * len(rows),
        "text_version": [""] * len(rows),
        "evidence": [orjson.dumps({"merge": merge.id}).decode() for merge, _ in rows],
    }
    bulk.insert(work.session, ConsentRecord, columns)
    found: dict[int, list[int]] = {}
    for (merge, _), number in zip(rows, numbers, strict=True):
        found.setdefault(merge.absorbed_id, []).append(number)
    return found


def _overruled(one: Words, other: Words) -> set[Key]:
    """What one side withdrew while the other agrees to the same, or to a part of it."""
    agreed = {key for key, state in other.items() if state == "granted"}
    purposes = {purpose for purpose, _ in agreed}
    return {
        key
        for key, state in one.items()
        if state == "withdrawn" and (key in agreed or (key[1] == "*" and key[0] in purposes))
    }


def _copy_withdrawals(work: Work, merge: ProfileMerge) -> None:
    """Say to the absorbed profile what was withdrawn by the survivor since the merge."""
    found = work.session.execute(
        sa.select(
            ConsentRecord.purpose, ConsentRecord.channel, sa.func.max(sa.type_coerce(ConsentRecord.at, sa.BigInteger))
        )
        .where(
            ConsentRecord.profile_id == merge.survivor_id,
            ConsentRecord.state == "withdrawn",
            ConsentRecord.at > merge.merged_at,
            ConsentRecord.source != RESTATED,
        )
        .group_by(ConsentRecord.purpose, ConsentRecord.channel)
    ).all()
    marks = [f"{merge.id}/{purpose}/{channel}/{at}" for purpose, channel, at in found]
    columns: bulk.Columns = {
        "id": ids.reserve(work.session.connection(), len(found)),
        "fingerprint": fingerprints(COPIED, marks),
        "profile_id": [merge.absorbed_id] * len(found),
        "purpose": [purpose for purpose, _, _ in found],
        "channel": [channel for _, channel, _ in found],
        "state": ["withdrawn"] * len(found),
        "at": [at for _, _, at in found],
        "source": [COPIED] * len(found),
        "text_version": [""] * len(found),
        "evidence": [orjson.dumps({"profile": merge.survivor_id}).decode()] * len(found),
    }
    bulk.insert(work.session, ConsentRecord, columns, ignore_known=True)
