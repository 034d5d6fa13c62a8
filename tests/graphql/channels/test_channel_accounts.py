"""Channel accounts: connected, changed, paused, checked, synced. What is secret goes in and never comes out."""

from __future__ import annotations

from typing import Any

import pytest

from fairlead.plugins.contracts.channel import Health, HealthState, OrderRecord
from fairlead.plugins.errors import FixCredentials, RetryLater
from fairlead.testing.fakes import START
from fairlead.workflows import hand_over_forgotten

FIELDS = """
    id channel isChannelOn name platform accountType permissionLevel state owner note connectedAt lastError lastErrorAt
    health healthAt syncedUntil settings createdAt changedAt"""
ACCOUNT = f"account {{ {FIELDS} }} errors {{ code message path nextStep }}"
CONNECT = f"mutation($input: ConnectChannelAccountInput!) {{ connectChannelAccount(input: $input) {{ {ACCOUNT} }} }}"
UPDATE = f"mutation($input: UpdateChannelAccountInput!) {{ updateChannelAccount(input: $input) {{ {ACCOUNT} }} }}"
PAUSE = f"mutation($input: ChannelAccountInput!) {{ pauseChannelAccount(input: $input) {{ {ACCOUNT} }} }}"
RESUME = f"mutation($input: ChannelAccountInput!) {{ resumeChannelAccount(input: $input) {{ {ACCOUNT} }} }}"
DISCONNECT = f"mutation($input: ChannelAccountInput!) {{ disconnectChannelAccount(input: $input) {{ {ACCOUNT} }} }}"
CHECK = f"mutation($input: ChannelAccountInput!) {{ checkChannelAccount(input: $input) {{ {ACCOUNT} }} }}"
SYNC = """
mutation($input: ChannelAccountInput!) {
  syncChannelAccount(input: $input) {
    job { id kind state about { name value } } errors { code message nextStep }
  }
}"""
LIST = f"""
query($slug: String!, $channel: String, $state: String) {{
  client(slug: $slug) {{ channelAccounts(channel: $channel, state: $state) {{ totalCount nodes {{ {FIELDS} }} }} }}
}}"""
ONE = f'query($id: ID!) {{ client(slug: "acme") {{ channelAccount(id: $id) {{ {FIELDS} }} }} }}'
JOB = """
query($id: ID!) {
  client(slug: "acme") { job(id: $id) { state done message result { name value } finishedAt } }
}"""
TO = "operator@acme"
SECRET = "t0p-s3cr3t-value"


def main(world: Any) -> dict[str, Any]:
    """The input that names the account that is there."""
    return {"client": "acme", "accountId": world.gid("ChannelAccount", world.accounts["acme"])}


def one(world: Any) -> dict[str, Any]:
    found: dict[str, Any] = world.data(TO, ONE, id=main(world)["accountId"])["client"]["channelAccount"]
    return found


def test_an_account_is_connected_and_its_secret_never_shown(world: Any) -> None:
    given = {
        "client": "acme",
        "channel": "shop",
        "name": "second",
        "settings": {"shop": "s2", "token": SECRET},
        "platform": "Taobao",
        "accountType": "shop",
        "permissionLevel": "write",
        "owner": "Han Mei",
        "note": "main shop",
    }
    answer = world.gql(TO, CONNECT, input=given)
    payload = answer["data"]["connectChannelAccount"]
    assert payload["errors"] == []
    account = payload["account"]
    assert account["settings"] == {"shop": "s2", "token": {"set": True}, "refresh_token": {"set": False}}
    for name in ("channel", "name", "platform", "accountType", "permissionLevel", "owner", "note"):
        assert account[name] == given[name]
    assert (account["state"], account["health"], account["isChannelOn"]) == ("connected", "unknown", True)
    assert account["connectedAt"] == START.isoformat()
    listed = world.gql(TO, LIST, slug="acme")
    assert SECRET not in str(answer) + str(listed)


def test_every_wrong_part_has_its_path(world: Any) -> None:
    given = {"client": "acme", "channel": "shop", "name": "x", "settings": {"token": 5}, "accountType": "boat"}
    payload = world.data(TO, CONNECT, input=given)["connectChannelAccount"]
    assert payload["account"] is None
    assert [error["path"] for error in payload["errors"]] == [["accountType"]]
    payload = world.data(TO, CONNECT, input=given | {"accountType": "shop"})["connectChannelAccount"]
    assert sorted(error["path"] for error in payload["errors"]) == [["settings", "shop"], ["settings", "token"]]


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"channel": "nothing", "name": "x"}, "NOT_FOUND"),
        ({"channel": "shop", "name": "main", "settings": {"shop": "s", "token": "t"}}, "CONFLICT"),
        ({"channel": "shop", "name": "x", "settings": "text"}, "BAD_USER_INPUT"),
    ],
)
def test_what_cannot_be_connected(world: Any, given: dict[str, Any], code: str) -> None:
    assert world.codes(TO, CONNECT, input={"client": "acme"} | given) == [code]


