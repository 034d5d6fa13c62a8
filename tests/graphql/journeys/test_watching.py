"""A journey is watched while people move, by whoever may read it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fairlead.journeys import service
from fairlead.journeys.advance import advance
from fairlead_graphql.journeys import subscriptions

WATCH = """
subscription ($id: ID!) { journeyCounts(client: "acme", journeyId: $id) { nodeId state people reachedGoal } }
"""
GRAPH = {
    "nodes": [
        {"id": "start", "kind": "trigger_manual"},
        {"id": "rest", "kind": "wait", "settings": {"days": 1}},
        {"id": "end", "kind": "exit"},
    ],
    "edges": [{"source": "start", "target": "rest"}, {"source": "rest", "target": "end"}],
}


@contextmanager
def socket(world: Any, token: str) -> Iterator[Any]:
    with world.http.websocket_connect("ws://localhost/graphql", subprotocols=["graphql-transport-ws"]) as found:
        found.send_json({"type": "connection_init", "payload": {"authorization": f"Bearer {world.tokens[token]}"}})
        assert found.receive_json()["type"] == "connection_ack"
        yield found


def watch(found: Any, id_: str) -> None:
    found.send_json({"id": "1", "type": "subscribe", "payload": {"query": WATCH, "variables": {"id": id_}}})


def active_journey(world: Any) -> int:
    with world.client_work("acme") as work:
        journey = service.create_journey(work, "watched", "", GRAPH).id
        service.activate_journey(work, journey)
    return int(journey)


def test_a_journey_is_watched_to_its_end(world: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(subscriptions, "EVERY", 0.02)
    number = active_journey(world)
    with socket(world, "analyst@acme") as found:
        watch(found, world.gid("Journey", number))
        assert found.receive_json()["payload"]["data"]["journeyCounts"] == []
        with world.client_work("acme") as work:
            service.enrol_profiles(work, number, world.profiles["acme"])
        seen = [found.receive_json()["payload"]["data"]["journeyCounts"]]
        advance(world.runtime, world.clients["acme"])
        seen.append(found.receive_json()["payload"]["data"]["journeyCounts"])
        with world.client_work("acme") as work:
            service.archive_journey(work, number)
        seen.append(found.receive_json()["payload"]["data"]["journeyCounts"])
        assert found.receive_json() == {"id": "1", "type": "complete"}
    assert [[(one["nodeId"], one["state"], one["people"]) for one in counts] for counts in seen] == [
        [("start", "ACTIVE", 3)],
        [("rest", "ACTIVE", 3)],
        [("rest", "EXITED", 3)],
    ]


def test_watching_needs_the_permission_at_the_client_of_the_journey(world: Any) -> None:
    mine = world.gid("Journey", active_journey(world))
    for token, id_, code in (
        ("analyst@bolt", mine, "NOT_FOUND"),
        ("auditor@acme", mine, "FORBIDDEN"),
        ("analyst@acme", "?", "BAD_USER_INPUT"),
        ("analyst@acme", world.gid("Journey", 10**15), "NOT_FOUND"),
    ):
        with socket(world, token) as found:
            watch(found, id_)
            message = found.receive_json()
            errors = message["payload"] if message["type"] == "error" else message["payload"]["errors"]
            assert [error["extensions"]["code"] for error in errors] == [code], token
