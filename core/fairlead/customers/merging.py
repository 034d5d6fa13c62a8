"""Two profiles turn out to be one person, and back again.

A merge re-points the absorbed profile's identities and everything that follows them; the record keeps which identities
moved. Because each fact carries the identity that brought it, undoing a merge gives every fact, older or newer than the
merge, to the side its identity belongs to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

import fairlead.audiences.follow
import fairlead.facts.follow
import fairlead.journeys.follow
import fairlead.messaging.follow
from fairlead.customers.carrying import carry_consents, return_consents
from fairlead.customers.model import Identity, Profile, ProfileMerge
from fairlead.errors import Conflict, InvalidInput, NotFound
from fairlead.governance.audit import record
from fairlead.work import Work

FILLED = ("name", "gender", "birth_date", "region", "language", "zone")
MERGEABLE = ("active", "restricted")
QUIET = {"synchronize_session": False}


def merge_profiles(
    work: Work, pairs: Sequence[tuple[int, int]], *, rule: str, evidence: Mapping[str, Any]
) -> list[ProfileMerge]:
    """Let the first of each pair absorb the second.

    Fields the survivor lacks are filled from the absorbed; where consents differ, a withdrawal wins, and who absorbs a
    restricted profile becomes restricted. Raises :class:`NotFound` for an unknown profile, :class:`InvalidInput` for a
    profile with itself and :class:`Conflict` for one that was merged or erased.
    """
    wanted = {profile_id for pair in pairs for profile_id in pair}
    profiles = {row.id: row for row in work.session.scalars(sa.select(Profile).where(Profile.id.in_(wanted)))}
    _check(pairs, profiles)
    moved: dict[int, list[int]] = {absorbed: [] for _, absorbed in pairs}
    for identity_id, profile_id in work.session.execute(
        sa.select(Identity.id, Identity.profile_id).where(Identity.profile_id.in_(moved))
    ):
        moved[profile_id].append(identity_id)
    merges = []
    for survivor_id, absorbed_id in pairs:
        survivor, absorbed = profiles[survivor_id], profiles[absorbed_id]
        states = [survivor.state, absorbed.state]
        filled, added = _absorb_fields(work, survivor, absorbed)
        carried = _follow(work, absorbed_id, survivor_id)
        merge = ProfileMerge(
            survivor_id=survivor_id,
            absorbed_id=absorbed_id,
            rule=rule,
            evidence=dict(evidence),
            moved={
                "identities": moved[absorbed_id],
                "filled": filled,
                "attributes": added,
                "states": states,
                **carried,
            },
            merged_at=work.now,
        )
        merges.append(merge)
    work.session.add_all(merges)
    work.session.flush()
    return merges


def _check(pairs: Sequence[tuple[int, int]], profiles: Mapping[int, Profile]) -> None:
    for pair in pairs:
        if pair[0] == pair[1]:
            raise InvalidInput("a profile cannot absorb itself", path=("absorbedId",))
        for name, profile_id in zip(("survivorId", "absorbedId"), pair, strict=True):
            if profile_id not in profiles:
                raise NotFound("there is no such profile", path=(name,))
            if profiles[profile_id].state not in MERGEABLE:
                raise Conflict(f"the profile is {profiles[profile_id].state}", path=(name,))


def _absorb_fields(work: Work, survivor: Profile, absorbed: Profile) -> tuple[list[str], list[str]]:
    filled = [name for name in FILLED if getattr(survivor, name) is None and getattr(absorbed, name) is not None]
    for name in filled:
        setattr(survivor, name, getattr(absorbed, name))
    added = [key for key in absorbed.attributes if key not in survivor.attributes]
    survivor.attributes = {**absorbed.attributes, **survivor.attributes}
    survivor.changed_at = absorbed.changed_at = work.now
    if absorbed.state == "restricted":
        survivor.state = "restricted"
    absorbed.state, absorbed.merged_into = "merged", survivor.id
    return filled, added


def _follow(work: Work, absorbed_id: int, survivor_id: int) -> dict[str, Any]:
    """Move everything that belongs to the absorbed profile; the answer is what cannot be told by its identity later."""
    work.session.execute(
        sa.update(Identity).where(Identity.profile_id == absorbed_id).values(profile_id=survivor_id),
        execution_options=QUIET,
    )
    fairlead.facts.follow.absorb(work, absorbed_id, survivor_id)
    fairlead.audiences.follow.absorb(work, absorbed_id, survivor_id)
    fairlead.journeys.follow.absorb(work, absorbed_id, survivor_id)
    return {
        "messages": fairlead.messaging.follow.absorb(work, absorbed_id, survivor_id),
        "consents": carry_consents(work, absorbed_id, survivor_id),
    }


def split_profile(work: Work, merge_id: int) -> ProfileMerge:
    """Undo one merge: both sides get back their identities, and every fact goes with the identity that brought it.

    Fields and attributes that the survivor took over go back too, unless they were changed since. Raises
    :class:`NotFound` for an unknown merge, and :class:`Conflict` when it was undone already or when a later merge
    absorbed the survivor (undo that one first).
    """
    merge = work.session.get(ProfileMerge, merge_id)
    if merge is None:
        raise NotFound("there is no such merge", path=("mergeId",))
    if merge.undone_at is not None:
        raise Conflict("this merge was undone already", path=("mergeId",))
    survivor = work.session.get_one(Profile, merge.survivor_id)
    absorbed = work.session.get_one(Profile, merge.absorbed_id)
    if survivor.state not in MERGEABLE:
        raise Conflict(
            "the surviving profile was merged again since", path=("mergeId",), next_step="undo the later merge first"
        )
    identities = merge.moved["identities"]
    fairlead.facts.follow.give_back(work, survivor.id, absorbed.id, identities)
    work.session.execute(
        sa.update(Identity).where(Identity.id.in_(identities)).values(profile_id=absorbed.id), execution_options=QUIET
    )
    fairlead.messaging.follow.give_back(work, merge.moved["messages"], absorbed.id)
    return_consents(work, merge.moved["consents"], survivor.id, absorbed.id)
    for name in merge.moved["filled"]:
        if getattr(survivor, name) == getattr(absorbed, name):
            setattr(survivor, name, None)
    gone = {key for key in merge.moved["attributes"] if survivor.attributes.get(key) == absorbed.attributes.get(key)}
    survivor.attributes = {key: value for key, value in survivor.attributes.items() if key not in gone}
    own, other = merge.moved["states"]
    if other == "restricted":
        survivor.state = own
    absorbed.state, absorbed.merged_into = other, None
    survivor.changed_at = absorbed.changed_at = merge.undone_at = work.now
    work.session.flush()
    record(
        work,
        "profile.split",
        "profile",
        str(survivor.id),
        before={"merged": absorbed.id},
        after={"split": absorbed.id, "merge": merge.id},
    )
    return merge
