"""The audit log of a client and of the agency."""

from __future__ import annotations

from typing import Any

FIELDS = """
    number at actor memberId action objectType objectId object changes { field before after } requestId digest"""
CLIENT = f"""
query($slug: String!, $filter: AuditFilter, $first: Int, $after: String) {{
  client(slug: $slug) {{ audit(filter: $filter, first: $first, after: $after) {{
    totalCount nodes {{ {FIELDS} }} pageInfo {{ endCursor hasNextPage }} }} }}
}}"""
AGENCY = f"query($filter: AuditFilter) {{ agency {{ audit(filter: $filter) {{ nodes {{ {FIELDS} }} }} }} }}"
UPDATE = "mutation($input: UpdateClientInput!) { updateClient(input: $input) { errors { code } } }"
PAUSE = "mutation($input: ChannelAccountInput!) { pauseChannelAccount(input: $input) { errors { code } } }"
DEFINE = "mutation($input: DefineRoleInput!) { defineRole(input: $input) { errors { code } } }"


def entries(world: Any, token: str, slug: str = "acme", **filter: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = world.data(token, CLIENT, slug=slug, filter=filter)["client"]["audit"]["nodes"]
    return found


def test_a_change_is_told_with_who_what_before_and_after(world: Any) -> None:
    account = world.gid("ChannelAccount", world.accounts["acme"])
    world.data("operator@acme", PAUSE, input={"client": "acme", "accountId": account})
    entry = entries(world, "auditor@acme")[0]
    assert (entry["action"], entry["objectType"]) == ("channel_account.paused", "channel_account")
    assert entry["object"] == account
    assert entry["objectId"] == str(world.accounts["acme"])
    assert entry["memberId"] == world.gid("Member", world.members["operator@acme"])
    assert entry["actor"].startswith(f"member:{world.members['operator@acme']}/token:")
    assert entry["changes"] == [{"field": "state", "before": "connected", "after": "paused"}]
    assert len(entry["digest"]) == 64


def test_entries_are_narrowed_by_each_condition(world: Any) -> None:
    account = {"client": "acme", "accountId": world.gid("ChannelAccount", world.accounts["acme"])}
    world.data("operator@acme", PAUSE, input=account)
    world.data("admin@acme", UPDATE, input={"client": "acme", "name": "New"})
    token, number = "auditor@acme", str(world.accounts["acme"])
    assert {one["objectType"] for one in entries(world, token, objectType="channel_account")} == {"channel_account"}
    assert [one["action"] for one in entries(world, token, objectType="channel_account", objectId=number)] == [
        "channel_account.paused",
        "channel_account.connected",
    ]
    assert [one["action"] for one in entries(world, token, action="client.changed")] == ["client.changed"]
    actor = entries(world, token, action="client.changed")[0]["actor"]
    assert [one["action"] for one in entries(world, token, actor=actor)] == ["client.changed"]
    assert entries(world, token, action="nothing.done") == []


def test_the_log_is_read_in_pages_from_the_newest(world: Any) -> None:
    whole = world.data("auditor@acme", CLIENT, slug="acme", first=100)["client"]["audit"]
    numbers = [node["number"] for node in whole["nodes"]]
    assert numbers == list(range(whole["totalCount"], 0, -1))
    first = world.data("auditor@acme", CLIENT, slug="acme", first=2)["client"]["audit"]
    after = first["pageInfo"]["endCursor"]
    second = world.data("auditor@acme", CLIENT, slug="acme", first=2, after=after)["client"]["audit"]
    assert [node["number"] for node in (*first["nodes"], *second["nodes"])] == numbers[:4]


def test_no_chain_shows_what_belongs_to_another(world: Any) -> None:
    world.data("admin@bolt", UPDATE, input={"client": "bolt", "name": "Canary-4711"})
    world.data("admin", DEFINE, input={"name": "canary_role", "permissions": ["client:read"]})
    assert "anary" not in str(entries(world, "admin@acme"))
    agency = world.data("admin", AGENCY)["agency"]["audit"]["nodes"]
    assert agency[0]["action"] == "role.defined"
    assert "Canary-4711" not in str(agency)
    assert entries(world, "admin@bolt", "bolt")[0]["changes"] == [
        {"field": "name", "before": "Bolt", "after": "Canary-4711"}
    ]


def test_entries_hold_no_secrets(world: Any) -> None:
    text = str(world.data("auditor@acme", CLIENT, slug="acme", first=100))
    assert "channel_account" in text
    assert "s3cr3t" not in text
