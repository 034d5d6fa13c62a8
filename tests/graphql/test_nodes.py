"""Anything by its global id: ``node`` and ``nodes``."""

from __future__ import annotations

from typing import Any

import pytest

NODE = "query($id: ID!) { node(id: $id) { __typename id } }"
NODES = """
query($ids: [ID!]!) {
  nodes(ids: $ids) {
    __typename id
    ... on Profile { state identities { masked } orders { nodes { sourceId } } }
    ... on Client { slug }
    ... on Order { sourceId amount { amount currency } }
    ... on Member { name memberships { role } }
  }
}"""


def ids(world: Any) -> list[str]:
    return [
        world.gid("Profile", world.profiles["acme"][1]),
        world.gid("Client", world.clients["acme"]),
        world.gid("Profile", world.profiles["bolt"][0]),
        world.gid("Profile", 10**15),
        world.gid("Nothing", 1),
        world.gid("Profile", world.profiles["acme"][0]),
        world.gid("Profile", world.profiles["acme"][1]),
    ]


def test_many_come_in_the_order_asked_with_what_they_have(world: Any) -> None:
    found = world.data("operator@acme", NODES, ids=ids(world))["nodes"]
    assert [None if one is None else one["__typename"] for one in found] == [
        "Profile",
        "Client",
        None,
        None,
        None,
        "Profile",
        "Profile",
    ]
    assert found[0]["orders"]["nodes"] == [{"sourceId": "acme-order-1"}]
    assert found[0] == found[6]
    assert len(found[5]["identities"]) == 2
    assert found[1]["slug"] == "acme"


def test_an_agency_wide_caller_gets_the_rows_of_all_clients(world: Any) -> None:
    found = world.data("operator", NODES, ids=ids(world)[:3])["nodes"]
    assert [one["__typename"] for one in found] == ["Profile", "Client", "Profile"]
    assert found[2]["orders"]["nodes"] == [{"sourceId": "bolt-order-0"}]


def test_the_permission_of_the_type_is_needed(world: Any) -> None:
    assert world.codes("auditor@acme", NODE, id=world.gid("Profile", world.profiles["acme"][0])) == ["FORBIDDEN"]
    assert world.codes("operator", NODE, id=world.gid("Member", world.members["admin"])) == ["FORBIDDEN"]
    found = world.data("admin", NODES, ids=[world.gid("Member", world.members["analyst@acme"])])["nodes"]
    assert found[0]["name"] == "analyst at acme"


@pytest.mark.parametrize("text", ["", "?", "QQ", "UHJvZmlsZTo", "UHJvZmlsZTo5MjIzMzcyMDM2ODU0Nzc1ODA4", "\U0001f600"])
def test_what_is_no_id_is_refused(world: Any, text: str) -> None:
    assert world.codes("operator", NODE, id=text) == ["BAD_USER_INPUT"]


def test_at_most_a_hundred(world: Any) -> None:
    one = world.gid("Client", world.clients["acme"])
    assert (
        len(world.data("operator", "query($ids: [ID!]!) { nodes(ids: $ids) { id } }", ids=[one] * 100)["nodes"]) == 100
    )
    for count in (0, 101):
        assert world.codes("operator", NODES, ids=[one] * count) == ["LIMIT_REACHED"]


def test_statements_do_not_grow_with_the_ids(world: Any) -> None:
    few, many = ids(world)[:1], [world.gid("Profile", number) for number in world.profiles["acme"]]
    world.data("operator@acme", NODES, ids=few)
    with world.counting() as one:
        world.data("operator@acme", NODES, ids=few)
    with world.counting() as three:
        world.data("operator@acme", NODES, ids=many)
    assert one.number == three.number
