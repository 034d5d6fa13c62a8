"""Long work with progress. The row is the truth: the engine only runs it, and a person or the API reads the row."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from fairlead.clients.model import Client
from fairlead.engine.attempt import describe
from fairlead.errors import Conflict, DomainError, NotFound
from fairlead.governance.audit import record
from fairlead.governance.model import Job
from fairlead.observability.redact import redact_text
from fairlead.work import Work

if TYPE_CHECKING:
    from fairlead.runtime import Fairlead

OPEN = ("queued", "running")
EVERY = 0.5
RUN = "engine_run"


class JobCancelled(DomainError):
    """Somebody cancelled the job while it ran; the work stops at the next report of progress."""

    code = "CANCELLED"


def create_job(work: Work, kind: str, payload: Mapping[str, Any] | None = None, *, total: int = 0) -> Job:
    """A queued job. ``payload`` is JSON, shown to who may read jobs: ids and names, no secrets or people."""
    job = Job(
        kind=kind,
        state="queued",
        payload=dict(payload or {}),
        total=total,
        actor=work.actor.actor[:60],
        created_at=work.now,
    )
    work.session.add(job)
    work.session.flush()
    return job


def link_run(work: Work, job_id: int, run_id: str) -> None:
    """Keep the id of the engine's run with the job, so that cancelling reaches it."""
    job = get_job(work, job_id)
    job.payload = {**job.payload, RUN: run_id}


def get_job(work: Work, job_id: int) -> Job:
    """The job; raises ``NotFound``."""
    job = work.session.scalars(
        sa.select(Job).where(Job.id == job_id).execution_options(populate_existing=True)
    ).one_or_none()
    if job is None:
        raise NotFound("there is no such job")
    return job


def forgotten_jobs(
    work: Work, before: dt.datetime, *, first: int, after_id: int = 0
) -> list[tuple[int, int, str, dict[str, Any]]]:
    """Jobs of all clients by id after ``after_id``, queued before ``before`` and without a run of the engine.

    Each is client, id, kind and payload; agency-wide work. Archived clients are left alone.
    """
    rows = work.session.execute(
        sa.select(Job.client_id, Job.id, Job.kind, Job.payload)
        .join(Client, Client.id == Job.client_id)
        .where(
            Client.state == "active",
            Job.id > after_id,
            # Written out, since SQLite matches no bound value with the partial index.
            Job.state == sa.literal("queued", literal_execute=True),
            Job.created_at < before,
            Job.payload[RUN].as_string().is_(None),
        )
        .order_by(Job.id)
        .limit(first)
    )
    return [(row.client_id, row.id, row.kind, row.payload) for row in rows]


def start_job(work: Work, job_id: int) -> Job:
    """Mark it as running; a job that was interrupted is started again. Raises ``Conflict`` for an ended one."""
    job = get_job(work, job_id)
    moved = _move(work, job_id, OPEN, state="running", started_at=job.started_at or work.now)
    if not moved:
        raise Conflict(f"the job is {job.state} already")
    return get_job(work, job_id)


def count_done(work: Work, job_id: int, count: int) -> None:
    """Count ``count`` more units of a running job as done, in the transaction that does them.

    For work that is stored piece by piece: the count is exact, and a cancelled job undoes the piece. Raises
    :class:`JobCancelled` for a job that is not running any more.
    """
    if not _move(work, job_id, ("running",), done=Job.done + count):
        raise JobCancelled("the job was cancelled")


def finish_job(work: Work, job_id: int, result: Mapping[str, Any] | None = None) -> bool:
    """Mark it as done, with a JSON result; ``False`` when it had ended otherwise before."""
    return _move(work, job_id, OPEN, state="done", finished_at=work.now, result=dict(result or {}))


def fail_job(work: Work, job_id: int, message: str) -> bool:
    """Mark it as failed; ``message`` is for people and is redacted. ``False`` when it had ended before."""
    return _move(work, job_id, OPEN, state="failed", finished_at=work.now, message=redact_text(message)[:1000])


