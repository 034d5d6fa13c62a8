"""The engine in memory: for tests and for virtual time. Runs one call at a time, in a fixed order; nothing survives.

With ``now`` given, time stands still until :meth:`MemoryEngine.run_due` moves it, and every delay, retry, rate and cron
tick on the way happens at its exact instant. Without it, :meth:`MemoryEngine.start` begins a thread on the real clock.
"""

from __future__ import annotations

import datetime as dt
import itertools
import math
import threading
import time
from collections import defaultdict, deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from cronsim import CronSim

from fairlead.engine.attempt import attempt
from fairlead.engine.port import (
    DEFAULT_QUEUES,
    DEFAULT_RETRY,
    EngineError,
    Function,
    Payload,
    Queue,
    Registry,
    Retry,
    Run,
    State,
)

_OPEN = (State.DELAYED, State.QUEUED, State.RUNNING)


@dataclass(slots=True)
class _Entry:
    """One run: the function's arguments, when it may go on, and what it came to. Times are epoch seconds."""

    id: str
    order: int
    name: str
    queue: Queue
    payload: dict[str, Any]
    due: float
    created: float
    state: State
    key: str | None = None
    partition: str | None = None
    scheduled: bool = False
    attempts: int = 0
    finished: float | None = None
    result: Any = None
    error: str = ""

    @property
    def lane(self) -> tuple[str, str | None]:
        return self.queue.name, self.partition


