"""What only the DBOS engine has: one per process, safe logs, lost workers, unknown workflows, clearing away."""

from __future__ import annotations

import datetime as dt
import json
import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from dbos import DBOSClient

from fairlead.engine.dbos_engine import DbosEngine
from fairlead.engine.dbos_setup import SERIALIZER, system_engine, system_url
from fairlead.engine.heartbeat import Heartbeats, heartbeat_table
from fairlead.engine.port import EngineError, Queue, Retry, State
from fairlead.engine.takeover import Takeover

Wait = Callable[..., Any]


class Place:
    """One SQLite database and the engines opened on it."""

    def __init__(self, folder: Path) -> None:
        self.url = f"sqlite:///{folder / 'app.sqlite'}"
        self.system = system_url(self.url)
        self.database = sa.create_engine(self.url)
        metadata = sa.MetaData()
        heartbeat_table(metadata)
        metadata.create_all(self.database)
        self.engines: list[DbosEngine] = []

    def engine(self, executor_id: str = "one", **options: Any) -> DbosEngine:
        """An engine that looks often."""
        options = {"queues": (Queue("default"),), "poll": 0.05, **options}
        self.engines.append(DbosEngine(self.database, self.system, executor_id=executor_id, **options))
        return self.engines[-1]

    def client(self) -> DBOSClient:
        """DBOS's own client, to look behind the port."""
        return DBOSClient(
            system_database_engine=system_engine(self.system), serializer=SERIALIZER, application_name="fairlead"
        )


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    yield made
    for engine in made.engines:
        engine.stop(1)
    made.database.dispose()


def state(engine: DbosEngine, run: str) -> State:
    found = engine.status(run)
    assert found is not None
    return found.state


def test_one_working_engine_per_process(place: Place) -> None:
    first, second = place.engine(), place.engine("two")
    first.start()
    with pytest.raises(EngineError, match="runs in this process already"):
        second.start()
    assert first.stop() is True
    second.start()


def test_a_start_that_fails_leaves_the_process_free(place: Place, tmp_path: Path) -> None:
    empty = sa.create_engine(f"sqlite:///{tmp_path / 'no-heartbeat-table.sqlite'}")
    broken = DbosEngine(empty, system_url(f"sqlite:///{tmp_path / 'no.sqlite'}"), executor_id="one")
    with pytest.raises(sa.exc.OperationalError):
        broken.start()
    empty.dispose()
    place.engine().start()


def test_an_engine_without_work_only_enqueues(place: Place, wait: Wait) -> None:
    seen: list[Any] = []
    clients = [place.engine(name, work=False) for name in ("api-1", "api-2")]
    for client in clients:
        client.register("work", lambda payload: seen.append("never here"))
        client.start()
    runs = [client.enqueue("work", {"n": n}) for n, client in enumerate(clients)]
    worker = place.engine()
    worker.register("work", lambda payload: seen.append(payload["n"]))
    worker.start()
    wait(lambda: all(state(clients[0], run) is State.SUCCEEDED for run in runs))
    assert sorted(seen) == [0, 1]
    assert [client.stop() for client in clients] == [True, True]


