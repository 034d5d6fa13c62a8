"""The engine in memory on virtual time: every wait happens at its exact instant, and nothing really waits."""

from __future__ import annotations

import datetime as dt
import math
import time
from typing import Any

import pytest

from fairlead.engine.memory import MemoryEngine
from fairlead.engine.port import DEFAULT_RETRY, Engine, EngineError, Queue, Rate, Retry, State
from fairlead.plugins.errors import RetryLater

START = dt.datetime(2026, 1, 5, 10, tzinfo=dt.UTC)


def at(seconds: float) -> dt.datetime:
    return START + dt.timedelta(seconds=seconds)


class Recorder:
    """An engine whose function notes what it is called with; a list of errors is raised first."""

    def __init__(self, *queues: Queue, errors: tuple[Exception, ...] = (), retry: Retry = DEFAULT_RETRY) -> None:
        self.engine = MemoryEngine((Queue("default"), *queues), now=START)
        self.calls: list[Any] = []
        self.errors = list(errors)
        self.engine.register("work", self.work, retry)

    def work(self, payload: dict[str, Any]) -> None:
        self.calls.append(payload.get("n", payload.get("scheduled_at")))
        if self.errors:
            raise self.errors.pop(0)


def finished(engine: Engine, run: str) -> float:
    found = engine.status(run)
    assert found is not None
    assert found.finished_at is not None
    return (found.finished_at - START).total_seconds()


def test_time_moves_only_by_run_due() -> None:
    recorder = Recorder()
    recorder.engine.start()
    run = recorder.engine.enqueue("work", {"n": 1}, delay=3600)
    assert recorder.engine.run_due(at(3599)) == 0
    assert recorder.engine.status(run).state is State.DELAYED  # type: ignore[union-attr]
    assert recorder.engine.run_due(at(7200)) == 1
    assert finished(recorder.engine, run) == 3600
    with pytest.raises(ValueError, match="forward"):
        recorder.engine.run_due(at(7199))


def test_retries_wait_exactly_and_retry_after_wins() -> None:
    errors = (RuntimeError(), RetryLater("busy", retry_after=100), RuntimeError())
    recorder = Recorder(errors=errors, retry=Retry(attempts=4, first=2, factor=8, longest=120))
    recorder.engine.start()
    run = recorder.engine.enqueue("work", {"n": 1})
    recorder.engine.run_due(at(0))
    assert recorder.engine.status(run).state is State.RUNNING  # type: ignore[union-attr]
    recorder.engine.run_due(at(1000))
    assert finished(recorder.engine, run) == 2 + 100 + 120
    assert len(recorder.calls) == 4


@pytest.mark.parametrize("asked", [1e9, 1e300, math.inf, math.nan, -5.0])
def test_nobody_at_the_other_end_can_hold_a_run_for_longer_than_it_may_wait(asked: float) -> None:
    recorder = Recorder(errors=(RetryLater("busy", retry_after=asked),), retry=Retry(attempts=2, first=2, longest=120))
    recorder.engine.start()
    run = recorder.engine.enqueue("work", {"n": 1})
    recorder.engine.run_due(at(1000))
    assert finished(recorder.engine, run) == (120 if asked > 0 else 2)


def test_a_partition_starts_at_its_rate_and_others_do_not_wait() -> None:
    recorder = Recorder(Queue("limited", rate=Rate(2, 10)))
    recorder.engine.start()
    mine = [recorder.engine.enqueue("work", {"n": n}, queue="limited", partition="a") for n in range(5)]
    other = recorder.engine.enqueue("work", {"n": "b"}, queue="limited", partition="b")
    recorder.engine.run_due(at(60))
    assert [finished(recorder.engine, run) for run in mine] == [0, 0, 10, 10, 20]
    assert finished(recorder.engine, other) == 0
    assert recorder.calls == [0, 1, "b", 2, 3, 4]


