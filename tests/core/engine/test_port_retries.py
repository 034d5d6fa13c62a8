"""The contract of the engine port: what happens after a failure."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from fairlead.engine.port import Engine, Retry, State
from fairlead.errors import InvalidInput, Unavailable
from fairlead.plugins.errors import Abort, RetryLater

Make = Callable[..., Engine]
Wait = Callable[..., Any]

FAST = Retry(attempts=3, first=0.1, factor=4.0)


def state(engine: Engine, run: str) -> State:
    found = engine.status(run)
    assert found is not None
    return found.state


def test_failures_are_retried_with_growing_waits(make: Make, wait: Wait) -> None:
    tries: list[float] = []
    engine = make()

    def flaky(payload: dict[str, Any]) -> str:
        tries.append(time.time())
        if len(tries) < 3:
            raise RuntimeError("13800138000 could not be reached")
        return "done"

    engine.register("flaky", flaky, FAST)
    engine.start()

    run_id = engine.enqueue("flaky", {})

    wait(lambda: state(engine, run_id) is State.SUCCEEDED)
    assert len(tries) == 3
    assert tries[1] - tries[0] >= 0.099
    assert tries[2] - tries[1] >= 0.399
    assert engine.status(run_id).result == "done"  # type: ignore[union-attr]


def test_the_last_failure_is_final_and_quotes_no_data(make: Make, wait: Wait) -> None:
    tries: list[int] = []
    engine = make()

    def broken(payload: dict[str, Any]) -> None:
        tries.append(1)
        raise ValueError("13800138000 is no e-mail address")

    engine.register("broken", broken, FAST)
    engine.start()

    run_id = engine.enqueue("broken", {})

    wait(lambda: state(engine, run_id) is State.FAILED)
    run = engine.status(run_id)
    assert run is not None
    assert len(tries) == 3
    assert run.error.startswith("ValueError in broken, line ")
    assert run.error.endswith(" of engine/test_port_retries.py")
    assert "13800138000" not in run.error


@pytest.mark.parametrize(
    ("error", "tries"),
    [
        (Abort("the account is closed", code="40001"), 1),
        (InvalidInput("no such segment"), 1),
        (RetryLater("busy"), 3),
        (Unavailable("the platform is down"), 3),
    ],
)
def test_errors_say_whether_trying_again_helps(make: Make, wait: Wait, error: Exception, tries: int) -> None:
    calls: list[int] = []
    engine = make()

    def work(payload: dict[str, Any]) -> None:
        calls.append(1)
        raise error

    engine.register("work", work, Retry(attempts=3, first=0.01))
    engine.start()

    run_id = engine.enqueue("work", {})

    wait(lambda: state(engine, run_id) is State.FAILED)
    assert len(calls) == tries
    assert engine.status(run_id).error == f"{type(error).__name__}: {error}"  # type: ignore[union-attr]


def test_retry_after_is_obeyed(make: Make, wait: Wait) -> None:
    tries: list[float] = []
    engine = make()

    def limited(payload: dict[str, Any]) -> None:
        tries.append(time.time())
        if len(tries) == 1:
            raise RetryLater("too many requests", retry_after=0.9)

    engine.register("limited", limited, Retry(attempts=2, first=0.01))
    engine.start()

    run_id = engine.enqueue("limited", {})

    wait(lambda: state(engine, run_id) is State.SUCCEEDED)
    assert tries[1] - tries[0] >= 0.899


def test_a_result_must_be_json(make: Make, wait: Wait) -> None:
    engine = make()
    engine.register("work", lambda payload: {1, 2})
    engine.start()
    run_id = engine.enqueue("work", {})
    wait(lambda: state(engine, run_id) is State.FAILED)
    assert "the result must be JSON" in engine.status(run_id).error  # type: ignore[union-attr]
