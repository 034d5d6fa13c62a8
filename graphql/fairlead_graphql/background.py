"""Long work that a mutation starts: the job is written with the mutation, and handed to the engine after its commit.

Without an engine in this process the work is done at once, so the answer shows a job that has ended. What fails then is
told by the job, as it is with an engine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import structlog

from fairlead.engine.port import EngineError
from fairlead.governance.jobs import get_job, link_run
from fairlead.journeys.workflows import enqueue_advance
from fairlead.workflows import enqueue_job
from fairlead_graphql.context import Context

log = structlog.get_logger("fairlead.graphql")

Workflow = Callable[[Any, Mapping[str, Any]], object]


def hand_over(context: Context, client_id: int, job_id: int, workflow: Workflow | None = None) -> None:
    """Let the engine run a queued job; a job that has begun is left alone.

    Without an engine ``workflow(runtime, payload)`` does it here. Where the engine does not take it the job stays
    queued, and :func:`fairlead.workflows.hand_over_forgotten` hands it over within two minutes.
    """
    runtime = context.runtime
    job = get_job(context.work(client_id), job_id)
    if job.state != "queued":
        return
    # The open reading session would hold the writer up on some databases, and not see what the work changes.
    context.fresh()
    if runtime.engine is None:
        if workflow is not None:
            try:
                workflow(runtime, {"client_id": client_id, "job_id": job_id})
            except Exception as error:  # noqa: BLE001 - the job row says that it failed, and why
                log.warning("a job failed", workflow=job.kind, job=job_id, type=type(error).__name__)
        return
    try:
        run_id = enqueue_job(runtime.engine, client_id, job_id, job.kind, job.payload)
    except EngineError as error:
        log.warning("a job was not handed over yet", workflow=job.kind, job=job_id, type=type(error).__name__)
        return
    runtime.run(client_id, lambda work: link_run(work, job_id, run_id))


def nudge(context: Context, client_id: int) -> None:
    """Let a client's journeys move soon. Should that fail, the next tick does it, so the mutation stands."""
    try:
        enqueue_advance(context.runtime.engine, client_id)
    except Exception as error:  # noqa: BLE001 - what was committed is not undone by a missed nudge
        log.warning("journeys were not nudged", client_id=client_id, type=type(error).__name__)
