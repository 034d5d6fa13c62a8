"""Making, changing and archiving clients."""

from __future__ import annotations

from typing import Any

CREATE = """
mutation($input: CreateClientInput!) {
  createClient(input: $input) { client { id slug name zone currency state } errors { code path message } }
}"""
UPDATE = """
mutation($input: UpdateClientInput!) {
  updateClient(input: $input) { client { slug name zone currency } errors { code path } }
}"""
ARCHIVE = "mutation($input: ClientInput!) { archiveClient(input: $input) { client { slug state } errors { code } } }"
RESTORE = "mutation($input: ClientInput!) { restoreClient(input: $input) { client { slug state } errors { code } } }"
ASK = "query($slug: String!) { client(slug: $slug) { id slug name state } }"
LIST = """
query($first: Int, $after: String) {
  clients(first: $first, after: $after) { totalCount nodes { slug } pageInfo { hasNextPage endCursor } }
}"""


def test_a_new_client_is_there_at_once(world: Any) -> None:
    made = world.data(
        "admin", CREATE, input={"slug": "core", "name": " Core ", "zone": "Europe/Berlin", "currency": "EUR"}
    )
    client = made["createClient"]["client"]
    assert made["createClient"]["errors"] == []
    assert client | {"id": ""} == {
        "id": "",
        "slug": "core",
        "name": "Core",
        "zone": "Europe/Berlin",
        "currency": "EUR",
        "state": "active",
    }
    assert world.data("admin", ASK, slug="core")["client"]["id"] == client["id"]
    assert world.data("operator@acme", ASK, slug="core") == {"client": None}


def test_every_bad_field_is_named_and_nothing_is_made(world: Any) -> None:
    answer = world.data("admin", CREATE, input={"slug": "No!", "name": "", "zone": "Mars/Base", "currency": "euro"})
    payload = answer["createClient"]
    assert payload["client"] is None
    assert [(error["code"], error["path"]) for error in payload["errors"]] == [
        ("BAD_USER_INPUT", ["slug"]),
        ("BAD_USER_INPUT", ["name"]),
        ("BAD_USER_INPUT", ["zone"]),
        ("BAD_USER_INPUT", ["currency"]),
    ]
    assert world.data("admin", LIST)["clients"]["totalCount"] == 2


def test_a_taken_slug_is_a_conflict(world: Any) -> None:
    assert world.codes("admin", CREATE, input={"slug": "acme", "name": "Other"}) == ["CONFLICT"]


def test_the_same_key_makes_one_client_and_another_input_is_refused(world: Any) -> None:
    given = {"slug": "core", "name": "Core", "idempotencyKey": "once"}
    first = world.data("admin", CREATE, input=given)
    assert world.data("admin", CREATE, input=given) == first
    assert world.codes("admin", CREATE, input=given | {"name": "Other"}) == ["CONFLICT"]
    assert world.codes("admin", UPDATE, input={"client": "acme", "idempotencyKey": "once"}) == ["CONFLICT"]
    assert world.data("admin", LIST)["clients"]["totalCount"] == 3


def test_what_is_left_out_stays(world: Any) -> None:
    changed = world.data("admin@acme", UPDATE, input={"client": "acme", "name": "Acme Ltd", "zone": None})
    assert changed["updateClient"] == {
        "client": {"slug": "acme", "name": "Acme Ltd", "zone": "Asia/Shanghai", "currency": "CNY"},
        "errors": [],
    }


def test_the_currency_stays_once_there_are_orders(world: Any) -> None:
    same = world.data("admin@acme", UPDATE, input={"client": "acme", "currency": "CNY"})
    assert same["updateClient"]["errors"] == []
    refused = world.data("admin@acme", UPDATE, input={"client": "acme", "currency": "USD"})["updateClient"]
    assert [(error["code"], error["path"]) for error in refused["errors"]] == [("CONFLICT", ["currency"])]
    world.data("admin", CREATE, input={"slug": "fresh", "name": "Fresh"})
    changed = world.data("admin", UPDATE, input={"client": "fresh", "currency": "USD"})["updateClient"]
    assert (changed["client"]["currency"], changed["errors"]) == ("USD", [])


def test_an_archived_client_can_be_read_and_not_changed(world: Any) -> None:
    archived = world.data("admin", ARCHIVE, input={"client": "acme"})["archiveClient"]
    assert archived == {"client": {"slug": "acme", "state": "archived"}, "errors": []}
    assert world.data("operator@acme", ASK, slug="acme")["client"]["state"] == "archived"
    assert world.codes("admin", UPDATE, input={"client": "acme", "name": "X"}) == ["CONFLICT"]
    assert [node["slug"] for node in world.data("admin", LIST)["clients"]["nodes"]] == ["bolt"]
    for token, seen in (("admin", ["acme"]), ("operator@acme", ["acme"]), ("operator@bolt", [])):
        gone = world.data(token, "{ clients(archived: true) { nodes { slug } } }")["clients"]["nodes"]
        assert [node["slug"] for node in gone] == seen
    restored = world.data("admin", RESTORE, input={"client": "acme"})["restoreClient"]
    assert restored["client"]["state"] == "active"
    assert world.codes("admin", UPDATE, input={"client": "acme", "name": "X"}) == []


def test_clients_are_listed_in_pages_to_whom_they_exist(world: Any) -> None:
    first = world.data("operator", LIST, first=1)["clients"]
    assert (first["totalCount"], first["nodes"]) == (2, [{"slug": "acme"}])
    second = world.data("operator", LIST, first=1, after=first["pageInfo"]["endCursor"])["clients"]
    assert (second["nodes"], second["pageInfo"]["hasNextPage"]) == ([{"slug": "bolt"}], False)
    assert world.data("operator@bolt", LIST)["clients"] | {"pageInfo": None} == {
        "totalCount": 1,
        "nodes": [{"slug": "bolt"}],
        "pageInfo": None,
    }