def test_a_planned_account_is_only_noted(world: Any) -> None:
    given = {"client": "acme", "channel": "shop", "name": "later", "planned": True}
    account = world.data(TO, CONNECT, input=given)["connectChannelAccount"]["account"]
    assert (account["state"], account["connectedAt"]) == ("planned", None)
    refused = world.data(TO, RESUME, input={"client": "acme", "accountId": account["id"]})["resumeChannelAccount"]
    assert {tuple(error["path"]) for error in refused["errors"]} == {("settings", "shop"), ("settings", "token")}


def test_a_change_leaves_what_is_left_out_secrets_included(world: Any) -> None:
    changed = world.data(TO, UPDATE, input=main(world) | {"note": "new", "settings": {"shop": "other"}})
    account = changed["updateChannelAccount"]["account"]
    assert (account["note"], account["name"]) == ("new", "main")
    assert account["settings"] == {"shop": "other", "token": {"set": True}, "refresh_token": {"set": False}}
    refused = world.data(TO, UPDATE, input=main(world) | {"settings": {"shop": "other", "token": None}})
    assert [error["path"] for error in refused["updateChannelAccount"]["errors"]] == [["settings", "token"]]


def test_kept_secrets_are_not_sent_to_another_address(world: Any) -> None:
    elsewhere = {"shop": "s1", "endpoint": "https://evil.example"}
    for form in (elsewhere, elsewhere | {"token": {"set": True}}):
        refused = world.data(TO, UPDATE, input=main(world) | {"settings": form})["updateChannelAccount"]
        assert refused["account"] is None
        assert [(error["code"], error["path"]) for error in refused["errors"]] == [
            ("BAD_USER_INPUT", ["settings", "token"])
        ]
        assert "endpoint" in refused["errors"][0]["message"]
        assert refused["errors"][0]["nextStep"]
    assert "endpoint" not in one(world)["settings"]
    same = {"shop": "s1", "endpoint": "https://shop.example"}
    account = world.data(TO, UPDATE, input=main(world) | {"settings": same})["updateChannelAccount"]["account"]
    assert account["settings"]["token"] == {"set": True}
    known = world.data(TO, UPDATE, input=main(world) | {"settings": elsewhere | {"token": "given anew"}})
    assert known["updateChannelAccount"]["account"]["settings"]["endpoint"] == "https://evil.example"


def test_an_account_is_paused_resumed_and_disconnected(world: Any) -> None:
    paused = world.data(TO, PAUSE, input=main(world))["pauseChannelAccount"]
    assert (paused["account"]["state"], paused["errors"]) == ("paused", [])
    assert world.data(TO, RESUME, input=main(world))["resumeChannelAccount"]["account"]["state"] == "connected"
    gone = world.data(TO, DISCONNECT, input=main(world))["disconnectChannelAccount"]["account"]
    assert gone["state"] == "disconnected"
    assert gone["settings"]["token"] == {"set": False}
    assert world.codes(TO, RESUME, input=main(world)) == ["BAD_USER_INPUT"]
    assert world.codes(TO, PAUSE, input=main(world)) == ["CONFLICT"]


def test_lists_are_narrowed_by_channel_and_state(world: Any) -> None:
    world.data(TO, PAUSE, input=main(world))
    found = world.data(TO, LIST, slug="acme", state="paused")["client"]["channelAccounts"]
    assert [node["name"] for node in found["nodes"]] == ["main"]
    found = world.data(TO, LIST, slug="acme", channel="console")["client"]["channelAccounts"]
    assert (found["totalCount"], [node["name"] for node in found["nodes"]]) == (1, ["out"])


def test_a_channel_that_is_off_shows_no_settings(world: Any) -> None:
    from fairlead.clients.plugin_sets import set_plugin

    with world.client_work("acme") as work:
        set_plugin(work, world.runtime.plugins, "shop", False)
    assert (one(world)["isChannelOn"], one(world)["settings"]) == (False, None)
    assert world.codes(TO, CHECK, input=main(world)) == ["PLUGIN_OFF"]


def test_a_check_asks_the_platform_and_writes_what_it_says(world: Any, shop: Any) -> None:
    def expired(_context: Any) -> Health:
        raise FixCredentials("the token has expired")

    def busy(_context: Any) -> Health:
        raise RetryLater("too many calls")

    shop.health = lambda context: Health(HealthState.OK)
    assert world.data(TO, CHECK, input=main(world))["checkChannelAccount"]["account"]["health"] == "ok"
    shop.health = busy
    account = world.data(TO, CHECK, input=main(world))["checkChannelAccount"]["account"]
    assert (account["health"], account["state"], account["lastError"]) == ("degraded", "connected", "too many calls")
    shop.health = expired
    account = world.data(TO, CHECK, input=main(world))["checkChannelAccount"]["account"]
    assert (account["health"], account["state"], account["lastError"]) == ("down", "failed", "the token has expired")
    assert account["lastErrorAt"] == START.isoformat()


