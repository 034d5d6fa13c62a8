"""Members and roles: nobody grants, takes or borrows more than they hold."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import sqlalchemy as sa

from fairlead.clients import members, tokens
from fairlead.clients.access import access_of
from fairlead.clients.model import Member, Membership
from fairlead.errors import Conflict, Forbidden, InvalidInput, NotFound
from fairlead.governance.permissions import PERMISSIONS, ROLES, Principal
from fairlead.runtime import Fairlead
from support.rows import address_of, audit_entries


def add(runtime: Fairlead, agency: Any, name: str, role: str, client: int | None = None) -> int:
    with runtime.agency_work("test") as work:
        return members.add_member(work, agency.id, name, f"{name}@example.com", role=role, client_id=client).id


def login(runtime: Fairlead, member: int, **scope: Any) -> Principal:
    with runtime.agency_work("test") as work:
        secret = tokens.issue_token(work, member, "test", **scope).secret
    principal = runtime.authenticate(secret)
    assert isinstance(principal, Principal)
    return principal


def test_addresses_are_sealed_and_found_without_regard_to_case(runtime: Fairlead, agency: Any) -> None:
    member = add(runtime, agency, "wang", "admin")
    with runtime.agency_work("test") as work:
        row = members.get_member(work, member)
        assert b"wang" not in bytes(row.email)
        assert address_of(work, row) == "wang@example.com"
        with pytest.raises(Conflict):
            members.add_member(work, agency.id, "Other", " WANG@Example.com ", role="analyst")
        entries = audit_entries(work, object_type="member")
        assert "wang" not in repr([(entry.before, entry.after) for entry in entries])


@pytest.mark.parametrize("email", ["", "a", "a@b", "a b@c.de", "a@@b.c\n", "@b.cd", "x" * 70 + "@b.cd"])
def test_bad_addresses_are_refused(runtime: Fairlead, agency: Any, email: str) -> None:
    with runtime.agency_work("test") as work, pytest.raises(InvalidInput):
        members.add_member(work, agency.id, "N", email, role="admin")


def test_roles_add_up(runtime: Fairlead, agency: Any) -> None:
    member = add(runtime, agency, "li", "analyst", agency.acme)
    with runtime.agency_work("test") as work:
        members.grant_role(work, member, "approver", agency.acme)
        members.grant_role(work, member, "operator", agency.bolt)
        access = access_of(work.session, agency.id, member)
    assert access.everywhere == frozenset()
    assert access.at == {agency.acme: ROLES["analyst"] | ROLES["approver"], agency.bolt: ROLES["operator"]}


def test_a_role_at_the_agency_is_there_once(runtime: Fairlead, agency: Any) -> None:
    member = add(runtime, agency, "li", "analyst")
    with runtime.agency_work("test") as work:
        first = members.grant_role(work, member, "analyst")
        assert members.grant_role(work, member, "analyst").id == first.id
    errors: list[BaseException] = []

    def grant() -> None:
        try:
            runtime.run_agency("test", lambda work: members.grant_role(work, member, "operator").id)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=grant) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with runtime.agency_reading("test") as work:
        count = work.session.scalar(sa.select(sa.func.count()).select_from(Membership))
    assert not errors
    assert count == 2


def test_setting_a_role_replaces_the_others_at_that_place(runtime: Fairlead, agency: Any) -> None:
    member = add(runtime, agency, "li", "analyst", agency.acme)
    with runtime.agency_work("test") as work:
        members.grant_role(work, member, "approver", agency.bolt)
        members.set_role(work, member, "operator", agency.acme)
        roles = {(one.client_id, one.role) for one in members.memberships_of(work, member)}
    assert roles == {(agency.acme, "operator"), (agency.bolt, "approver")}


def test_nobody_grants_more_than_they_hold(runtime: Fairlead, agency: Any) -> None:
    add(runtime, agency, "root", "admin")
    with runtime.agency_work("test") as work:
        members.define_role(work, agency.id, "hr", frozenset({"members:write", "members:read"}))
    clerk = login(runtime, add(runtime, agency, "clerk", "hr"))
    other = add(runtime, agency, "other", "analyst")
    for role in ("admin", "operator", "analyst"):
        with runtime.agency_work("test", clerk) as work, pytest.raises(Forbidden):
            members.grant_role(work, other, role)
    with runtime.agency_work("test", clerk) as work, pytest.raises(Forbidden):
        members.grant_role(work, clerk.member_id, "admin")
    with runtime.agency_work("test", clerk) as work, pytest.raises(Forbidden):
        members.define_role(work, agency.id, "hr", PERMISSIONS)
    with runtime.agency_work("test", clerk) as work:
        members.grant_role(work, other, "hr")


def test_an_admin_of_one_client_stays_in_it(runtime: Fairlead, agency: Any) -> None:
    local = login(runtime, add(runtime, agency, "local", "admin", agency.acme))
    other = add(runtime, agency, "other", "analyst", agency.bolt)
    with runtime.agency_work("test", local) as work:
        assert members.grant_role(work, other, "operator", agency.acme).role == "operator"
    with runtime.agency_work("test", local) as work:
        with pytest.raises(NotFound):
            members.grant_role(work, other, "operator", agency.bolt)
        with pytest.raises(Forbidden):
            members.grant_role(work, other, "analyst")
        with pytest.raises(Forbidden):
            members.disable_member(work, other)
        with pytest.raises(NotFound):
            members.revoke_role(work, other, "analyst", agency.bolt)


def test_a_weaker_member_cannot_remove_a_stronger_one(runtime: Fairlead, agency: Any) -> None:
    admin = add(runtime, agency, "root", "admin")
    add(runtime, agency, "second", "admin")
    with runtime.agency_work("test") as work:
        members.define_role(work, agency.id, "hr", frozenset({"members:write"}))
    clerk = login(runtime, add(runtime, agency, "clerk", "hr"))
    for act in (members.disable_member, members.remove_member):
        with runtime.agency_work("test", clerk) as work, pytest.raises(Forbidden):
            act(work, admin)
    with runtime.agency_work("test", clerk) as work, pytest.raises(Forbidden):
        members.revoke_role(work, admin, "admin")


def test_the_last_admin_stays(runtime: Fairlead, agency: Any) -> None:
    first = add(runtime, agency, "first", "admin")
    add(runtime, agency, "local", "admin", agency.acme)
    with runtime.agency_work("test") as work:
        for act in (members.disable_member, members.remove_member):
            with pytest.raises(Conflict, match="last admin"):
                act(work, first)
        with pytest.raises(Conflict, match="last admin"):
            members.revoke_role(work, first, "admin")
    with runtime.agency_work("test") as work, pytest.raises(Conflict, match="last admin"):
        members.set_role(work, first, "analyst")
    second = add(runtime, agency, "second", "admin")
    with runtime.agency_work("test") as work:
        members.disable_member(work, first)
        with pytest.raises(Conflict, match="last admin"):
            members.disable_member(work, second)


def test_of_two_admins_who_remove_each_other_one_stays(runtime: Fairlead, agency: Any) -> None:
    first, second = add(runtime, agency, "first", "admin"), add(runtime, agency, "second", "admin")
    callers = login(runtime, first), login(runtime, second)
    start = threading.Barrier(2)
    outcomes: list[str] = []

    def remove(caller: Principal, target: int) -> None:
        start.wait()
        try:
            runtime.run_agency("test", lambda work: members.disable_member(work, target).id, actor=caller)
            outcomes.append("done")
        except Conflict:
            outcomes.append("refused")

    threads = [threading.Thread(target=remove, args=pair) for pair in ((callers[0], second), (callers[1], first))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["done", "refused"]
    with runtime.agency_reading("test") as work:
        active = work.session.scalar(sa.select(sa.func.count()).where(Member.state == "active"))
    assert active == 1


def test_a_removed_member_leaves_no_name_and_no_way_in(runtime: Fairlead, agency: Any) -> None:
    add(runtime, agency, "root", "admin")
    gone = add(runtime, agency, "gone", "analyst", agency.acme)
    with runtime.agency_work("test") as work:
        secret = tokens.issue_token(work, gone, "t").secret
    with runtime.agency_work("test") as work:
        members.remove_member(work, gone)
        row = members.get_member(work, gone)
        assert row.name == "removed"
        assert "gone" not in address_of(work, row)
        assert members.memberships_of(work, gone) == []
    assert not isinstance(runtime.authenticate(secret), Principal)
    assert add(runtime, agency, "gone", "analyst") != gone
    with runtime.agency_work("test") as work, pytest.raises(Conflict, match="removed"):
        members.enable_member(work, gone)


def test_custom_roles_are_sets_of_known_permissions(runtime: Fairlead, agency: Any) -> None:
    with runtime.agency_work("test") as work:
        for name, held in (("admin", {"jobs:read"}), ("x", {"jobs:read"}), ("good", {"no:such"}), ("good", set())):
            with pytest.raises(InvalidInput):
                members.define_role(work, agency.id, name, frozenset(held))
        members.define_role(work, agency.id, "viewer", frozenset({"jobs:read"}))
    member = add(runtime, agency, "li", "viewer", agency.acme)
    principal = login(runtime, member)
    assert principal.at == {agency.acme: frozenset({"jobs:read"})}
    with runtime.agency_work("test") as work:
        members.define_role(work, agency.id, "viewer", frozenset({"jobs:read", "jobs:write"}))
        with pytest.raises(Conflict):
            members.remove_role(work, agency.id, "viewer")
        assert "viewer" in members.list_roles(work, agency.id)
    assert not runtime.still_valid(principal)
    with runtime.agency_work("test") as work:
        members.revoke_role(work, member, "viewer", agency.acme)
        members.remove_role(work, agency.id, "viewer")


def test_a_member_of_another_agency_is_not_found(runtime: Fairlead, agency: Any) -> None:
    from fairlead.clients import service

    with runtime.agency_work("test") as work:
        other = service.create_agency(work, "other", "Other").id
    stranger = Principal(member_id=1, token_id=1, agency_id=other, name="s", everywhere=PERMISSIONS)
    member = add(runtime, agency, "li", "analyst")
    with runtime.agency_work("test", stranger) as work:
        with pytest.raises(NotFound):
            members.grant_role(work, member, "analyst")
        with pytest.raises(NotFound):
            members.add_member(work, agency.id, "x", "x@example.com", role="analyst")
