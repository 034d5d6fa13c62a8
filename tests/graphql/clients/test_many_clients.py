"""An operation over more clients than there are database connections neither waits for itself nor holds others up."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.pool import QueuePool

from fairlead.clients.service import create_client

MANY = 24
EACH = """
query($first: Int!) {
  clients(first: $first) { nodes { slug profiles(first: 1) { totalCount } tags { nodes { id } } } }
}"""
FIRST = """
fragment First on Client {
  slug profiles(first: 1) { totalCount nodes { id orders { nodes { sourceId } } } }
}"""
CREATE_TAG = 'createTag(input: {client: "%s", name: "%s"}) { tag { name profileCount } errors { code } }'


@pytest.fixture
def many(world: Any) -> Any:
    """``world`` with more clients than its database has connections."""
    pool = world.runtime.database.engine.pool
    assert isinstance(pool, QueuePool)
    assert pool.size() + pool._max_overflow < MANY
    with world.runtime.agency_work("test") as work:
        for number in range(MANY - len(world.clients)):
            create_client(work, world.agency, f"more-{number:02}", "More")
    return world


@contextmanager
def most_connections(world: Any) -> Iterator[list[int]]:
    """How many connections were out of the pool at each time one was taken."""
    pool, seen = world.runtime.database.engine.pool, [0]

    def note(*_: object) -> None:
        seen.append(pool.checkedout())

    event.listen(pool, "checkout", note)
    try:
        yield seen
    finally:
        event.remove(pool, "checkout", note)


def test_one_operation_reads_more_clients_than_there_are_connections(many: Any) -> None:
    with most_connections(many) as seen:
        nodes = many.data("operator", EACH, first=MANY)["clients"]["nodes"]
    assert {node["slug"]: node["profiles"]["totalCount"] for node in nodes} == {
        **{f"more-{number:02}": 0 for number in range(MANY - 2)},
        "acme": 3,
        "bolt": 3,
    }
    # One that is read from, and one for a moment to find a client by its name or see what is on there.
    assert max(seen) <= 2


def test_operations_over_many_clients_run_beside_each_other(many: Any) -> None:
    with ThreadPoolExecutor(6) as threads:
        answers = list(threads.map(lambda _: many.data("operator", EACH, first=12), range(12)))
    assert all(len(answer["clients"]["nodes"]) == 12 for answer in answers)


def test_clients_that_take_turns_each_answer_with_their_own(many: Any) -> None:
    names = ["acme", "bolt", "acme", "more-00", "bolt"]
    asked = " ".join(f'a{at}: client(slug: "{name}") {{ ...First }}' for at, name in enumerate(names))
    data = many.data("operator", f"{{ {asked} }} {FIRST}")
    for at, name in enumerate(names):
        found = data[f"a{at}"]
        assert (found["slug"], found["profiles"]["totalCount"]) == (name, 3 if name in many.profiles else 0)
        for node in found["profiles"]["nodes"]:
            assert node["id"] == many.gid("Profile", many.profiles[name][0])
            assert node["orders"]["nodes"] == [{"sourceId": f"{name}-order-0"}]


def test_several_mutations_of_one_operation_see_what_each_has_changed(many: Any) -> None:
    made = [f"a{at}: {CREATE_TAG % (name, f'tag-{at}')}" for at, name in enumerate(("acme", "bolt", "acme"))]
    with most_connections(many) as seen:
        data = many.data("operator", f"mutation {{ {' '.join(made)} }}")
    assert [data[f"a{at}"]["tag"]["name"] for at in range(3)] == ["tag-0", "tag-1", "tag-2"]
    assert max(seen) <= 2
