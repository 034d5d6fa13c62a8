"""The engine port: background work, cron, retries and rate limits, behind nine methods.

An engine starts functions; it holds no truth. The truth is in the domain's rows (``due_at``, lease, owner), so a lost
trigger costs one tick and a function that runs twice changes nothing the second time. Work is coarse: one run is a
batch of some hundred items, never one person.

Order of calls: :meth:`Engine.register` and :meth:`Engine.schedule`, then :meth:`Engine.start`, then the others, then
:meth:`Engine.stop`. Payloads and results are JSON, are stored in clear text and hold ids, never secrets or people.
"""

from __future__ import annotations

import datetime as dt
import enum
import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

Payload = Mapping[str, Any]
Function = Callable[[dict[str, Any]], Any]

_NAME = re.compile(r"[a-z][a-z0-9_.]{1,63}")


class EngineError(RuntimeError):
    """The engine is used in a way it cannot serve: a mistake of the program, not of a caller."""


class State(enum.StrEnum):
    """Where a run is. The last three are final."""

    DELAYED = "delayed"
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Retry:
    """How often a run is tried (``attempts``, at least 1) and how many seconds it waits in between.

    The wait before attempt *n + 1* is ``first * factor ** (n - 1)``, or the ``retry_after`` of a platform where that is
    longer; at most ``longest`` in either case, since a waiting run keeps its place in its queue's ``workers`` and what
    is at the other end must not be able to hold it. Waits of hours belong into a row.
    """

    attempts: int = 3
    first: float = 1.0
    factor: float = 2.0
    longest: float = 60.0

    def __post_init__(self) -> None:
        if self.attempts < 1 or self.first < 0 or self.factor < 1 or self.longest < 0:
            raise ValueError("attempts must be at least 1, factor at least 1, and waits not negative")

    def wait(self, attempt: int) -> float:
        """Seconds to wait after the failed attempt number ``attempt`` (from 1)."""
        return min(self.first * self.factor ** (attempt - 1), self.longest)


DEFAULT_RETRY = Retry()


@dataclass(frozen=True, slots=True)
class Rate:
    """At most ``limit`` starts within any ``period`` seconds."""

    limit: int
    period: float


@dataclass(frozen=True, slots=True)
class Queue:
    """A line of work. Each queue costs a thread per process, so there are few.

    ``workers`` is how many of its runs one process works on at a time; an engine that polls starts at most so many at
    each look, so short runs are worth batching. ``rate`` and ``at_once`` hold for each partition
    over all processes (partition = channel account): how many may start in a time, how many may run at once. A queue
    that has either is partitioned, and each enqueue must then name its partition. Starts are counted when a run is
    taken from the queue, so keep a margin under a platform's hard limit. Runs of a partition start in the order of
    their enqueuing, to the resolution of the database's clock (a second on SQLite under Python 3.11).
    """

    name: str
    workers: int = 4
    rate: Rate | None = None
    at_once: int | None = None

    @property
    def partitioned(self) -> bool:
        """Whether each enqueue must name a partition."""
        return self.rate is not None or self.at_once is not None


DEFAULT_QUEUES = (Queue("default"), Queue("accounts", workers=8, at_once=1), Queue("notices", workers=4, at_once=1))
"""Partitions are channel accounts in ``accounts`` and a client's notifiers in ``notices``: strangers answer in both."""


@dataclass(frozen=True, slots=True)
class Run:
    """One enqueued call as it stands now. ``error`` never holds a person's data; instants are UTC."""

    id: str
    name: str
    queue: str
    state: State
    created_at: dt.datetime
    finished_at: dt.datetime | None = None
    partition: str | None = None
    result: Any = None
    error: str = ""


