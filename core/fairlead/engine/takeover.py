"""Housekeeping of a working process: beat, take over the work of the dead, clear away what is long finished.

DBOS by itself brings a dead executor's runs back only to a process with the same executor id. Here any living process
does it, with DBOS's public calls and our heartbeat rows.
"""

from __future__ import annotations

import datetime as dt
import logging
import threading
import time
from collections.abc import Callable, Collection

from dbos import DBOSClient, WorkflowStatus

from fairlead.engine.dbos_setup import MAX_LOSSES
from fairlead.engine.heartbeat import Heartbeats, SameExecutor

log = logging.getLogger("fairlead.engine")

_PURGE_EVERY = 3600.0
_PURGE_BATCH = 1000


class Takeover:
    """Finds and requeues runs that nobody works on."""

    def __init__(
        self, client: DBOSClient, heartbeats: Heartbeats, executor_id: str, can_run: Callable[[str], bool]
    ) -> None:
        self._client = client
        self._heartbeats = heartbeats
        self._executor_id = executor_id
        self._can_run = can_run
        # sweep() is public, and the housekeeping thread calls it too.
        self._lock = threading.Lock()

    def sweep(self) -> int:
        """Requeue the runs of dead executors, and those of this one whose workflow it does not know."""
        with self._lock:
            held = self._held()
            requeued = 0
            for executor in self._heartbeats.dead(held):
                if self._heartbeats.claim(executor):
                    # Listed again after the claim: only now nobody else is requeuing them.
                    lost = self._held().get(executor, [])
                    requeued += sum(self._requeue(run, lost=True) for run in lost)
                    self._heartbeats.bury(executor)
                    if lost:
                        log.warning("executor %s is dead; requeued %d of its runs", executor, len(lost))
            strangers = [run for run in held.get(self._executor_id, []) if not self._can_run(run.name)]
            for run in strangers:
                log.warning("this process has no workflow %r; requeued run %s for another", run.name, run.workflow_id)
            return requeued + sum(self._requeue(run, lost=True) for run in strangers)

    def hand_back(self, busy: Collection[str]) -> int:
        """Requeue what this process holds and does not work on. For a process that stops."""
        mine = self._held().get(self._executor_id, [])
        return sum(self._requeue(run, lost=False) for run in mine if run.workflow_id not in busy)

    def purge(self, older_than: dt.timedelta, stop: threading.Event) -> int:
        """Delete finished runs of before then, in batches."""
        before = (dt.datetime.now(dt.UTC) - older_than).isoformat()
        deleted = 0
        while not stop.is_set():
            old = self._client.list_workflows(
                completed_before=before, limit=_PURGE_BATCH, load_input=False, load_output=False
            )
            if old:
                self._client.delete_workflows([run.workflow_id for run in old])
                deleted += len(old)
            if len(old) < _PURGE_BATCH:
                break
        return deleted

    def _held(self) -> dict[str, list[WorkflowStatus]]:
        held: dict[str, list[WorkflowStatus]] = {}
        for run in self._client.list_workflows(status="PENDING", load_input=False, load_output=False):
            if run.executor_id is not None:
                held.setdefault(run.executor_id, []).append(run)
        return held

    def _requeue(self, run: WorkflowStatus, *, lost: bool) -> bool:
        losses = int((run.attributes or {}).get("losses", 0)) + lost
        if losses > MAX_LOSSES:
            self._client.update_workflow_attributes(
                run.workflow_id, {"error": f"given up: {losses} processes died or could not run it"}, merge=True
            )
            self._client.cancel_workflow(run.workflow_id)
            log.error("run %s of %s is given up after %d lost processes", run.workflow_id, run.name, losses)
            return False
        if lost:
            self._client.update_workflow_attributes(run.workflow_id, {"losses": losses}, merge=True)
        self._client.resume_workflow(run.workflow_id, queue_name=run.queue_name)
        return True


class Keeper(threading.Thread):
    """The thread that does the housekeeping until :meth:`finish`."""

    def __init__(
        self, takeover: Takeover, heartbeats: Heartbeats, *, beat_every: float, sweep_every: float, keep: dt.timedelta
    ) -> None:
        super().__init__(name="fairlead-engine-keeper", daemon=True)
        self._takeover = takeover
        self._heartbeats = heartbeats
        self._beat_every = beat_every
        self._sweep_every = sweep_every
        self._keep = keep
        self._stop_event = threading.Event()

    def run(self) -> None:
        """Beat and sweep; an error is logged by its type and tried again next time."""
        due = {self._beat: 0.0, self._sweep: 0.0, self._purge: time.monotonic() + _PURGE_EVERY}
        every = {self._beat: self._beat_every, self._sweep: self._sweep_every, self._purge: _PURGE_EVERY}
        while not self._stop_event.is_set():
            for duty, at in due.items():
                if time.monotonic() >= at:
                    due[duty] = time.monotonic() + every[duty]
                    self._do(duty)
            self._stop_event.wait(max(0.0, min(due.values()) - time.monotonic()))

    def finish(self) -> None:
        """Stop and wait for the duty in progress."""
        self._stop_event.set()
        if self.is_alive():
            self.join(timeout=30)

    def _do(self, duty: Callable[[], object]) -> None:
        try:
            duty()
        except SameExecutor as error:
            log.error("%s", error)
        except Exception as error:  # noqa: BLE001 -- a database that is away must not end the housekeeping
            log.warning("engine housekeeping failed: %s; it will be tried again", type(error).__name__)

    def _beat(self) -> None:
        self._heartbeats.beat()

    def _sweep(self) -> None:
        self._takeover.sweep()

    def _purge(self) -> None:
        self._takeover.purge(self._keep, self._stop_event)
