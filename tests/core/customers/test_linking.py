"""Who is one person: held to a slow union-find in any order and batches, and never glued by a shared value."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fairlead.customers.blocking import block_identity, unblock_identity
from fairlead.customers.linking import SHARED_LIMIT, ClaimColumn, link
from fairlead.customers.merging import merge_profiles, split_profile
from fairlead.customers.model import BlockedIdentity, Identity, Profile, ProfileMerge
from fairlead.governance.model import AuditEntry
from fairlead.runtime import Fairlead
from fairlead.storage.scope import ClientScope
from fairlead.work import Work
from support.invariants import broken

STRONG, WEAK = ("member", "openid", "email"), "device"
BLOCKED = ("member", "m0")
SLOW = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
VALUES = {
    "member": st.sampled_from(["m0", "m1", "m2", "m3"]),
    "openid": st.sampled_from(["o1", "o2", "o3", "o4"]),
    "email": st.sampled_from(["a@example.com", "b@example.com", "c@example.com"]),
    WEAK: st.sampled_from(["d1", "d2"]),
}
ROW = st.fixed_dictionaries({}, optional=VALUES)
Row = Mapping[str, str]
Item = tuple[str, str]


def partition(rows: Iterable[Row]) -> set[frozenset[Item]]:
    """Strong identities by person, as a slow model joins them: everything strong and not blocked in one row."""
    parent: dict[Item, Item] = {}

    def root(item: Item) -> Item:
        while parent.setdefault(item, item) != item:
            item = parent[item]
        return item

    for row in rows:
        items = [(kind, value) for kind, value in row.items() if kind != WEAK and (kind, value) != BLOCKED]
        for item in items:
            parent[root(item)] = root(items[0])
    groups: dict[Item, set[Item]] = defaultdict(set)
    for item in parent:
        groups[root(item)].add(item)
    return {frozenset(group) for group in groups.values()}


def stored(work: Work) -> dict[Item, int]:
    """Profile by identity, opened."""
    return {
        (row.kind, work.vault.open(work.client_id, "identity.value", row.value)): row.profile_id
        for row in work.session.scalars(sa.select(Identity))
    }


def groups(found: Mapping[Item, int]) -> set[frozenset[Item]]:
    people: dict[int, set[Item]] = defaultdict(set)
    for item, profile in found.items():
        if item[0] != WEAK:
            people[profile].add(item)
    return {frozenset(group) for group in people.values()}


@SLOW
@given(batches=st.lists(st.lists(ROW, max_size=5), min_size=1, max_size=4), data=st.data())
def test_any_order_and_any_batches_give_the_model_s_people(desk: Any, batches: list[list[Row]], data: Any) -> None:
    rows = [row for batch in batches for row in batch]
    wanted = partition(rows)
    other = data.draw(st.permutations(rows))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(rows)), max_size=3)))
    ends = [0, *cuts, len(rows)]
    recut = [other[start:end] for start, end in pairwise(ends)]
    for plan in (batches, recut):
        with desk.runtime.reading(desk.client) as work:
            block_identity(work, *BLOCKED, "a test account")
            for batch in plan:
                linked = desk.link(work, batch)
                found = stored(work)
                active = set(work.session.scalars(sa.select(Profile.id).where(Profile.state == "active")))
                for row, profile, identity in zip(batch, linked.profile_ids, linked.identity_ids, strict=True):
                    usable = {item: found.get(item) for item in row.items() if item != BLOCKED}
                    strong = {owner for item, owner in usable.items() if item[0] != WEAK}
                    assert strong <= {profile}
                    assert (profile in active) == bool(usable)
                    assert (identity > 0) == bool(usable)
            assert BLOCKED not in found
            assert groups(found) == wanted
            owners = work.session.execute(sa.select(Identity.id, Identity.profile_id)).all()
            assert {owner for _, owner in owners} <= active


def test_the_oldest_profile_survives_and_a_merge_is_recorded(desk: Any) -> None:
    with desk.runtime.work(desk.client) as work:
        one, two, three = desk.link(work, [{"member": "m1"}, {"openid": "o1"}, {"email": "a@example.com"}]).profile_ids
        linked = desk.link(work, [{"openid": "o1", "email": "a@example.com"}, {"member": "m1", "openid": "o1"}])
        assert linked.merged == 2
        assert set(linked.profile_ids) == {one}
        merges = work.session.execute(sa.select(ProfileMerge.survivor_id, ProfileMerge.absorbed_id)).all()
        assert sorted(merges) == [(one, two), (one, three)]
    assert broken(desk.runtime.database.engine) == {}


def test_two_phones_of_one_row_are_one_person(desk: Any) -> None:
    from fairlead.customers.linking import ClaimColumn, link

    with desk.runtime.work(desk.client) as work:
        phones = ClaimColumn("phone", ["+8613812345678", "+8613900000000"])
        second = ClaimColumn("phone", ["+8613900000000", "+8613900000000"])
        linked = link(work, [phones, second], "test")
        assert len(set(linked.profile_ids)) == 1
        assert work.session.scalar(sa.select(sa.func.count()).select_from(Identity)) == 2


def storm(size: int) -> list[Row]:
    return [{"phone": "13800138000", "member": f"s{number}"} for number in range(size)]


@pytest.mark.parametrize("size", [1, 3, 200], ids=["one at a time", "three at a time", "at once"])
def test_a_shared_phone_glues_nobody_beyond_the_limit(desk: Any, size: int) -> None:
    rows = storm(40)
    blocked = 0
    for start in range(0, len(rows), size):
        with desk.runtime.work(desk.client) as work:
            blocked += desk.link(work, rows[start : start + size]).blocked
    with desk.runtime.reading(desk.client) as work:
        people = groups(stored(work))
        assert max(map(len, people)) <= SHARED_LIMIT + 1 + size * (size < len(rows))
        assert blocked == work.session.scalar(sa.select(sa.func.count()).select_from(BlockedIdentity)) == 1
        assert work.session.scalars(sa.select(AuditEntry.action).where(AuditEntry.object_type == "identity")).all() == [
            "identity.block"
        ]
    assert broken(desk.runtime.database.engine) == {}


def test_as_many_as_the_limit_are_one_person(desk: Any) -> None:
    with desk.runtime.work(desk.client) as work:
        linked = desk.link(work, storm(SHARED_LIMIT))
        assert (linked.blocked, len(set(linked.profile_ids))) == (0, 1)


def test_a_blocked_value_links_again_when_it_is_free(desk: Any) -> None:
    with desk.runtime.work(desk.client) as work:
        block_identity(work, "phone", "138 0013 8000", "the shop's own")
        block_identity(work, "phone", "+86 13800138000", "again")
        apart = desk.link(work, storm(2))
        assert len(set(apart.profile_ids)) == 2
        assert unblock_identity(work, "phone", "13800138000")
        assert not unblock_identity(work, "phone", "13800138000")
        assert len(set(desk.link(work, storm(2)).profile_ids)) == 1


def test_a_weak_identity_follows_and_never_joins(desk: Any) -> None:
    with desk.runtime.work(desk.client) as work:
        one, two = desk.link(work, [{"device": "d", "member": "m1"}, {"device": "d", "member": "m2"}]).profile_ids
        assert one != two
        alone = desk.link(work, [{"device": "d"}, {"device": "new"}, {"device": "new", "member": "m3"}])
        assert alone.profile_ids[0] == one
        assert alone.profile_ids[1] == alone.profile_ids[2]
    assert broken(desk.runtime.database.engine) == {}


def test_clients_know_nothing_of_each_other(desk: Any) -> None:
    with desk.runtime.work("acme") as work:
        desk.link(work, [{"member": "m1"}])
        blind = work.session.scalars(sa.select(Identity.blind)).one()
    with desk.runtime.work("bolt") as work:
        assert desk.link(work, [{"member": "m1"}]).created == 1
        assert work.session.scalars(sa.select(Identity.blind)).one() != blind


def test_two_at_once_make_one_person(desk: Any, make_desk: Any) -> None:
    runtimes: Sequence[Fairlead] = [desk.runtime, make_desk()]
    rows = [{"member": f"m{number}", "openid": f"o{number}"} for number in range(60)]
    failures: list[BaseException] = []

    def work(runtime: Fairlead, turn: int) -> None:
        try:
            for start in range(0, 60, 10):
                part = rows[start : start + 10]
                runtime.run("acme", lambda unit, part=part: desk.link(unit, part if turn else part[::-1]))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(runtime, turn)) for turn, runtime in enumerate(runtimes)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    with desk.runtime.database.read(ClientScope(desk.runtime.client("acme").id)) as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(Identity)) == 120
        assert session.scalar(sa.select(sa.func.count()).select_from(Profile)) == 60
    assert broken(desk.runtime.database.engine) == {}


def test_the_second_phone_of_every_row_is_the_shops_and_glues_nobody(desk: Any) -> None:
    first = [f"+8613800{at:06d}" for at in range(200)]
    for batch in (first, [f"+8613900{at:06d}" for at in range(50)]):
        with desk.runtime.work(desk.client) as work:
            columns = [ClaimColumn("phone", batch), ClaimColumn("phone", ["+8613711112222"] * len(batch))]
            linked = link(work, columns, "orders")
        assert linked.created == len(batch)
        assert len(set(linked.profile_ids.tolist())) == len(batch)


def test_a_value_is_blocked_in_its_own_shop_only(desk: Any) -> None:
    def seen(scope: str, phones: Sequence[str]) -> int:
        with desk.runtime.work(desk.client) as work:
            columns = [ClaimColumn("member", ["1"] * len(phones), scope), ClaimColumn("phone", list(phones))]
            return len(set(link(work, columns, "test").profile_ids.tolist()) - {0})

    assert seen("shop-a", [f"+8613800{at:06d}" for at in range(SHARED_LIMIT + 1)]) == SHARED_LIMIT + 1
    assert seen("shop-b", ["+8613711112222", "+8613711113333"]) == 1
    with desk.runtime.reading(desk.client) as work:
        assert work.session.scalars(sa.select(BlockedIdentity.scope)).all() == ["shop-a"]
    with desk.runtime.work(desk.client) as work:
        assert not unblock_identity(work, "member", "1")
        assert unblock_identity(work, "member", "1", scope="shop-a")


def test_who_was_parted_is_not_joined_again_by_the_same_rows(desk: Any) -> None:
    rows = [{"phone": "+8613800138000", "email": "a@example.com"}]
    with desk.runtime.work(desk.client) as work:
        one, two = desk.link(work, [{"phone": "+8613800138000"}, {"email": "a@example.com"}]).profile_ids.tolist()
        assert desk.link(work, rows).merged == 1
    with desk.runtime.work(desk.client) as work:
        split_profile(work, work.session.scalars(sa.select(ProfileMerge.id)).one())
    with desk.runtime.work(desk.client) as work:
        again = desk.link(work, [*rows, {"phone": "+8613800138000", "member": "m1"}, {"email": "a@example.com"}])
        assert (again.merged, again.created) == (0, 0)
        assert again.profile_ids.tolist() == [one, one, two]
    with desk.runtime.work(desk.client) as work:
        # A new value that stands with both goes to whom it is seen with first, and joins nobody either.
        more = [{"phone": "+8613800138000", "openid": "o1"}, {"openid": "o1", "email": "a@example.com"}]
        assert desk.link(work, more).merged == 0
        third = desk.link(work, [{"phone": "+8613800138000", "openid": "o2"}, {"openid": "o2", "member": "m9"}])
        assert third.merged == 0
        assert set(third.profile_ids.tolist()) == {one}
    with desk.runtime.reading(desk.client) as work:
        assert sorted(work.session.scalars(sa.select(Profile.state))) == ["active", "active"]
    assert broken(desk.runtime.database.engine) == {}


def test_who_was_parted_stays_so_when_one_of_them_is_absorbed_by_a_third(desk: Any) -> None:
    with desk.runtime.work(desk.client) as work:
        seen = [{"member": "m1"}, {"member": "m2"}, {"member": "m3"}]
        one, two, three = desk.link(work, seen).profile_ids.tolist()
        (merge,) = merge_profiles(work, [(two, three)], rule="test", evidence=[{}])
        split_profile(work, merge.id)
        merge_profiles(work, [(one, two)], rule="test", evidence=[{}])
        assert desk.link(work, [{"member": "m1", "openid": "o"}, {"member": "m3", "openid": "o"}]).merged == 0
        assert work.session.get_one(Profile, three).state == "active"