@runtime_checkable
class Engine(Protocol):
    """What the domain needs of a background engine."""

    def register(self, name: str, function: Function, retry: Retry = DEFAULT_RETRY) -> None:
        """Make ``function(payload)`` known as ``name``. It may run twice and at the same time as itself.

        What it raises is retried unless the error says that trying again is useless (:mod:`fairlead.engine.attempt`).
        """
        ...

    def schedule(self, name: str, cron: str, zone: str = "UTC", queue: str = "default") -> None:
        """Run ``name`` by a cron expression (5 fields, or 6 with seconds first) on the wall clock of ``zone``.

        The payload is ``{"scheduled_at": "<ISO 8601, UTC>"}``. A tick whose predecessor is unfinished is skipped; ticks
        missed while no engine ran are not made up for. One schedule per name.
        """
        ...

    def start(self) -> None:
        """Begin to work. Raises :class:`EngineError` where a second engine cannot run."""
        ...

    def stop(self, grace: float = 30.0) -> bool:
        """Take no more work and wait up to ``grace`` seconds for the runs in progress.

        ``True`` when all of them ended. Nothing is lost either way: what is queued, waits for a retry or is still busy
        goes on when an engine starts on the same database.
        """
        ...

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
        """Queue one run and return its id. It starts after ``delay`` seconds at the earliest.

        While a run with the same ``key`` in the same queue is unfinished, its id is returned and nothing is added.
        """
        ...

    def cancel(self, run_id: str) -> bool:
        """Cancel a run; ``False`` when it is unknown or finished. A call in progress ends, its outcome is dropped."""
        ...

    def status(self, run_id: str) -> Run | None:
        """The run, or ``None`` when it is unknown or was cleared away."""
        ...

    def runs(self, *, name: str | None = None, states: Collection[State] = (), limit: int = 100) -> Sequence[Run]:
        """The newest runs first, of one name and of some states if given."""
        ...

    def sweep(self) -> int:
        """Requeue the work of executors that died, and return how many runs that were. Engines call it themselves."""
        ...


@dataclass(frozen=True, slots=True)
class Job:
    """A registered function."""

    name: str
    function: Function
    retry: Retry


@dataclass(frozen=True, slots=True)
class Schedule:
    """A registered cron schedule."""

    name: str
    cron: str
    zone: str
    queue: str


@dataclass(slots=True)
class Registry:
    """What both engines know of names and queues, and the checks they share."""

    queues: Mapping[str, Queue]
    jobs: dict[str, Job] = field(default_factory=dict)
    schedules: dict[str, Schedule] = field(default_factory=dict)
    started: bool = False

    @classmethod
    def of(cls, queues: Sequence[Queue]) -> Registry:
        """A registry for these queues; a name twice is an error."""
        named = {queue.name: queue for queue in queues}
        if len(named) != len(queues):
            raise EngineError("two queues have the same name")
        return cls(queues=named)

    def add_job(self, name: str, function: Function, retry: Retry) -> None:
        """Check and keep a function."""
        if self.started:
            raise EngineError(f"register {name!r} before the engine starts")
        if not _NAME.fullmatch(name):
            raise EngineError(f"workflow name {name!r} must be 2-64 of a-z, 0-9, _ and ., and start with a letter")
        if name in self.jobs:
            raise EngineError(f"workflow {name!r} is registered twice")
        self.jobs[name] = Job(name, function, retry)

    def add_schedule(self, name: str, cron: str, zone: str, queue: str) -> None:
        """Check and keep a schedule; its workflow must be registered first."""
        if self.started:
            raise EngineError(f"schedule {name!r} before the engine starts")
        if name not in self.jobs:
            raise EngineError(f"register workflow {name!r} before scheduling it")
        if name in self.schedules:
            raise EngineError(f"workflow {name!r} is scheduled twice")
        self._plain_queue(queue, f"schedule {name!r}")
        try:
            CronSim(cron, dt.datetime.now(ZoneInfo(zone)))
        except CronSimError as error:
            raise EngineError(f"schedule {name!r}: {cron!r} is not a cron expression: {error}") from None
        except (ZoneInfoNotFoundError, ValueError):
            raise EngineError(f"schedule {name!r}: {zone!r} is not a time zone") from None
        self.schedules[name] = Schedule(name, cron, zone, queue)

    def check(self, name: str, payload: Payload, queue: str, delay: float | None, partition: str | None) -> None:
        """Refuse an enqueue that no engine could serve."""
        if not self.started:
            raise EngineError("start the engine before using it")
        if name not in self.jobs:
            raise EngineError(f"workflow {name!r} is not registered")
        if queue not in self.queues:
            raise EngineError(f"there is no queue {queue!r}; there are: {', '.join(sorted(self.queues))}")
        if self.queues[queue].partitioned and not partition:
            raise EngineError(f"queue {queue!r} is partitioned: name the partition")
        if not self.queues[queue].partitioned and partition is not None:
            raise EngineError(f"queue {queue!r} has no partitions")
        if delay is not None and not delay >= 0:
            raise EngineError("a delay is a number of seconds from 0")
        check_json(dict(payload), "payload")

    def _plain_queue(self, queue: str, what: str) -> None:
        if queue not in self.queues or self.queues[queue].partitioned:
            raise EngineError(f"{what} needs a queue without partitions, not {queue!r}")


def check_json(value: Any, what: str) -> None:
    """Raise :class:`EngineError` unless ``value`` is JSON; the message names no content."""
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        raise EngineError(f"the {what} must be JSON: objects with text keys, lists, texts, numbers, booleans") from None
