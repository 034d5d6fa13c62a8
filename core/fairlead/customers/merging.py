"""Two profiles turn out to be one person, and back again.

A merge re-points the absorbed profile's identities and everything that follows them; the record keeps what moved.
Because each fact carries the identity that brought it, undoing a merge gives every fact, older or newer than the merge,
to the side its identity belongs to. Merges are undone in any order: the later ones of the same survivor are taken apart
first and put together again after, so that what each gave is reckoned from what was there without the one undone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.orm.attributes import set_committed_value

import fairlead.audiences.follow
import fairlead.facts.follow
import fairlead.journeys.follow
import fairlead.messaging.follow
from fairlead.customers.carrying import join_consents, part_consents
from fairlead.customers.heirs import LOOKUP, cut, heir, surviving
from fairlead.customers.locking import lock_identities
from fairlead.customers.model import Identity, Profile, ProfileMerge
from fairlead.errors import Conflict, InvalidInput, NotFound
from fairlead.governance.audit import record
from fairlead.storage import bulk, ids
from fairlead.storage.types import to_millis
from fairlead.work import Work

FILLED = ("name", "gender", "birth_date", "region", "language", "zone")
WRITTEN = ("id", "state", "merged_into", *FILLED)
MERGEABLE = ("active", "restricted")
QUIET = {"synchronize_session": False}


def merge_profiles(
    work: Work, pairs: Sequence[tuple[int, int]], *, rule: str, evidence: Sequence[Mapping[str, Any]]
) -> list[ProfileMerge]:
    """Let the first of each pair absorb the second; ``evidence`` says for each pair what showed that they are one.

    Fields the survivor lacks are filled from the absorbed; where consents differ, a withdrawal wins, and who absorbs a
    restricted profile becomes restricted. Raises :class:`NotFound` for an unknown profile, :class:`InvalidInput` for a
    profile with itself or on both sides, and :class:`Conflict` for one that was merged or erased. Costs a constant
    number of statements per :data:`~fairlead.customers.heirs.LOOKUP` pairs.
    """
    lock_identities(work)
    numbers = ids.reserve(work.session.connection(), len(pairs)).tolist()
    merges = [
        ProfileMerge(
            id=number,
            survivor_id=survivor_id,
            absorbed_id=absorbed_id,
            rule=rule,
            evidence=dict(told),
            merged_at=work.now,
        )
        for number, (survivor_id, absorbed_id), told in zip(numbers, pairs, evidence, strict=True)
    ]
    profiles = _profiles(work, merges)
    _check(merges, profiles)
    for start in range(0, len(merges), LOOKUP):
        _join(work, merges[start : start + LOOKUP], profiles)
    work.session.add_all(merges)
    work.session.flush()
    return merges


def split_profile(work: Work, merge_id: int) -> ProfileMerge:
    """Undo one merge: both sides get back their identities, and every fact goes with the identity that brought it.

    Fields, attributes and tags that the survivor took over go back too, unless they were changed since. The two are
    never merged again by themselves. Raises :class:`NotFound` for an unknown merge, and :class:`Conflict` when it was
    undone already or when a later merge absorbed the survivor (undo that one first).
    """
    lock_identities(work)
    merge = work.session.get(ProfileMerge, merge_id)
    if merge is None:
        raise NotFound("there is no such merge", path=("mergeId",))
    if merge.undone_at is not None:
        raise Conflict("this merge was undone already", path=("mergeId",))
    later = _later(work, merge)
    profiles = _profiles(work, [merge, *later])
    if profiles[merge.survivor_id].state not in MERGEABLE:
        raise Conflict(
            "the surviving profile was merged again since", path=("mergeId",), next_step="undo the later merge first"
        )
    for one in reversed(later):
        _part(work, one, profiles, for_good=False)
    _part(work, merge, profiles, for_good=True)
    for one in later:
        _join(work, [one], profiles)
    merge.undone_at = work.now
    work.session.flush()
    record(
        work,
        "profile.split",
        "profile",
        str(merge.survivor_id),
        before={"merged": merge.absorbed_id},
        after={"split": merge.absorbed_id, "merge": merge.id},
    )
    return merge


def parted(work: Work) -> list[tuple[int, int]]:
    """Pairs of profiles, as they go on now, whose merge somebody undid."""
    undone = sa.select(ProfileMerge.survivor_id, ProfileMerge.absorbed_id).where(ProfileMerge.undone_at.is_not(None))
    pairs = work.session.execute(undone).all()
    goes_on = surviving(work, (number for pair in pairs for number in pair))
    return [(goes_on[one], goes_on[other]) for one, other in pairs if one in goes_on and other in goes_on]


def _later(work: Work, merge: ProfileMerge) -> Sequence[ProfileMerge]:
    """What the survivor absorbed after this, and still holds; the oldest first."""
    live = sa.select(ProfileMerge).where(
        ProfileMerge.survivor_id == merge.survivor_id, ProfileMerge.undone_at.is_(None)
    )
    merges = work.session.scalars(live.order_by(ProfileMerge.merged_at, ProfileMerge.id)).all()
    return merges[merges.index(merge) + 1 :]


def _profiles(work: Work, merges: Sequence[ProfileMerge]) -> dict[int, Profile]:
    found: dict[int, Profile] = {}
    for part in cut(number for merge in merges for number in (merge.survivor_id, merge.absorbed_id)):
        query = sa.select(Profile).where(Profile.id.in_(part)).execution_options(populate_existing=True)
        found.update((row.id, row) for row in work.session.scalars(query))
    return found


def _check(merges: Sequence[ProfileMerge], profiles: Mapping[int, Profile]) -> None:
    survivors, absorbed = {merge.survivor_id for merge in merges}, {merge.absorbed_id for merge in merges}
    if len(absorbed) != len(merges) or survivors & absorbed:
        raise InvalidInput("a profile cannot absorb itself or be absorbed twice", path=("absorbedId",))
    for merge in merges:
        for name, profile_id in (("survivorId", merge.survivor_id), ("absorbedId", merge.absorbed_id)):
            if profile_id not in profiles:
                raise NotFound("there is no such profile", path=(name,))
            if profiles[profile_id].state not in MERGEABLE:
                raise Conflict(f"the profile is {profiles[profile_id].state}", path=(name,))


def _join(work: Work, merges: Sequence[ProfileMerge], profiles: Mapping[int, Profile]) -> None:
    """Put together, in this order, and note in each merge what moved."""
    absorbed = [merge.absorbed_id for merge in merges]
    identities: dict[int, list[int]] = {number: [] for number in absorbed}
    for number, profile_id in work.session.execute(
        sa.select(Identity.id, Identity.profile_id).where(Identity.profile_id.in_(absorbed)).order_by(Identity.id)
    ):
        identities[profile_id].append(number)
    own = [_absorb_fields(profiles[merge.survivor_id], profiles[merge.absorbed_id]) for merge in merges]
    # First, because the rest finds the survivor in the absorbed profile's row.
    _write(work, [profiles[number] for merge in merges for number in (merge.survivor_id, merge.absorbed_id)])
    work.session.execute(
        sa.update(Identity).where(Identity.profile_id.in_(absorbed)).values(profile_id=heir(Identity)),
        execution_options=QUIET,
    )
    fairlead.facts.follow.absorb(work, absorbed)
    tags = fairlead.audiences.follow.absorb(work, [(merge.survivor_id, merge.absorbed_id) for merge in merges])
    enrolments = fairlead.journeys.follow.absorb(work, absorbed)
    messages = fairlead.messaging.follow.absorb(work, absorbed)
    consents = join_consents(work, merges)
    for merge, fields in zip(merges, own, strict=True):
        merge.moved = {
            **fields,
            "identities": identities[merge.absorbed_id],
            "tags": tags.get(merge.absorbed_id, []),
            "enrolments": enrolments.get(merge.absorbed_id, []),
            "messages": messages.get(merge.absorbed_id, []),
            "consents": consents[merge.absorbed_id],
        }


def _absorb_fields(survivor: Profile, absorbed: Profile) -> dict[str, Any]:
    """Change both as they are read, not as they are to be flushed: a flush writes row by row what differs by row."""
    states = [survivor.state, absorbed.state]
    filled = [name for name in FILLED if getattr(survivor, name) is None and getattr(absorbed, name) is not None]
    for name in filled:
        set_committed_value(survivor, name, getattr(absorbed, name))
    added = [key for key in absorbed.attributes if key not in survivor.attributes]
    set_committed_value(survivor, "attributes", {**absorbed.attributes, **survivor.attributes})
    if absorbed.state == "restricted":
        set_committed_value(survivor, "state", "restricted")
    set_committed_value(absorbed, "state", "merged")
    set_committed_value(absorbed, "merged_into", survivor.id)
    return {"filled": filled, "attributes": added, "states": states}


def _write(work: Work, profiles: Sequence[Profile]) -> None:
    """Store what :func:`_absorb_fields` changed, which never empties a field."""
    for profile in profiles:
        set_committed_value(profile, "changed_at", work.now)
    each = list({profile.id: profile for profile in profiles}.values())
    columns: dict[str, list[Any]] = {name: [getattr(profile, name) for profile in each] for name in WRITTEN}
    columns["birth_date"] = [profile.birth_date and profile.birth_date.isoformat() for profile in each]
    columns["attributes"] = [orjson.dumps(profile.attributes).decode() for profile in each]
    columns["changed_at"] = [to_millis(work.now)] * len(each)
    bulk.update(work.session, Profile, columns)


def _part(work: Work, merge: ProfileMerge, profiles: Mapping[int, Profile], *, for_good: bool) -> None:
    """Take apart what :func:`_join` put together, when nothing was joined to the survivor after it."""
    survivor, absorbed, moved = profiles[merge.survivor_id], profiles[merge.absorbed_id], merge.moved
    fairlead.facts.follow.give_back(work, survivor.id, absorbed.id, moved["identities"])
    for part in cut(moved["identities"]):
        work.session.execute(
            sa.update(Identity).where(Identity.id.in_(part)).values(profile_id=absorbed.id), execution_options=QUIET
        )
    fairlead.audiences.follow.give_back(work, survivor.id, absorbed.id, moved["tags"])
    fairlead.journeys.follow.give_back(work, moved["enrolments"], absorbed.id)
    fairlead.messaging.follow.give_back(work, moved["messages"], absorbed.id)
    part_consents(work, merge, for_good=for_good)
    for name in moved["filled"]:
        if _plain(work, survivor, name) == _plain(work, absorbed, name):
            setattr(survivor, name, None)
    gone = {key for key in moved["attributes"] if survivor.attributes.get(key) == absorbed.attributes.get(key)}
    survivor.attributes = {key: value for key, value in survivor.attributes.items() if key not in gone}
    own, other = moved["states"]
    if other == "restricted":
        survivor.state = own
    absorbed.state, absorbed.merged_into = other, None
    survivor.changed_at = absorbed.changed_at = work.now
    work.session.flush()


def _plain(work: Work, profile: Profile, name: str) -> Any:
    """A field's value, opened: the same name may be sealed by two keys."""
    value = getattr(profile, name)
    return value if value is None or name != "name" else work.vault.open(work.client_id, "profile.name", value)