def test_a_sync_is_a_job_that_counts_what_it_stores(world: Any, shop: Any) -> None:
    def pages(_context: Any, window: Any) -> Any:
        if window.end == START:
            yield [OrderRecord(f"n{number}", START, START, "paid", "CNY", 100) for number in range(2)]
            yield [OrderRecord("n2", START, START, "paid", "CNY", 100)]

    shop.pages = pages
    started = world.data(TO, SYNC, input=main(world) | {"idempotencyKey": "k"})["syncChannelAccount"]
    assert started["errors"] == []
    job = started["job"]
    assert (job["kind"], job["state"]) == ("channels.sync_job", "QUEUED")
    assert {"name": "account", "value": "main"} in job["about"]
    world.engine.run_due()
    ended = world.data(TO, JOB, id=job["id"])["client"]["job"]
    assert (ended["state"], ended["done"]) == ("DONE", 3)
    assert {"name": "records", "value": "3"} in ended["result"]
    assert one(world)["syncedUntil"] == START.isoformat()
    again = world.data(TO, SYNC, input=main(world) | {"idempotencyKey": "k"})["syncChannelAccount"]["job"]
    assert (again["id"], again["state"]) == (job["id"], "DONE")
    paused = main(world) | {"idempotencyKey": "k", "accountId": world.gid("ChannelAccount", world.accounts["bolt"])}
    assert world.codes(TO, SYNC, input=paused) == ["CONFLICT"]


def test_a_sync_that_fails_says_why(world: Any, shop: Any) -> None:
    def broken(_context: Any, _window: Any) -> Any:
        raise FixCredentials("the token has expired")

    shop.pages = broken
    job = world.data(TO, SYNC, input=main(world))["syncChannelAccount"]["job"]
    world.engine.run_due()
    ended = world.data(TO, JOB, id=job["id"])["client"]["job"]
    assert ended["state"] == "FAILED"
    assert ended["message"]
    assert one(world)["state"] == "failed"


def test_without_an_engine_nothing_is_begun(world: Any) -> None:
    world.runtime.engine = None
    payload = world.data(TO, SYNC, input=main(world))["syncChannelAccount"]
    assert payload["job"] is None
    assert [error["code"] for error in payload["errors"]] == ["UNAVAILABLE"]
    assert payload["errors"][0]["nextStep"]
    jobs = world.data(TO, '{ client(slug: "acme") { jobs { totalCount nodes { id } } } }')["client"]["jobs"]
    assert jobs == {"totalCount": 0, "nodes": []}


def test_a_job_that_the_engine_does_not_take_is_handed_over_later(world: Any, clock: Any) -> None:
    world.engine.stop()
    payload = world.data(TO, SYNC, input=main(world))["syncChannelAccount"]
    assert (payload["job"]["state"], payload["errors"]) == ("QUEUED", [])
    world.engine.start()
    clock.advance(minutes=2)
    assert hand_over_forgotten(world.runtime, world.engine) == 1
    world.engine.run_due()
    assert world.data(TO, JOB, id=payload["job"]["id"])["client"]["job"]["state"] == "DONE"


def test_the_same_key_asks_the_platform_once(world: Any, shop: Any) -> None:
    asked: list[int] = []

    def health(_context: Any) -> Health:
        asked.append(len(asked))
        return Health(HealthState.OK)

    shop.health = health
    first = world.data(TO, CHECK, input=main(world) | {"idempotencyKey": "k"})
    assert world.data(TO, CHECK, input=main(world) | {"idempotencyKey": "k"}) == first
    assert first["checkChannelAccount"]["account"]["health"] == "ok"
    assert asked == [0]
    other = {"client": "acme", "accountId": world.gid("ChannelAccount", 10**6), "idempotencyKey": "k"}
    assert world.codes(TO, CHECK, input=other) == ["CONFLICT"]
    assert world.codes(TO, CHECK, input=other | {"idempotencyKey": "l"}) == ["NOT_FOUND"]


def test_only_what_has_orders_and_is_in_use_is_synced(world: Any) -> None:
    nodes = world.data(TO, LIST, slug="acme", channel="console")["client"]["channelAccounts"]["nodes"]
    assert world.codes(TO, SYNC, input={"client": "acme", "accountId": nodes[0]["id"]}) == ["CONFLICT"]
    world.data(TO, PAUSE, input=main(world))
    assert world.codes(TO, SYNC, input=main(world)) == ["CONFLICT"]


def test_the_same_key_connects_once(world: Any) -> None:
    given = {
        "client": "acme",
        "channel": "shop",
        "name": "second",
        "settings": {"shop": "s2", "token": SECRET},
        "idempotencyKey": "k",
    }
    first = world.data(TO, CONNECT, input=given)
    assert world.data(TO, CONNECT, input=given) == first
    assert world.codes(TO, CONNECT, input=given | {"settings": {"shop": "s2", "token": "other"}}) == ["CONFLICT"]
    assert world.data(TO, LIST, slug="acme")["client"]["channelAccounts"]["totalCount"] == 3