class MemoryEngine:
    """:class:`~fairlead.engine.port.Engine` without a database."""

    def __init__(self, queues: Sequence[Queue] = DEFAULT_QUEUES, *, now: dt.datetime | None = None) -> None:
        self._registry = Registry.of(queues)
        self._virtual = now is not None
        self._now = now.timestamp() if now is not None else time.time()
        self._entries: dict[str, _Entry] = {}
        self._starts: dict[tuple[str, str | None], deque[float]] = defaultdict(deque)
        self._ticks: dict[str, CronSim] = {}
        self._next_tick: dict[str, float] = {}
        self._order = itertools.count(1)
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._stopping = False
        self._thread: threading.Thread | None = None

    def register(self, name: str, function: Function, retry: Retry = DEFAULT_RETRY) -> None:
        """See :class:`~fairlead.engine.port.Engine`."""
        self._registry.add_job(name, function, retry)

    def schedule(self, name: str, cron: str, zone: str = "UTC", queue: str = "default") -> None:
        """See :class:`~fairlead.engine.port.Engine`."""
        self._registry.add_schedule(name, cron, zone, queue)

    def start(self) -> None:
        """Begin; on the real clock with a thread, on the virtual one work happens in :meth:`run_due`."""
        with self._lock:
            if self._registry.started:
                raise EngineError("this engine has been started already")
            self._registry.started = True
            self._stopping = False
            for schedule in self._registry.schedules.values():
                self._ticks[schedule.name] = CronSim(
                    schedule.cron, dt.datetime.fromtimestamp(self._clock(), ZoneInfo(schedule.zone))
                )
                self._advance_tick(schedule.name)
            if not self._virtual:
                self._thread = threading.Thread(target=self._work, name="fairlead-engine", daemon=True)
                self._thread.start()

    def stop(self, grace: float = 30.0) -> bool:
        """See :class:`~fairlead.engine.port.Engine`."""
        with self._changed:
            self._stopping = True
            self._registry.started = False
            self._changed.notify_all()
        thread, self._thread = self._thread, None
        if thread is None or thread is threading.current_thread():
            return True
        thread.join(grace)
        return not thread.is_alive()

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
        """See :class:`~fairlead.engine.port.Engine`."""
        with self._changed:
            self._registry.check(name, payload, queue, delay, partition)
            for entry in self._entries.values():
                if key is not None and entry.key == key and entry.queue.name == queue and entry.state in _OPEN:
                    return entry.id
            entry = self._add(name, dict(payload), self._registry.queues[queue], delay or 0.0)
            entry.key, entry.partition = key, partition
            self._changed.notify_all()
            return entry.id

    def cancel(self, run_id: str) -> bool:
        """See :class:`~fairlead.engine.port.Engine`."""
        with self._lock:
            entry = self._entries.get(run_id)
            if entry is None or entry.state not in _OPEN:
                return False
            self._finish(entry, State.CANCELLED)
            return True

    def status(self, run_id: str) -> Run | None:
        """See :class:`~fairlead.engine.port.Engine`."""
        with self._lock:
            entry = self._entries.get(run_id)
            return None if entry is None else self._run(entry)

    def runs(self, *, name: str | None = None, states: Collection[State] = (), limit: int = 100) -> Sequence[Run]:
        """See :class:`~fairlead.engine.port.Engine`."""
        with self._lock:
            newest_first = (self._run(entry) for entry in reversed(self._entries.values()))
            wanted = (run for run in newest_first if name in (None, run.name) and (not states or run.state in states))
            return list(itertools.islice(wanted, limit))

    def sweep(self) -> int:
        """Nothing to take over: this engine dies with its only executor."""
        return 0

    def run_due(self, now: dt.datetime | None = None) -> int:
        """Do all work due up to ``now`` (default: the clock) in order of time, and return the number of calls made.

        On the virtual clock this is what moves time, forward only.
        """
        until = self._clock() if now is None else now.timestamp()
        if self._virtual and until < self._now:
            raise ValueError("virtual time only goes forward")
        calls = 0
        while (entry := self._take(until)) is not None:
            self._call(entry)
            calls += 1
        if self._virtual:
            self._now = until
        return calls

    # -- time -------------------------------------------------------------------------------------------------------

    def _clock(self) -> float:
        return self._now if self._virtual else time.time()

    def _work(self) -> None:
        while True:
            self.run_due()
            with self._changed:
                if self._stopping:
                    return
                wake = min(
                    [self._ready(entry) for entry in self._open()] + list(self._next_tick.values()), default=math.inf
                )
                self._changed.wait(max(0.001, min(wake - time.time(), 60.0)))

    def _advance_tick(self, name: str) -> None:
        self._next_tick[name] = next(self._ticks[name]).timestamp()

    def _fire(self, name: str) -> None:
        at, queue = self._next_tick[name], self._registry.schedules[name].queue
        self._advance_tick(name)
        if any(entry.scheduled and entry.name == name for entry in self._open()):
            return
        if self._virtual:
            self._now = max(self._now, at)
        instant = dt.datetime.fromtimestamp(at, dt.UTC).isoformat()
        entry = self._add(name, {"scheduled_at": instant}, self._registry.queues[queue], 0.0)
        entry.scheduled = True

    # -- runs -------------------------------------------------------------------------------------------------------

    def _open(self) -> list[_Entry]:
        return [entry for entry in self._entries.values() if entry.state in _OPEN]

    def _add(self, name: str, payload: dict[str, Any], queue: Queue, delay: float) -> _Entry:
        order, now = next(self._order), self._clock()
        state = State.DELAYED if delay else State.QUEUED
        entry = _Entry(f"run-{order}", order, name, queue, payload, now + delay, now, state)
        self._entries[entry.id] = entry
        return entry

    def _ready(self, entry: _Entry) -> float:
        """When the run may start or go on; infinite while others of its queue or partition hold all places."""
        if entry.state is State.RUNNING:
            return entry.due
        running = [other for other in self._open() if other.state is State.RUNNING and other.queue == entry.queue]
        alongside = [other for other in running if other.partition == entry.partition]
        if len(running) >= entry.queue.workers or len(alongside) >= (entry.queue.at_once or math.inf):
            return math.inf
        starts, rate = self._starts[entry.lane], entry.queue.rate
        if rate is None or len(starts) < rate.limit:
            return entry.due
        return max(entry.due, starts[-rate.limit] + rate.period)

    def _take(self, until: float) -> _Entry | None:
        """The next run that is ready by ``until``, marked as running; fires the cron ticks that come before it."""
        with self._lock:
            while not self._stopping:
                ready, _, entry = min(
                    ((self._ready(entry), entry.order, entry) for entry in self._open()),
                    default=(math.inf, 0, None),
                    key=lambda candidate: candidate[:2],
                )
                tick, name = min(((at, name) for name, at in self._next_tick.items()), default=(math.inf, ""))
                if tick <= min(ready, until):
                    self._fire(name)
                elif entry is None or ready > until:
                    return None
                else:
                    return self._begin(entry, ready)
            return None

    def _begin(self, entry: _Entry, ready: float) -> _Entry:
        if self._virtual:
            self._now = max(self._now, ready)
        if entry.state is not State.RUNNING and entry.queue.rate is not None:
            starts = self._starts[entry.lane]
            starts.append(self._clock())
            while len(starts) > entry.queue.rate.limit:
                starts.popleft()
        entry.state = State.RUNNING
        entry.attempts += 1
        return entry

    def _call(self, entry: _Entry) -> None:
        job = self._registry.jobs[entry.name]
        outcome = attempt(job, dict(entry.payload), entry.attempts, self._now if self._virtual else None)
        with self._lock:
            if entry.state is not State.RUNNING:
                return
            if not outcome["error"]:
                entry.result = outcome["result"]
                self._finish(entry, State.SUCCEEDED)
            elif outcome["wait"] is None:
                entry.error = outcome["error"]
                self._finish(entry, State.FAILED)
            else:
                entry.due = outcome["ended_at"] + outcome["wait"]

    def _finish(self, entry: _Entry, state: State) -> None:
        entry.state, entry.finished = state, self._clock()

    def _run(self, entry: _Entry) -> Run:
        due = entry.state is State.DELAYED and entry.due <= self._clock()
        return Run(
            id=entry.id,
            name=entry.name,
            queue=entry.queue.name,
            state=State.QUEUED if due else entry.state,
            created_at=dt.datetime.fromtimestamp(entry.created, dt.UTC),
            finished_at=None if entry.finished is None else dt.datetime.fromtimestamp(entry.finished, dt.UTC),
            partition=entry.partition,
            result=entry.result,
            error=entry.error,
        )