def test_a_waiting_retry_keeps_its_partition_busy() -> None:
    recorder = Recorder(Queue("accounts", at_once=1), errors=(RuntimeError(),), retry=Retry(attempts=2, first=30))
    recorder.engine.start()
    first = recorder.engine.enqueue("work", {"n": 1}, queue="accounts", partition="a")
    second = recorder.engine.enqueue("work", {"n": 2}, queue="accounts", partition="a")
    other = recorder.engine.enqueue("work", {"n": 3}, queue="accounts", partition="b")
    recorder.engine.run_due(at(60))
    assert [finished(recorder.engine, run) for run in (first, second, other)] == [30, 30, 0]
    assert recorder.calls == [1, 3, 1, 2]


def test_cron_follows_the_wall_clock_of_its_zone_over_a_change_of_offset() -> None:
    engine = MemoryEngine(now=dt.datetime(2026, 3, 28, 0, tzinfo=dt.UTC))
    seen: list[str] = []
    engine.register("daily", lambda payload: seen.append(payload["scheduled_at"]))
    engine.schedule("daily", "30 9 * * *", "Europe/Berlin")
    engine.start()
    engine.run_due(dt.datetime(2026, 3, 30, 0, tzinfo=dt.UTC))
    assert seen == ["2026-03-28T08:30:00+00:00", "2026-03-29T07:30:00+00:00"]


def test_cron_skips_ticks_while_the_last_one_waits_for_a_retry() -> None:
    recorder = Recorder(errors=(RuntimeError(),), retry=Retry(attempts=2, first=150, longest=150))
    recorder.engine.schedule("work", "* * * * *")
    recorder.engine.start()
    recorder.engine.run_due(at(300))
    # 10:01 fails and goes on at 10:03:30, so 10:02 and 10:03 are skipped.
    assert [call[14:16] for call in recorder.calls] == ["01", "01", "04", "05"]


def test_a_function_may_enqueue_and_cancel() -> None:
    engine = MemoryEngine(now=START)
    seen: list[str] = []

    def parent(payload: dict[str, Any]) -> None:
        engine.cancel(engine.enqueue("child", {"n": "cancelled"}))
        engine.enqueue("child", {"n": "kept"})

    engine.register("parent", parent)
    engine.register("child", lambda payload: seen.append(payload["n"]))
    engine.start()
    engine.enqueue("parent", {})
    assert engine.run_due(at(0)) == 2
    assert seen == ["kept"]


def test_two_engines_given_the_same_do_the_same() -> None:
    def history() -> list[Any]:
        recorder = Recorder(Queue("limited", rate=Rate(1, 7)), errors=(RuntimeError(), RuntimeError()))
        recorder.engine.schedule("work", "*/2 * * * *")
        recorder.engine.start()
        for n in range(6):
            recorder.engine.enqueue("work", {"n": n}, delay=n * 11 % 7)
            recorder.engine.enqueue("work", {"n": -n}, queue="limited", partition=str(n % 2))
        recorder.engine.run_due(at(600))
        return [recorder.calls, recorder.engine.runs()]

    assert history() == history()


def test_nothing_runs_after_stop() -> None:
    recorder = Recorder()
    recorder.engine.start()
    run = recorder.engine.enqueue("work", {"n": 1})
    assert recorder.engine.stop() is True
    assert recorder.engine.run_due(at(10)) == 0
    recorder.engine.start()
    assert recorder.engine.run_due(at(20)) == 1
    assert recorder.engine.status(run).state is State.SUCCEEDED  # type: ignore[union-attr]


def test_an_idle_engine_on_the_real_clock_sleeps(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[None] = []
    engine = MemoryEngine()
    work = engine.run_due

    def looking(now: dt.datetime | None = None) -> int:
        looks.append(None)
        return work(now)

    monkeypatch.setattr(engine, "run_due", looking)
    engine.start()
    time.sleep(0.4)
    engine.stop()
    # One at the start and one when it is woken to stop; one that does not sleep makes hundreds.
    assert len(looks) <= 2


def test_queues_have_different_names() -> None:
    with pytest.raises(EngineError, match="same name"):
        MemoryEngine((Queue("default"), Queue("default")))


def test_retries_are_checked() -> None:
    for wrong in ({"attempts": 0}, {"first": -1}, {"factor": 0.5}, {"longest": -1}):
        with pytest.raises(ValueError, match="attempts must be"):
            Retry(**wrong)  # type: ignore[arg-type]
