"""Members and roles, as the agency and as one client sees them."""

from __future__ import annotations

from typing import Any

from fairlead.clients import members, tokens

MEMBER = "member { id name email state memberships { role client } } errors { code path message }"
ADD = f"mutation($input: AddMemberInput!) {{ addMember(input: $input) {{ {MEMBER} }} }}"
GRANT = f"mutation($input: MemberRoleInput!) {{ grantRole(input: $input) {{ {MEMBER} }} }}"
SET = f"mutation($input: MemberRoleInput!) {{ setMemberRole(input: $input) {{ {MEMBER} }} }}"
REVOKE = f"mutation($input: MemberRoleInput!) {{ revokeRole(input: $input) {{ {MEMBER} }} }}"
DISABLE = f"mutation($input: MemberInput!) {{ disableMember(input: $input) {{ {MEMBER} }} }}"
ENABLE = f"mutation($input: MemberInput!) {{ enableMember(input: $input) {{ {MEMBER} }} }}"
REMOVE = f"mutation($input: MemberInput!) {{ removeMember(input: $input) {{ {MEMBER} }} }}"
DEFINE = """
mutation($input: DefineRoleInput!) {
  defineRole(input: $input) { role { name permissions isBuiltIn } errors { code path } }
}"""
UNDEFINE = "mutation($input: RemoveRoleInput!) { removeRole(input: $input) { role { name } errors { code } } }"
AGENCY = """{
  agency {
    slug permissions
    members(first: 100) { totalCount nodes { name email memberships { role client } } }
    roles { nodes { name isBuiltIn permissions } }
  }
}"""
HERE = 'query { client(slug: "acme") { members(first: 100) { nodes { id name email memberships { role client } } } } }'
ONE = 'query($id: ID!) { client(slug: "acme") { member(id: $id) { name memberships { role client } } } }'
VIEWER = "{ viewer { name permissions clients { slug permissions } } }"


def test_a_member_is_added_with_a_masked_address(world: Any) -> None:
    given = {"client": "acme", "name": "Li Lei", "email": "Li.Lei@Shop.test", "role": "analyst"}
    made = world.data("admin@acme", ADD, input=given)["addMember"]
    assert made["errors"] == []
    assert made["member"]["email"] == "l***@shop.test"
    assert made["member"]["memberships"] == [{"role": "analyst", "client": "acme"}]
    assert world.codes("admin", ADD, input=given | {"client": None}) == ["CONFLICT"]


def test_nobody_gives_more_than_they_hold(world: Any) -> None:
    made = {"name": "X", "email": "x@y.test", "role": "admin"}
    with world.runtime.agency_work("test") as work:
        members.define_role(work, world.agency, "keeper", frozenset({"members:read", "members:write", "client:read"}))
        keeper = members.add_member(work, world.agency, "K", "k@y.test", role="keeper", client_id=world.clients["acme"])
        secret = tokens.issue_token(work, keeper.id, "k").secret
    assert world.codes(secret, ADD, input=made | {"client": "acme"}) == ["FORBIDDEN"]
    assert world.codes(secret, ADD, input=made | {"client": "acme", "role": "keeper"}) == []
    assert world.codes(secret, ADD, input=made | {"client": "bolt", "role": "keeper"}) == ["NOT_FOUND"]
    assert world.codes(secret, ADD, input=made | {"role": "keeper"}) == ["FORBIDDEN"]


def test_a_client_sees_its_own_members_and_roles_alone(world: Any) -> None:
    with world.runtime.agency_work("test") as work:
        members.grant_role(work, world.members["analyst@acme"], "operator", world.clients["bolt"])
    nodes = world.data("admin@acme", HERE)["client"]["members"]["nodes"]
    assert {node["name"] for node in nodes} == {
        name for role in world.permissions for name in (role, f"{role} at acme")
    }
    assert {place["client"] for node in nodes for place in node["memberships"]} == {None, "acme"}
    assert all("***@" in node["email"] for node in nodes)
    other = world.gid("Member", world.members["analyst@bolt"])
    assert world.data("admin@acme", ONE, id=other)["client"]["member"] is None
    both = world.gid("Member", world.members["analyst@acme"])
    assert world.data("admin@acme", ONE, id=both)["client"]["member"]["memberships"] == [
        {"role": "analyst", "client": "acme"}
    ]


def test_roles_are_granted_set_and_revoked_at_one_place(world: Any) -> None:
    who = {"client": "acme", "memberId": world.gid("Member", world.members["analyst@acme"])}
    granted = world.data("admin@acme", GRANT, input=who | {"role": "approver"})["grantRole"]
    assert [place["role"] for place in granted["member"]["memberships"]] == ["analyst", "approver"]
    set_ = world.data("admin@acme", SET, input=who | {"role": "operator"})["setMemberRole"]
    assert set_["member"]["memberships"] == [{"role": "operator", "client": "acme"}]
    assert world.data("analyst@acme", VIEWER)["viewer"]["clients"][0]["permissions"] == sorted(
        world.permissions["operator"]
    )
    gone = world.data("admin@acme", REVOKE, input=who | {"role": "operator"})["revokeRole"]
    assert gone == {"member": None, "errors": []}
    assert world.codes("admin@acme", REVOKE, input=who | {"role": "operator"}) == ["NOT_FOUND"]


