"""Tokens: shown once, narrowed, rotated, revoked."""

from __future__ import annotations

from typing import Any

from fairlead.clients import members, tokens
from fairlead.governance.model import IdempotencyRecord

ISSUED = """
    token { id name hint clients permissions state memberName expiresAt replacedBy }
    secret
    errors { code path nextStep }"""
ISSUE = f"mutation($input: IssueTokenInput!) {{ issueToken(input: $input) {{ {ISSUED} }} }}"
ROTATE = f"mutation($input: RotateTokenInput!) {{ rotateToken(input: $input) {{ {ISSUED} }} }}"
REVOKE = """
mutation($input: RevokeTokenInput!) {
  revokeToken(input: $input) { token { id state revokedAt } errors { code } }
}"""
LIST = """
query($member: ID, $ended: Boolean!) {
  agency { tokens(member: $member, ended: $ended, first: 100) { totalCount nodes {
    id name hint state clients permissions lastUsedAt revokedAt replacedBy memberId } } }
}"""
VIEWER = "{ viewer { name permissions clients { slug } isAgencyWide } }"


def member(world: Any, name: str) -> str:
    return str(world.gid("Member", world.members[name]))


def test_a_secret_is_shown_once_and_works(world: Any) -> None:
    given = {"memberId": member(world, "operator"), "name": "ci", "clients": ["acme"], "permissions": ["client:read"]}
    made = world.data("admin", ISSUE, input=given | {"days": 7})["issueToken"]
    assert made["errors"] == []
    token, secret = made["token"], made["secret"]
    assert (token["clients"], token["permissions"], token["state"]) == (["acme"], ["client:read"], "active")
    assert token["expiresAt"] == "2026-01-12T10:00:00+00:00"
    assert token["hint"] == f"{secret[:6]}…{secret[-4:]}"
    assert world.data(secret, VIEWER)["viewer"]["isAgencyWide"] is False
    listed = world.gql("admin", LIST, member=given["memberId"], ended=False)
    assert secret not in str(listed)
    assert {node["name"] for node in listed["data"]["agency"]["tokens"]["nodes"]} == {"operator", "ci"}


def test_a_narrowed_token_is_told_where_it_is_good(world: Any) -> None:
    given = {"memberId": member(world, "operator"), "name": "ci", "clients": ["acme"]}
    secret = world.data("admin", ISSUE, input=given)["issueToken"]["secret"]
    seen = world.data(secret, "{ viewer { permissions clients { slug permissions } isAgencyWide } }")["viewer"]
    assert (seen["permissions"], seen["isAgencyWide"]) == ([], False)
    assert seen["clients"] == [{"slug": "acme", "permissions": sorted(world.permissions["operator"])}]
    assert world.codes(secret, "{ agency { name } }") == ["FORBIDDEN"]


def test_a_repeated_key_gives_the_token_without_its_secret(world: Any) -> None:
    given = {"memberId": member(world, "operator"), "name": "ci", "idempotencyKey": "k1"}
    first = world.data("admin", ISSUE, input=given)["issueToken"]
    again = world.data("admin", ISSUE, input=given)["issueToken"]
    assert again["token"] == first["token"]
    assert again["secret"] is None
    assert [(error["code"], error["path"]) for error in again["errors"]] == [("CONFLICT", ["idempotencyKey"])]
    with world.runtime.agency_reading("test") as work:
        kept = work.session.query(IdempotencyRecord).all()
    assert kept
    assert first["secret"] not in str([record.answer for record in kept])
    assert world.data("admin", LIST, member=given["memberId"], ended=True)["agency"]["tokens"]["totalCount"] == 2


def test_no_token_can_do_more_than_who_issued_it(world: Any) -> None:
    given = {"memberId": member(world, "admin"), "name": "x"}
    with world.runtime.agency_work("test") as work:
        members.define_role(work, world.agency, "issuer", frozenset({"tokens:write", "members:read"}))
        issuer = members.add_member(work, world.agency, "I", "i@y.test", role="issuer")
        secret = tokens.issue_token(work, issuer.id, "i").secret
    assert world.codes(secret, ISSUE, input=given) == ["FORBIDDEN"]
    assert world.codes(secret, ISSUE, input=given | {"permissions": ["tokens:write"]}) == []


def test_bad_input_is_named(world: Any) -> None:
    given = {"memberId": member(world, "operator"), "name": "x"}
    assert world.codes("admin", ISSUE, input=given | {"days": 401}) == ["BAD_USER_INPUT"]
    assert world.codes("admin", ISSUE, input=given | {"permissions": ["x:y"]}) == ["BAD_USER_INPUT"]
    assert world.codes("admin", ISSUE, input=given | {"clients": ["nowhere"]}) == ["NOT_FOUND"]
    assert world.codes("admin", ISSUE, input=given | {"memberId": "?"}) == ["BAD_USER_INPUT"]
    assert world.codes("admin", ISSUE, input=given | {"memberId": world.gid("Profile", 1)}) == ["BAD_USER_INPUT"]


def test_anybody_rotates_and_revokes_the_token_they_ask_with(world: Any) -> None:
    mine = {"tokenId": world.gid("ApiToken", world.token_ids["analyst@acme"])}
    rotated = world.data("analyst@acme", ROTATE, input=mine)["rotateToken"]
    assert rotated["errors"] == []
    assert world.codes("analyst@acme", VIEWER) == ["UNAUTHENTICATED"]
    assert world.data(rotated["secret"], VIEWER)["viewer"]["name"] == "analyst at acme"
    ended = world.data(rotated["secret"], REVOKE, input={"tokenId": rotated["token"]["id"]})["revokeToken"]
    assert ended == {"token": None, "errors": []}
    assert world.codes(rotated["secret"], VIEWER) == ["UNAUTHENTICATED"]


def test_the_tokens_of_others_need_the_permission(world: Any) -> None:
    theirs = {"tokenId": world.gid("ApiToken", world.token_ids["analyst@acme"])}
    for query in (ROTATE, REVOKE):
        assert world.codes("operator", query, input=theirs) == ["FORBIDDEN"]
        assert world.codes("admin@acme", query, input=theirs) == ["FORBIDDEN"]
    assert world.codes("analyst@acme", VIEWER) == []
    revoked = world.data("admin", REVOKE, input=theirs)["revokeToken"]["token"]
    assert revoked["state"] == "revoked"
    assert world.codes("analyst@acme", VIEWER) == ["UNAUTHENTICATED"]


def test_the_old_token_works_on_for_the_grace(world: Any) -> None:
    mine = {"tokenId": world.gid("ApiToken", world.token_ids["analyst@acme"]), "graceMinutes": 10}
    rotated = world.data("admin", ROTATE, input=mine)["rotateToken"]
    assert world.codes("analyst@acme", VIEWER) == []
    world.clock.advance(minutes=11)
    assert world.codes("analyst@acme", VIEWER) == ["UNAUTHENTICATED"]
    assert world.codes(rotated["secret"], VIEWER) == []
    old = world.data("admin", LIST, member=member(world, "analyst@acme"), ended=True)["agency"]["tokens"]["nodes"][0]
    assert (old["state"], old["replacedBy"]) == ("expired", rotated["token"]["id"])
