"""A mutation whose caller was told that its time is over commits nothing afterwards."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from fairlead.audiences import segments
from fairlead.clients import members, service
from fairlead.customers import profiles
from fairlead_graphql.app import build_app

SEGMENT = """
mutation { createSegment(input: {client: "acme", name: "late", rule: {identity: {kind: "email"}}}) {
  segment { id } errors { code } } }"""
CLIENT = 'mutation { createClient(input: {slug: "late", name: "Late"}) { client { id } errors { code } } }'
MEMBER = """
mutation { addMember(input: {client: "acme", name: "Late", email: "late@people.test", role: "analyst"}) {
  member { id } errors { code } } }"""
REVEAL = """
mutation { revealProfile(input: {client: "acme", profileId: "%s", purpose: "late"}) { name errors { code } } }"""


@pytest.fixture
def hasty(world: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    """The application over the same data, with little time for a request."""
    monkeypatch.setenv("FAIRLEAD_LIMIT_REQUEST_SECONDS", "0.5")
    with TestClient(build_app(world.runtime), base_url="http://localhost") as http:
        yield http


@pytest.fixture
def late(world: Any, hasty: TestClient, monkeypatch: pytest.MonkeyPatch) -> Callable[[Any, str, str], int]:
    """``late(module, name, query)``: the status of a mutation in which that function waits until it was answered."""

    def ask(module: Any, name: str, query: str) -> int:
        answered, real = threading.Event(), getattr(module, name)

        def wait(*args: Any, **more: Any) -> Any:
            assert answered.wait(30)
            return real(*args, **more)

        monkeypatch.setattr(module, name, wait)
        headers = {"Authorization": f"Bearer {world.tokens['admin']}", "Content-Type": "application/json"}
        response = hasty.post("/graphql", json={"query": query}, headers=headers)
        answered.set()
        pool = hasty.app.state.door.pool  # type: ignore[attr-defined]
        idle = threading.Event()
        for _ in range(3000):
            if pool.busy == 0 or idle.wait(0.01):
                break
        assert pool.busy == 0
        return response.status_code

    return ask


def audit(world: Any, *actions: str) -> list[str]:
    query = '{ agency { audit { nodes { action } } } client(slug: "acme") { audit { nodes { action } } } }'
    data = world.data("admin", query)
    return [node["action"] for place in data.values() for node in place["audit"]["nodes"] if node["action"] in actions]


def test_a_mutation_at_a_client(world: Any, late: Callable[[Any, str, str], int]) -> None:
    assert late(segments, "record", SEGMENT) == 504
    found = world.data("admin", '{ client(slug: "acme") { segment(name: "late") { id } } }')["client"]
    assert found == {"segment": None}


def test_a_mutation_of_the_agency(world: Any, late: Callable[[Any, str, str], int]) -> None:
    assert late(service, "record", CLIENT) == 504
    assert world.data("admin", '{ client(slug: "late") { id } }') == {"client": None}


def test_a_mutation_of_a_place(world: Any, late: Callable[[Any, str, str], int]) -> None:
    before = audit(world, "member.added")
    assert late(members, "record", MEMBER) == 504
    assert audit(world, "member.added") == before


def test_what_was_shown_to_nobody_was_not_revealed(world: Any, late: Callable[[Any, str, str], int]) -> None:
    assert late(profiles, "record", REVEAL % world.gid("Profile", world.profiles["acme"][0])) == 504
    assert audit(world, "profile.reveal") == []
