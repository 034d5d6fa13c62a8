"""The engine on DBOS: durable on SQLite within one process, and on PostgreSQL over any number of them.

A run is one DBOS workflow whose attempts are its steps: finished attempts are never repeated after a crash, the one in
progress is. The wait between attempts is ours, not DBOS's, so that it obeys ``retry_after`` and ends when the process
stops. DBOS allows one working engine per process; an engine with ``work=False`` only enqueues and asks, and any number
of those may be open.
"""

from __future__ import annotations

import datetime as dt
import logging
import math
import threading
import time
from collections.abc import Callable, Collection, Sequence
from typing import Any, cast

import sqlalchemy as sa
from dbos import DBOS, DBOSClient, EnqueueOptions

from fairlead.engine.attempt import Outcome, attempt
from fairlead.engine.dbos_runs import OPEN, STATUSES, run_of
from fairlead.engine.dbos_setup import (
    APPLICATION,
    MAX_LOSSES,
    SCHEMA,
    SERIALIZER,
    RunFailed,
    dbos_config,
    dbos_url,
    declare,
    quiet_logs,
    system_engine,
)
from fairlead.engine.heartbeat import Heartbeats
from fairlead.engine.port import (
    DEFAULT_QUEUES,
    DEFAULT_RETRY,
    EngineError,
    Function,
    Job,
    Payload,
    Queue,
    Registry,
    Retry,
    Run,
    State,
)
from fairlead.engine.takeover import Keeper, Takeover

log = logging.getLogger("fairlead.engine")

_only_one = threading.Lock()


class _Interrupted(BaseException):
    """Leaves a DBOS workflow without an outcome, which only something that is no ``Exception`` does."""