def test_members_of_another_client_cannot_be_drawn_in(world: Any) -> None:
    stranger = world.gid("Member", world.members["analyst@bolt"])
    for query, name in ((GRANT, "grantRole"), (SET, "setMemberRole"), (REVOKE, "revokeRole")):
        given = {"client": "acme", "memberId": stranger, "role": "analyst"}
        payload = world.data("admin@acme", query, input=given)[name]
        assert payload["member"] is None
        assert [(error["code"], error["path"]) for error in payload["errors"]] == [("NOT_FOUND", ["memberId"])]


def test_a_member_of_another_client_is_added_by_their_address(world: Any) -> None:
    given = {"client": "acme", "name": "Somebody", "email": "analyst.bolt@agency.test", "role": "operator"}
    made = world.data("admin@acme", ADD, input=given)["addMember"]
    assert made["errors"] == []
    assert made["member"]["id"] == world.gid("Member", world.members["analyst@bolt"])
    assert made["member"]["memberships"] == [{"role": "operator", "client": "acme"}]
    seen = world.data("analyst@bolt", VIEWER)["viewer"]["clients"]
    assert {one["slug"]: len(one["permissions"]) for one in seen} == {
        "acme": len(world.permissions["operator"]),
        "bolt": len(world.permissions["analyst"]),
    }
    for known in (given, given | {"email": "analyst.acme@agency.test"}, given | {"email": "analyst.all@agency.test"}):
        assert world.codes("admin@acme", ADD, input=known) == ["CONFLICT"]


def test_a_disabled_member_is_out_until_enabled(world: Any) -> None:
    who = {"memberId": world.gid("Member", world.members["analyst@acme"])}
    assert world.data("admin", DISABLE, input=who)["disableMember"]["member"]["state"] == "disabled"
    assert world.codes("analyst@acme", VIEWER) == ["UNAUTHENTICATED"]
    assert world.data("admin", ENABLE, input=who)["enableMember"]["member"]["state"] == "active"
    assert world.codes("analyst@acme", VIEWER) == []


def test_a_removed_member_has_no_name_and_no_token_any_more(world: Any) -> None:
    who = {"memberId": world.gid("Member", world.members["analyst@acme"])}
    removed = world.data("admin", REMOVE, input=who)["removeMember"]["member"]
    assert (removed["name"], removed["memberships"], removed["state"]) == ("removed", [], "removed")
    assert world.codes("analyst@acme", VIEWER) == ["UNAUTHENTICATED"]


def test_the_last_admin_stays(world: Any) -> None:
    me = {"memberId": world.gid("Member", world.members["admin"])}
    assert world.codes("admin", DISABLE, input=me) == ["CONFLICT"]
    assert world.codes("admin", REVOKE, input=me | {"role": "admin"}) == ["CONFLICT"]


def test_custom_roles_are_defined_changed_and_removed(world: Any) -> None:
    given = {"name": "reader", "permissions": ["client:read", "profiles:read"]}
    made = world.data("admin", DEFINE, input=given)["defineRole"]
    assert made == {"role": given | {"isBuiltIn": False}, "errors": []}
    roles = world.data("admin", AGENCY)["agency"]["roles"]["nodes"]
    assert [role["name"] for role in roles] == ["admin", "analyst", "approver", "auditor", "operator", "reader"]
    assert world.codes("admin", DEFINE, input=given | {"permissions": ["everything"]}) == ["BAD_USER_INPUT"]
    assert world.codes("admin", DEFINE, input=given | {"name": "admin"}) == ["BAD_USER_INPUT"]
    assert world.codes("admin", UNDEFINE, input={"name": "auditor"}) == ["CONFLICT"]
    assert world.codes("admin", UNDEFINE, input={"name": "reader"}) == []
    assert world.codes("admin", UNDEFINE, input={"name": "reader"}) == ["NOT_FOUND"]


def test_the_agency_sees_everybody(world: Any) -> None:
    agency = world.data("admin", AGENCY)["agency"]
    assert agency["slug"] == "main"
    assert agency["members"]["totalCount"] == len(world.members)
    assert set(agency["permissions"]) == set(world.permissions["admin"])


def test_the_same_key_adds_one_member(world: Any) -> None:
    given = {"client": "acme", "name": "A", "email": "a@b.test", "role": "analyst", "idempotencyKey": "k"}
    first = world.data("admin@acme", ADD, input=given)
    assert world.data("admin@acme", ADD, input=given) == first
    assert world.codes("admin@acme", ADD, input=given | {"role": "operator"}) == ["CONFLICT"]
