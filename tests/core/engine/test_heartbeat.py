"""Who is alive, judged by change and never by comparing clocks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from fairlead.engine.heartbeat import Heartbeats, SameExecutor, heartbeat_table


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def database(tmp_path: Path) -> Iterator[sa.Engine]:
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'app.sqlite'}")
    metadata = sa.MetaData()
    heartbeat_table(metadata)
    metadata.create_all(engine)
    yield engine
    engine.dispose()


def rows(database: sa.Engine) -> dict[str, int]:
    with database.connect() as connection:
        found = connection.exec_driver_sql("SELECT executor_id, heartbeat_at FROM engine_executor")
        return {executor: beat for executor, beat in found}  # noqa: C416 -- rows are not pairs to mypy


class Node:
    """One process with clocks of its own."""

    def __init__(self, database: sa.Engine, executor: str, wall: float = 1_700_000_000.0) -> None:
        self.wall, self.monotonic = Clock(), Clock()
        self.wall.now = wall
        self.beats = Heartbeats(database, executor, dead_after=30, wall=self.wall, monotonic=self.monotonic)

    def after(self, seconds: float) -> None:
        self.wall.now += seconds
        self.monotonic.now += seconds


def test_an_executor_is_dead_when_its_row_stood_still(database: sa.Engine) -> None:
    one, two = Node(database, "one"), Node(database, "two")
    one.beats.begin()
    two.beats.begin()
    assert two.beats.dead([]) == []
    for _ in range(5):
        two.after(10)
        one.after(10)
        one.beats.beat()
        assert two.beats.dead(["one"]) == []
    two.after(29)
    assert two.beats.dead(["one"]) == []
    two.after(1)
    assert two.beats.dead(["one"]) == ["one"]


def test_clocks_may_differ_and_jump(database: sa.Engine) -> None:
    one, two = Node(database, "one", wall=5e8), Node(database, "two", wall=2e9)
    one.beats.begin()
    two.beats.begin()
    assert two.beats.dead([]) == []
    for jump in (7200, -86400, 0, 0):
        one.wall.now += jump
        two.wall.now -= jump
        two.monotonic.now += 20
        one.beats.beat()
        assert two.beats.dead([]) == []


def test_beats_change_even_when_the_clock_stands_still(database: sa.Engine) -> None:
    one = Node(database, "one")
    one.beats.begin()
    seen = [rows(database)["one"]]
    for _ in range(3):
        one.beats.beat()
        seen.append(rows(database)["one"])
    assert seen == sorted(set(seen))


def test_an_executor_with_work_and_no_row_dies_too(database: sa.Engine) -> None:
    two = Node(database, "two")
    two.beats.begin()
    assert two.beats.dead(["ghost"]) == []
    two.after(30)
    assert two.beats.dead(["ghost"]) == ["ghost"]
    assert two.beats.claim("ghost") is True
    assert set(rows(database)) == {"ghost", "two"}
    two.beats.bury("ghost")
    assert set(rows(database)) == {"two"}


@pytest.mark.parametrize("dead", ["one", "ghost"])
def test_only_one_watcher_gets_the_work_and_the_next_one_if_it_dies(database: sa.Engine, dead: str) -> None:
    Node(database, "one").beats.begin()
    two, three = Node(database, "two"), Node(database, "three")
    for watcher in (two, three):
        watcher.beats.begin()
        assert watcher.beats.dead([dead]) == []
        watcher.after(30)
        assert dead in watcher.beats.dead([dead])

    assert [two.beats.claim(dead), three.beats.claim(dead)] == [True, False]

    two.after(30)
    three.after(30)
    three.beats.beat()
    assert dead in three.beats.dead([dead])
    assert three.beats.claim(dead) is True


def test_who_comes_back_is_not_buried(database: sa.Engine) -> None:
    one, two = Node(database, "one"), Node(database, "two")
    one.beats.begin()
    two.beats.begin()
    two.beats.dead([])
    two.after(30)
    assert two.beats.dead([]) == ["one"]
    assert two.beats.claim("one") is True
    one.after(31)
    one.beats.beat()
    two.beats.bury("one")
    assert set(rows(database)) == {"one", "two"}


def test_who_was_buried_writes_its_row_again(database: sa.Engine) -> None:
    one, two = Node(database, "one"), Node(database, "two")
    one.beats.begin()
    two.beats.begin()
    two.beats.dead([])
    two.after(30)
    two.beats.dead([])
    two.beats.claim("one")
    two.beats.bury("one")
    assert set(rows(database)) == {"two"}
    one.beats.beat()
    assert set(rows(database)) == {"one", "two"}


def test_a_second_process_with_the_same_id_is_told(database: sa.Engine) -> None:
    first, second = Node(database, "one"), Node(database, "one", wall=1_700_000_005.0)
    first.beats.begin()
    second.beats.begin()
    with pytest.raises(SameExecutor, match="'one' is also used on"):
        first.beats.beat()
    second.beats.beat()
    first.beats.end()
    assert set(rows(database)) == {"one"}
    second.beats.end()
    assert rows(database) == {}
