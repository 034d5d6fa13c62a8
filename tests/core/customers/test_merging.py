"""A merge can be undone: both sides are as they were, with what came since given to whom it belongs."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from fairlead.customers.consent import grant, withdraw
from fairlead.customers.linking import ClaimColumn
from fairlead.customers.merging import merge_profiles, split_profile
from fairlead.customers.model import Consent, ConsentRecord, Identity, Profile, ProfileMerge
from fairlead.customers.profiles import fill_profiles
from fairlead.errors import Conflict, InvalidInput, NotFound
from fairlead.facts.ingest import EventColumns, take_events
from fairlead.facts.model import Event
from fairlead.work import Work
from support.invariants import broken


def event(work: Work, source_id: str, claim: Mapping[str, str]) -> None:
    claims = [ClaimColumn(kind, [value]) for kind, value in claim.items()]
    take_events(work, "test", EventColumns([source_id], ["view"], ["app"], [1_700_000_000_000], claims))


def people(desk: Any) -> tuple[int, int]:
    """Two people: the first has a name and agreed to mail, the second has a gender and withdrew from everything."""
    with desk.runtime.work(desk.client) as work:
        one, two = desk.link(work, [{"member": "m1"}, {"openid": "o1"}]).profile_ids.tolist()
        fill_profiles(work, np.array([one]), {"name": ["王小明"], "attributes": ['{"a": 1, "both": 1}']})
        fill_profiles(work, np.array([two]), {"gender": ["female"], "attributes": ['{"b": 2, "both": 2}']})
        grant(work, one, "marketing", "email", source="form", evidence={})
        withdraw(work, two, "marketing", "*", source="phone", evidence={})
        grant(work, two, "sharing", "*", source="form", evidence={})
        event(work, "e1", {"member": "m1"})
        event(work, "e2", {"openid": "o1"})
    return one, two


def snapshot(desk: Any) -> dict[str, Any]:
    """Everything of everybody, by profile."""
    with desk.runtime.reading(desk.client) as work:
        rows = work.session.execute(
            sa.select(
                Profile.id, Profile.state, Profile.merged_into, Profile.gender, Profile.attributes, Profile.name
            ).order_by(Profile.id)
        ).all()
        profiles = [(*row[:5], row[5] and work.vault.open(work.client_id, "profile.name", row[5])) for row in rows]
        said = sa.select(Consent.profile_id, Consent.purpose, Consent.channel, Consent.state, Consent.at)
        return {
            "profiles": profiles,
            "identities": sorted(work.session.execute(sa.select(Identity.id, Identity.profile_id)).all()),
            "events": sorted(work.session.execute(sa.select(Event.fingerprint, Event.profile_id)).all()),
            "consents": sorted(work.session.execute(said).all()),
            "proofs": sorted(work.session.execute(sa.select(ConsentRecord.id, ConsentRecord.profile_id)).all()),
        }


def merge(desk: Any, one: int, two: int) -> int:
    with desk.runtime.work(desk.client) as work:
        return merge_profiles(work, [(one, two)], rule="by hand", evidence=[{}])[0].id


def test_merge_and_split_restore_both_sides(desk: Any) -> None:
    one, two = people(desk)
    before = snapshot(desk)
    merged = merge(desk, one, two)
    with desk.runtime.reading(desk.client) as work:
        survivor, absorbed = work.session.get_one(Profile, one), work.session.get_one(Profile, two)
        assert (survivor.gender, survivor.attributes) == ("female", {"a": 1, "b": 2, "both": 1})
        assert (absorbed.state, absorbed.merged_into) == ("merged", one)
        assert set(work.session.scalars(sa.select(Event.profile_id))) == {one}
        states = dict(
            work.session.execute(sa.select(Consent.channel, Consent.state).where(Consent.purpose == "marketing")).all()
        )
        assert states == {"email": "withdrawn", "*": "withdrawn"}
    assert broken(desk.runtime.database.engine) == {}
    with desk.runtime.work(desk.client) as work:
        split_profile(work, merged)
    assert snapshot(desk) == before
    assert broken(desk.runtime.database.engine) == {}


def test_what_came_later_goes_where_its_identity_goes(desk: Any, clock: Any) -> None:
    one, two = people(desk)
    merged = merge(desk, one, two)
    clock.advance(hours=1)
    with desk.runtime.work(desk.client) as work:
        event(work, "e3", {"openid": "o1"})
        event(work, "e4", {"member": "m1", "openid": "o1"})
        event(work, "e5", {"email": "new@example.com", "openid": "o1"})
        fill_profiles(work, np.array([one]), {"gender": ["male"]})
        withdraw(work, two, "sharing", "*", source="link of an old mail", evidence={})
    with desk.runtime.reading(desk.client) as work:
        assert set(work.session.scalars(sa.select(Event.profile_id))) == {one}
    with desk.runtime.work(desk.client) as work:
        split_profile(work, merged)
    with desk.runtime.reading(desk.client) as work:
        own = dict(work.session.execute(sa.select(Event.id, Event.profile_id).order_by(Event.id)).all())
        # e1 and e4 came by the member id, e5 by the new address, e2 and e3 by the openid.
        assert list(own.values()) == [one, two, two, one, one]
        assert work.session.get_one(Profile, one).gender == "male"
        assert work.session.get_one(Profile, two).gender == "female"
        sharing = sa.select(Consent.profile_id, Consent.state).where(Consent.purpose == "sharing")
        assert dict(work.session.execute(sharing).all()) == {one: "withdrawn", two: "withdrawn"}
    assert broken(desk.runtime.database.engine) == {}


def test_merges_are_undone_in_any_order_that_makes_sense(desk: Any) -> None:
    with desk.runtime.work(desk.client) as work:
        a, b, c = desk.link(work, [{"member": "a"}, {"member": "b"}, {"member": "c"}]).profile_ids.tolist()
    before = snapshot(desk)
    inner, outer = merge(desk, b, c), merge(desk, a, b)
    with desk.runtime.work(desk.client) as work, pytest.raises(Conflict, match="merged again"):
        split_profile(work, inner)
    for merge_id in (outer, inner):
        with desk.runtime.work(desk.client) as work:
            split_profile(work, merge_id)
    assert snapshot(desk) == before
    with desk.runtime.work(desk.client) as work:
        for merge_id, error in ((outer, Conflict), (999, NotFound)):
            with pytest.raises(error):
                split_profile(work, merge_id)
        assert work.session.scalars(sa.select(ProfileMerge.undone_at)).all() == [work.now, work.now]


def test_two_absorbed_by_one_split_on_their_own(desk: Any) -> None:
    with desk.runtime.work(desk.client) as work:
        a, b, c = desk.link(work, [{"member": "a"}, {"member": "b"}, {"member": "c"}]).profile_ids.tolist()
    before = snapshot(desk)
    first, second = merge(desk, a, b), merge(desk, a, c)
    for merge_id in (first, second):
        with desk.runtime.work(desk.client) as work:
            split_profile(work, merge_id)
    assert snapshot(desk) == before


@pytest.mark.parametrize("restricted", ["one", "two"])
def test_a_restricted_person_stays_restricted(desk: Any, restricted: str) -> None:
    one, two = people(desk)
    with desk.runtime.work(desk.client) as work:
        work.session.get_one(Profile, one if restricted == "one" else two).state = "restricted"
    before = snapshot(desk)
    merged = merge(desk, one, two)
    with desk.runtime.work(desk.client) as work:
        assert work.session.get_one(Profile, one).state == "restricted"
        split_profile(work, merged)
    assert snapshot(desk) == before


def test_only_two_living_people_of_this_client_merge(desk: Any) -> None:
    one, two = people(desk)
    with desk.runtime.work("bolt") as work:
        stranger = int(desk.link(work, [{"member": "x"}]).profile_ids[0])
    merge(desk, one, two)
    for pair, error in (((one, one), InvalidInput), ((one, stranger), NotFound), ((two, one), Conflict)):
        with pytest.raises(error):
            merge(desk, *pair)


def test_consent_the_newest_word_holds(desk: Any, clock: Any) -> None:
    with desk.runtime.work(desk.client) as work:
        person = int(desk.link(work, [{"member": "m"}]).profile_ids[0])

    def say(act: Any, channel: str) -> None:
        with desk.runtime.work(desk.client) as work:
            act(work, person, "marketing", channel, source="test", evidence={})

    def states() -> dict[str, str]:
        with desk.runtime.reading(desk.client) as work:
            return dict(work.session.execute(sa.select(Consent.channel, Consent.state)).all())

    say(grant, "email")
    say(withdraw, "email")  # in the same millisecond: the withdrawal wins
    assert states() == {"email": "withdrawn"}
    clock.advance(seconds=1)
    say(grant, "email")
    say(grant, "*")
    assert states() == {"email": "granted", "*": "granted"}
    clock.advance(seconds=1)
    say(withdraw, "*")
    assert states() == {"email": "withdrawn", "*": "withdrawn"}
    clock.advance(seconds=1)
    say(grant, "email")
    assert states() == {"email": "granted", "*": "withdrawn"}
    with desk.runtime.work(desk.client) as work, pytest.raises(InvalidInput):
        grant(work, person, "everything", "*", source="test", evidence={})
    with desk.runtime.reading(desk.client) as work:
        assert work.session.scalar(sa.select(sa.func.count()).select_from(ConsentRecord)) == 6
        assert clock.now - dt.timedelta(minutes=1) < work.session.scalars(sa.select(Consent.at)).first()
    assert broken(desk.runtime.database.engine) == {}
