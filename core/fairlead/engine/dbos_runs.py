"""DBOS's word for a run, turned into ours."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

from dbos import WorkflowStatus

from fairlead.engine.port import Run, State

OPEN = (State.DELAYED, State.QUEUED, State.RUNNING)

STATUSES: Mapping[State, tuple[str, ...]] = {
    State.DELAYED: ("DELAYED",),
    State.QUEUED: ("ENQUEUED",),
    State.RUNNING: ("PENDING",),
    State.SUCCEEDED: ("SUCCESS",),
    State.FAILED: ("ERROR", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"),
    State.CANCELLED: ("CANCELLED",),
}
_STATES = {status: state for state, statuses in STATUSES.items() for status in statuses}


def run_of(status: WorkflowStatus) -> Run:
    """The run that a row of DBOS stands for."""
    state = _STATES[status.status]
    error = str((status.attributes or {}).get("error", ""))
    if status.status == "MAX_RECOVERY_ATTEMPTS_EXCEEDED":
        error = "given up: its process died too often"
    elif status.error is not None:
        error = str(status.error)
    return Run(
        id=status.workflow_id,
        name=status.name,
        queue=status.queue_name or "",
        state=state,
        created_at=_instant(status.created_at or 0),
        finished_at=None if status.completed_at is None else _instant(status.completed_at),
        partition=status.queue_partition_key,
        result=status.output,
        error=error,
    )


def _instant(millis: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(millis / 1000, dt.UTC)
