"""A worker process is killed with its hands full; the other one finishes everything."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from fairlead.engine.dbos_engine import DbosEngine
from fairlead.engine.dbos_setup import system_url
from fairlead.engine.heartbeat import heartbeat_table
from fairlead.engine.port import Queue, State

RUNS = 40
WORKER = Path(__file__).with_name("crash_worker.py")


def lines(log: Path, word: str) -> list[tuple[int | str, str]]:
    found = [line.split() for line in log.read_text().splitlines()] if log.exists() else []
    return [(n if n == "-" else int(n), executor) for what, n, executor in found if what == word]


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def test_the_work_of_a_killed_process_is_taken_over(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path, wait: Callable[..., Any]
) -> None:
    url, log = request.getfixturevalue(f"{kind}_url"), tmp_path / "log"
    database = sa.create_engine(url)
    metadata = sa.MetaData()
    table = heartbeat_table(metadata)
    metadata.create_all(database)
    workers = [
        subprocess.Popen(
            [sys.executable, str(WORKER), url, name, str(log), "60"], stderr=(tmp_path / f"{name}.err").open("wb")
        )
        for name in ("victim", "heir")
    ]

    def ready() -> bool:
        for worker, name in zip(workers, ("victim", "heir"), strict=True):
            assert worker.poll() is None, (tmp_path / f"{name}.err").read_text()
        return len(lines(log, "ready")) == 2

    client = DbosEngine(database, system_url(url), executor_id="api", queues=(Queue("default", workers=3),), work=False)
    client.register("batch", lambda payload: None)
    try:
        wait(ready, 60)
        client.start()
        for n in range(RUNS):
            client.enqueue("batch", {"n": n})

        wait(lambda: any(executor == "victim" for _, executor in lines(log, "done")))
        wait(lambda: in_hand(log, "victim"))
        os.kill(workers[0].pid, signal.SIGKILL)
        workers[0].wait(10)
        lost = in_hand(log, "victim")

        wait(lambda: len(client.runs(states=[State.SUCCEEDED], limit=RUNS)) == RUNS, 60)
        assert sorted(run.result for run in client.runs(limit=RUNS)) == list(range(RUNS))
        done = [n for n, _ in lines(log, "done")]
        assert set(done) == set(range(RUNS))
        # At most what was in flight is repeated: three runs, finished but not yet recorded, or half done.
        starts = [n for n, _ in lines(log, "start")]
        assert len(starts) - RUNS <= 3
        assert all((n, "heir") in lines(log, "done") for n in lost)
        wait(lambda: alive(database, table) == ["heir"])
    finally:
        client.stop()
        for worker in workers:
            worker.kill()
            worker.wait(10)
        database.dispose()


def in_hand(log: Path, executor: str) -> set[int | str]:
    """What the executor has started and not finished."""
    return {n for n, who in lines(log, "start") if who == executor} - {
        n for n, who in lines(log, "done") if who == executor
    }


def alive(database: sa.Engine, table: sa.Table) -> list[str]:
    with database.connect() as connection:
        return sorted(connection.execute(sa.select(table.c.executor_id)).scalars())
