"""One attempt of a run: call the function, and turn what it raised into a safe text and a wait.

A run's error is kept in clear text in the engine's database and shown to operators, while exceptions often quote data
(a failed statement with its parameters, a value that would not parse). So only the messages of our own two ladders,
which promise to hold none, are kept; of any other exception its type and place.
"""

from __future__ import annotations

import time
import traceback
from typing import Any, TypedDict

from fairlead.engine.port import EngineError, Job, check_json
from fairlead.errors import DomainError, Unavailable
from fairlead.plugins.errors import PluginError, RetryLater


class Outcome(TypedDict):
    """What one attempt came to. ``error`` is empty on success; ``wait`` is ``None`` when trying again is useless.

    ``ended_at`` is in epoch seconds and ``wait`` counts from it, so that a wait survives a crash.
    """

    result: Any
    error: str
    wait: float | None
    ended_at: float


def attempt(job: Job, payload: dict[str, Any], number: int, ended_at: float | None = None) -> Outcome:
    """Call the function as attempt ``number`` (from 1). ``ended_at`` is for clocks that stand still."""
    try:
        result = job.function(payload)
        check_json(result, "result")
        return Outcome(result=result, error="", wait=None, ended_at=time.time() if ended_at is None else ended_at)
    except Exception as error:  # noqa: BLE001 -- whatever a workflow raises is its outcome
        return Outcome(
            result=None,
            error=describe(error),
            wait=_wait(error, job, number),
            ended_at=time.time() if ended_at is None else ended_at,
        )


def describe(error: BaseException) -> str:
    """The type, and the message where it is known to hold no data of people; else the place it was raised at."""
    name = type(error).__name__
    if isinstance(error, PluginError | DomainError | EngineError):
        return f"{name}: {error}"
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return name
    return f"{name} in {frames[-1].name}, line {frames[-1].lineno} of {_short(frames[-1].filename)}"


def _short(path: str) -> str:
    return "/".join(path.replace("\\", "/").split("/")[-2:])


def _wait(error: Exception, job: Job, number: int) -> float | None:
    if number >= job.retry.attempts:
        return None
    backoff = job.retry.wait(number)
    if isinstance(error, RetryLater):
        return min(max(backoff, error.retry_after or 0.0), max(backoff, job.retry.longest))
    if isinstance(error, PluginError | EngineError):
        return None
    if isinstance(error, DomainError) and not isinstance(error, Unavailable):
        return None
    return backoff