class DbosEngine:
    """:class:`~fairlead.engine.port.Engine` on DBOS.

    ``database`` is the core's own database, which holds the heartbeat table; ``url`` is the engine's database
    (:func:`~fairlead.engine.dbos_setup.system_url`). ``executor_id`` names this replica and stays the same over its
    restarts. All times are seconds: queues are looked at every ``poll``, an executor is dead ``dead_after`` its last
    ``heartbeat``, finished runs are cleared away after ``keep``.
    """

    def __init__(
        self,
        database: sa.Engine,
        url: str,
        *,
        executor_id: str,
        queues: Sequence[Queue] = DEFAULT_QUEUES,
        work: bool = True,
        poll: float = 1.0,
        heartbeat: float = 5.0,
        dead_after: float = 30.0,
        keep: dt.timedelta = dt.timedelta(days=7),
    ) -> None:
        if not 0 < heartbeat <= dead_after / 2:
            raise EngineError("dead_after must be at least twice the heartbeat")
        self._registry = Registry.of(queues)
        self._database = database
        self._url = url
        self._executor_id = executor_id
        self._work = work
        self._poll = poll
        self._heartbeat = heartbeat
        self._dead_after = dead_after
        self._keep = keep
        self._stopping = threading.Event()
        self._busy: list[str] = []
        self._last_end = -math.inf
        self._lock = threading.Lock()
        self._system: sa.Engine | None = None
        self._open_client: DBOSClient | None = None
        self._takeover: Takeover | None = None
        self._heartbeats: Heartbeats | None = None
        self._keeper: Keeper | None = None

    def register(self, name: str, function: Function, retry: Retry = DEFAULT_RETRY) -> None:
        """See :class:`~fairlead.engine.port.Engine`."""
        self._registry.add_job(name, function, retry)

    def schedule(self, name: str, cron: str, zone: str = "UTC", queue: str = "default") -> None:
        """See :class:`~fairlead.engine.port.Engine`."""
        self._registry.add_schedule(name, cron, zone, queue)

    # -- start and stop ---------------------------------------------------------------------------------------------

    def start(self) -> None:
        """See :class:`~fairlead.engine.port.Engine`. Creates or migrates the engine's tables."""
        if self._registry.started:
            raise EngineError("this engine has been started already")
        if self._work and not _only_one.acquire(blocking=False):
            raise EngineError("a working engine runs in this process already: stop it first, or use work=False")
        self._stopping.clear()
        quiet_logs()
        self._system = system_engine(self._url)
        try:
            DBOS.migrate(dbos_url(self._url), schema=SCHEMA)
            takeover, heartbeats = self._connect(self._system)
            if self._work:
                # Before the launch, so that its threads find them at their first look.
                declare(self._client, self._registry, self._poll, self._system.dialect.name)
                # Also before it: our new row keeps others from requeuing what the launch itself takes up again.
                heartbeats.begin()
                self._launch(self._system)
                self._keep_house(takeover, heartbeats)
        except BaseException:
            self._close()
            raise
        self._registry.started = True

    def stop(self, grace: float = 30.0) -> bool:
        """See :class:`~fairlead.engine.port.Engine`.

        A call that outlives ``grace`` keeps its thread, and with it the process, until it ends.
        """
        if not self._registry.started:
            return True
        self._stopping.set()
        self._registry.started = False
        if self._work:
            # A run that has just ended may still be writing its outcome: DBOS waits for it, in whole seconds.
            idle = not self._busy and time.monotonic() - self._last_end > 0.25
            DBOS.destroy(destroy_registry=True, workflow_completion_timeout_sec=0 if idle else max(1, math.ceil(grace)))
        with self._lock:
            left = frozenset(self._busy)
        try:
            if self._keeper is not None and self._takeover is not None and self._heartbeats is not None:
                self._takeover.hand_back(left)
                self._keeper.finish()
                if not left:
                    self._heartbeats.end()
        finally:
            self._close()
        return not left

    def _launch(self, system: sa.Engine) -> None:
        DBOS(config=dbos_config(self._url, system, self._executor_id, self._poll))
        for job in self._registry.jobs.values():
            DBOS.workflow(name=job.name, max_recovery_attempts=MAX_LOSSES)(self._body(job))
        DBOS.launch()

    def _connect(self, system: sa.Engine) -> tuple[Takeover, Heartbeats]:
        self._open_client = DBOSClient(
            system_database_engine=system,
            dbos_system_schema=SCHEMA,
            serializer=SERIALIZER,
            application_name=APPLICATION,
        )
        self._heartbeats = Heartbeats(self._database, self._executor_id, dead_after=self._dead_after)
        self._takeover = Takeover(self._open_client, self._heartbeats, self._executor_id, self._can_run)
        return self._takeover, self._heartbeats

    def _keep_house(self, takeover: Takeover, heartbeats: Heartbeats) -> None:
        self._keeper = Keeper(
            takeover, heartbeats, beat_every=self._heartbeat, sweep_every=self._dead_after / 3, keep=self._keep
        )
        self._keeper.start()

    def _close(self) -> None:
        if self._keeper is not None:
            self._keeper.finish()
        if self._work:
            DBOS.destroy(destroy_registry=True)
        if self._open_client is not None:
            self._open_client.destroy()
        if self._system is not None:
            self._system.dispose()
        self._keeper = self._takeover = self._heartbeats = self._open_client = self._system = None
        if self._work:
            _only_one.release()

    def _can_run(self, name: str) -> bool:
        return not self._work or name in self._registry.jobs

    # -- the others -------------------------------------------------------------------------------------------------

    def enqueue(
        self,
        name: str,
        payload: Payload,
        *,
        key: str | None = None,
        queue: str = "default",
        delay: float | None = None,
        partition: str | None = None,
    ) -> str:
        """See :class:`~fairlead.engine.port.Engine`. A run taken over from a dead executor no longer holds its key."""
        self._registry.check(name, payload, queue, delay, partition)
        options = EnqueueOptions(workflow_name=name, queue_name=queue)
        if key is not None:
            options["deduplication_id"] = key
            options["duplication_policy"] = "return-existing"
        if delay:
            options["delay_seconds"] = delay
        if partition is not None:
            options["queue_partition_key"] = partition
        return self._client.enqueue(options, dict(payload)).get_workflow_id()

    def cancel(self, run_id: str) -> bool:
        """See :class:`~fairlead.engine.port.Engine`."""
        run = self.status(run_id)
        if run is None or run.state not in OPEN:
            return False
        self._client.cancel_workflow(run_id)
        return True

    def status(self, run_id: str) -> Run | None:
        """See :class:`~fairlead.engine.port.Engine`."""
        found = self._client.list_workflows(workflow_ids=[run_id], load_input=False)
        return run_of(found[0]) if found else None

    def runs(self, *, name: str | None = None, states: Collection[State] = (), limit: int = 100) -> Sequence[Run]:
        """See :class:`~fairlead.engine.port.Engine`."""
        found = self._client.list_workflows(
            name=name,
            status=[status for state in states for status in STATUSES[state]] or None,
            limit=limit,
            sort_desc=True,
            load_input=False,
        )
        return [run_of(status) for status in found]

    def sweep(self) -> int:
        """See :class:`~fairlead.engine.port.Engine`. The first look at an executor only starts its time."""
        if self._takeover is None:
            raise EngineError("start the engine before using it")
        return self._takeover.sweep()

    @property
    def _client(self) -> DBOSClient:
        if self._open_client is None:
            raise EngineError("start the engine before using it")
        return self._open_client

    # -- within a run -----------------------------------------------------------------------------------------------

    def _body(self, job: Job) -> Callable[..., Any]:
        def body(*args: Any) -> Any:
            run_id = cast(str, DBOS.workflow_id)
            with self._lock:
                if self._stopping.is_set():
                    raise _Interrupted
                self._busy.append(run_id)
            try:
                return self._run(job, run_id, args)
            finally:
                with self._lock:
                    self._busy.remove(run_id)
                    self._last_end = time.monotonic()

        return body

    def _run(self, job: Job, run_id: str, args: tuple[Any, ...]) -> Any:
        payload = args[0]
        if not isinstance(payload, dict):
            # DBOS starts a scheduled run with (instant, context).
            instant = dt.datetime.fromisoformat(payload).astimezone(dt.UTC)
            payload = {"scheduled_at": instant.isoformat()}
            if DBOS.run_step({"name": "overtaken"}, self._predecessor_is_open, job.name, run_id):
                return None
        number = 0
        while True:
            number += 1
            outcome: Outcome = DBOS.run_step({"name": "attempt"}, attempt, job, payload, number)
            if not outcome["error"]:
                return outcome["result"]
            if outcome["wait"] is None:
                log.warning("run %s of %s failed: %s", run_id, job.name, outcome["error"])
                raise RunFailed(outcome["error"])
            log.info("run %s of %s, attempt %d: %s", run_id, job.name, number, outcome["error"])
            if self._stopping.wait(max(0.0, outcome["ended_at"] + outcome["wait"] - time.time())):
                raise _Interrupted

    def _predecessor_is_open(self, name: str, run_id: str) -> bool:
        statuses = [status for state in OPEN for status in STATUSES[state]]
        ticks = self._client.list_workflows(schedule_name=name, status=statuses, load_input=False, load_output=False)
        created = {tick.workflow_id: (tick.created_at or 0, tick.workflow_id) for tick in ticks}
        return any(other < created[run_id] for other in created.values()) if run_id in created else False
