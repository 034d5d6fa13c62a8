"""Named locks hold over threads and processes, and are let go by a process that dies."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from fairlead.governance.locks import Held, NamedLocks
from fairlead.storage.database import Database

HOLDER = """
import sys
from fairlead.governance.locks import NamedLocks
from fairlead.storage.database import Database
with NamedLocks(Database(sys.argv[1])).hold("x"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_it_is_held_once_and_free_again(database: Database) -> None:
    one, two = NamedLocks(database), NamedLocks(database)
    with one.hold("x"):
        for locks in (one, two):
            with pytest.raises(Held), locks.hold("x"):
                pass
        with two.hold("y"):
            pass
    with two.hold("x"):
        pass
    one.close()
    two.close()


def test_a_lock_that_cannot_be_asked_for_is_not_called_held(database: Database) -> None:
    locks = NamedLocks(database)
    if not database.is_sqlite:
        pytest.skip("the locks of PostgreSQL are no files")
    with locks.hold("x"):
        pass
    (file,) = Path(f"{database.url.database}-locks").iterdir()
    Path(f"{file}-journal").mkdir()
    with pytest.raises(sqlite3.OperationalError, match="unable to open"), locks.hold("x"):
        pass


def test_a_waiter_gets_it_in_time(database: Database) -> None:
    locks, order = NamedLocks(database), []
    held, release = threading.Event(), threading.Event()

    def first() -> None:
        with locks.hold("x"):
            held.set()
            release.wait()
            order.append(1)

    def second() -> None:
        with NamedLocks(database).hold("x", wait=30):
            order.append(2)

    threads = [threading.Thread(target=first), threading.Thread(target=second)]
    threads[0].start()
    held.wait()
    with pytest.raises(Held), NamedLocks(database).hold("x", wait=0.05):
        pass
    threads[1].start()
    release.set()
    for thread in threads:
        thread.join()
    locks.close()
    assert order == [1, 2]


def test_a_process_that_is_killed_lets_go(database: Database, database_url: str) -> None:
    locks = NamedLocks(database)
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, database_url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == "held"
        with pytest.raises(Held), locks.hold("x"):
            pass
    finally:
        process.kill()
        process.wait()
    with locks.hold("x", wait=10):
        pass
    locks.close()