def cancel_job(work: Work, job_id: int) -> Job:
    """Cancel a queued or running job, audited. Raises ``Conflict`` when it has ended.

    Work in progress stops at its next report; the caller cancels the engine's run (``payload["engine_run"]``) too.
    """
    job = get_job(work, job_id)
    if not _move(work, job_id, OPEN, state="cancelled", finished_at=work.now):
        raise Conflict(f"the job is {job.state} already")
    record(work, "job.cancelled", "job", job_id, {"state": job.state}, {"state": "cancelled"})
    return get_job(work, job_id)


def _move(work: Work, job_id: int, states: Collection[str], **values: Any) -> bool:
    work.session.flush()
    result = work.session.execute(
        sa.update(Job)
        .where(Job.id == job_id, Job.state.in_(tuple(states)))
        .values(**values)
        .execution_options(synchronize_session=False)
    )
    return bool(getattr(result, "rowcount", 0))


class Progress:
    """Reports of one running job, each in a short transaction of its own and at most two a second.

    Never report from inside an open unit of work: on SQLite there is one writer, and it would wait for itself.
    """

    def __init__(
        self,
        runtime: Fairlead,
        client_id: int,
        job_id: int,
        *,
        every: float = EVERY,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._runtime = runtime
        self._client_id = client_id
        self._job_id = job_id
        self._every = every
        self._timer = timer
        self._next = float("-inf")
        self._pending: dict[str, Any] = {}
        self.done = 0
        self.concluded = False

    def advance(self, count: int = 1) -> None:
        """Count ``count`` more units as done."""
        self.report(self.done + count)

    def report(self, done: int, *, total: int | None = None, message: str | None = None) -> None:
        """Say how far the work is. Raises :class:`JobCancelled` when nobody wants it any more."""
        self.done = done
        self._pending["done"] = done
        if total is not None:
            self._pending["total"] = total
        if message is not None:
            self._pending["message"] = redact_text(message)[:1000]
        if self._timer() >= self._next:
            self.flush()

    def flush(self) -> None:
        """Write what is not written yet."""
        self._next = self._timer() + self._every
        pending, self._pending = self._pending, {}
        if not pending:
            return

        def write(work: Work) -> bool:
            return _move(work, self._job_id, ("running",), **pending)

        if not self._runtime.run(self._client_id, write):
            raise JobCancelled("the job was cancelled")

    def conclude(self, write: Callable[[Work], dict[str, Any]], done: int) -> dict[str, Any]:
        """Call ``write(work)`` and end the job with its JSON result and ``done`` units, in one transaction.

        A worker that is killed has done both or neither. Raises :class:`JobCancelled`, with nothing written, for a job
        that is not running any more.
        """
        self._pending["done"] = self.done = done

        def both(work: Work) -> dict[str, Any]:
            # First, so that nobody can cancel what is being written.
            if not _move(work, self._job_id, ("running",), **self._pending):
                raise JobCancelled("the job was cancelled")
            result = write(work)
            finish_job(work, self._job_id, result)
            return result

        result = self._runtime.run(self._client_id, both)
        self._pending = {}
        self.concluded = True
        return result


def run_job(
    runtime: Fairlead, client_id: int, job_id: int, function: Callable[[Progress], Mapping[str, Any] | None]
) -> Mapping[str, Any] | None:
    """Run ``function`` as this job: start, progress, and done, failed or cancelled at the end. Errors are raised on.

    A job that was cancelled before is passed over.
    """
    try:
        job = runtime.run(client_id, lambda work: start_job(work, job_id))
    except Conflict:
        return None
    progress = Progress(runtime, client_id, job_id)
    progress.done = job.done
    try:
        result = function(progress)
        progress.flush()
    except JobCancelled:
        runtime.metrics.jobs.labels(job.kind, "cancelled").inc()
        return None
    except Exception as error:
        text = error.message if isinstance(error, DomainError) else describe(error)
        runtime.run(client_id, lambda work: fail_job(work, job_id, text))
        runtime.metrics.jobs.labels(job.kind, "failed").inc()
        raise
    if not progress.concluded:
        runtime.run(client_id, lambda work: finish_job(work, job_id, result))
    runtime.metrics.jobs.labels(job.kind, "done").inc()
    return result