def test_logs_name_no_data_and_go_to_the_handlers_of_the_process(
    place: Place, wait: Wait, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    engine = place.engine()

    def leak(payload: dict[str, Any]) -> None:
        raise ValueError("13800138000")

    engine.register("leak", leak, Retry(attempts=2, first=0.01))
    with caplog.at_level(logging.INFO):
        engine.start()
        run = engine.enqueue("leak", {"phone": "13900139000"})
        wait(lambda: state(engine, run) is State.FAILED)
        engine.stop()
    assert [
        record.message.startswith(f"run {run} of leak failed: ValueError in leak") for record in caplog.records
    ] == [
        False,
        True,
    ]
    text = caplog.text + "".join(capfd.readouterr())
    assert "13800138000" not in text
    assert "13900139000" not in text


def test_a_traceback_of_dbos_itself_is_cut_to_its_type(caplog: pytest.LogCaptureFixture, place: Place) -> None:
    place.engine().start()
    try:
        raise KeyError("13800138000")
    except KeyError:
        logging.getLogger("dbos").exception("something broke:")
    logging.getLogger("dbos").info("chatter")
    assert "something broke: KeyError" in caplog.text
    assert "13800138000" not in caplog.text
    assert "chatter" not in caplog.text


def test_what_is_stored_is_json(place: Place, wait: Wait) -> None:
    engine = place.engine()
    engine.register("work", lambda payload: {"名": 1})
    engine.start()
    run = engine.enqueue("work", {"a": "值"})
    wait(lambda: state(engine, run) is State.SUCCEEDED)
    engine.stop()
    system = system_engine(place.system)
    with system.connect() as connection:
        cells = [
            str(cell)
            for table in sa.inspect(system).get_table_names()
            for row in connection.execute(sa.select(sa.text("*")).select_from(sa.table(table)))
            for cell in row
        ]
    system.dispose()
    assert any(json.loads(cell)["positionalArgs"] == [{"a": "值"}] for cell in cells if "值" in cell)
    assert '{"名":1}' in cells
    # Pickles in base64 begin so.
    assert [cell for cell in cells if cell.startswith("gAS")] == []


def test_an_unknown_workflow_is_left_to_others_and_in_the_end_given_up(place: Place, wait: Wait) -> None:
    api = place.engine("api", work=False)
    api.register("new", lambda payload: None)
    api.start()
    old = place.engine("old", heartbeat=0.05, dead_after=0.3)
    old.start()
    run = api.enqueue("new", {})
    wait(lambda: state(api, run) is State.CANCELLED)
    assert api.status(run).error == "given up: 6 processes died or could not run it"  # type: ignore[union-attr]
    old.stop()
    known = place.engine("new", heartbeat=0.05, dead_after=0.3)
    known.register("new", lambda payload: "known")
    known.start()
    second = api.enqueue("new", {})
    wait(lambda: state(api, second) is State.SUCCEEDED)


def test_a_run_keeps_its_queue_and_loses_only_the_attempt_in_progress(place: Place, wait: Wait) -> None:
    """Its executor stops beating (as if it were frozen), another watcher requeues its run, and it finishes."""
    gate, calls, lock = threading.Event(), [], threading.Lock()

    def work(payload: dict[str, Any]) -> str:
        with lock:
            calls.append(1)
            mine = len(calls)
        if mine == 1:
            raise RuntimeError
        if mine == 2:
            gate.wait(10)
        return f"call {mine}"

    engine = place.engine(heartbeat=30.0, dead_after=60.0)
    engine.register("work", work, Retry(attempts=3, first=0.01))
    engine.start()
    run = engine.enqueue("work", {})
    wait(lambda: len(calls) == 2)
    client = place.client()
    watcher = Heartbeats(place.database, "watcher", dead_after=0.0)
    takeover = Takeover(client, watcher, "watcher", lambda name: True)

    assert takeover.sweep() == 1

    wait(lambda: len(calls) == 3)
    wait(lambda: state(engine, run) is State.SUCCEEDED)
    gate.set()
    found = engine.status(run)
    assert found is not None
    # The failed first attempt is not repeated; the frozen second call's outcome does not count.
    assert (found.result, found.queue, len(calls)) == ("call 3", "default", 3)
    client.destroy()


def test_finished_runs_are_cleared_away(place: Place, wait: Wait) -> None:
    engine = place.engine()
    engine.register("work", lambda payload: None)
    engine.start()
    run = engine.enqueue("work", {})
    waiting = engine.enqueue("work", {}, delay=60)
    wait(lambda: state(engine, run) is State.SUCCEEDED)
    client = place.client()
    takeover = Takeover(client, Heartbeats(place.database, "w", dead_after=9), "w", lambda name: True)
    assert takeover.purge(dt.timedelta(days=1), threading.Event()) == 0
    assert takeover.purge(dt.timedelta(days=-1), threading.Event()) == 1
    assert engine.status(run) is None
    assert state(engine, waiting) is State.DELAYED
    client.destroy()


def test_a_schedule_that_is_gone_from_the_code_stops(place: Place) -> None:
    engine = place.engine()
    engine.register("tick", lambda payload: None)
    engine.schedule("tick", "0 3 * * *")
    engine.start()
    client = place.client()
    assert [stored["schedule_name"] for stored in client.list_schedules()] == ["tick"]
    engine.stop()
    place.engine().start()
    assert client.list_schedules() == []
    client.destroy()


def test_the_engine_lives_beside_the_database() -> None:
    assert system_url("sqlite:////srv/fairlead/app.sqlite3").endswith(":////srv/fairlead/app-engine.sqlite3")
    assert system_url("/srv/app").endswith("/srv/app-engine.sqlite")
    assert system_url("postgresql://u:p@h/db") == "postgresql+psycopg://u:p@h/db"


def test_times_that_would_kill_the_living_are_refused(place: Place) -> None:
    with pytest.raises(EngineError, match="twice the heartbeat"):
        place.engine(heartbeat=5.0, dead_after=6.0)
