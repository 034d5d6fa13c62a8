"""Jobs: the row is the truth about long work."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from fairlead.errors import Conflict, NotFound
from fairlead.governance import jobs
from fairlead.governance.jobs import Progress, run_job
from fairlead.runtime import Fairlead
from fairlead.testing.fakes import FakeClock
from support.plans import explained, steps_of
from support.rows import audit_entries, jobs_of


class Timer:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def make(runtime: Fairlead, client: int, **payload: Any) -> int:
    return runtime.run(client, lambda work: jobs.create_job(work, "import", payload, total=10).id)


def read(runtime: Fairlead, client: int, job: int) -> Any:
    with runtime.reading(client) as work:
        return jobs.get_job(work, job)


def test_a_job_runs_and_tells_how_far_it_is(runtime: Fairlead, agency: Any) -> None:
    job = make(runtime, agency.acme)
    seen = []

    def work(progress: Progress) -> Mapping[str, Any]:
        for _ in range(3):
            progress.advance(2)
            progress.flush()
            seen.append((read(runtime, agency.acme, job).state, read(runtime, agency.acme, job).done))
        return {"rows": 6}

    assert run_job(runtime, agency.acme, job, work) == {"rows": 6}
    assert seen == [("running", 2), ("running", 4), ("running", 6)]
    row = read(runtime, agency.acme, job)
    assert (row.state, row.result, row.done, row.total) == ("done", {"rows": 6}, 6, 10)
    assert row.started_at is not None
    assert row.finished_at is not None


def test_progress_is_written_at_most_twice_a_second(runtime: Fairlead, agency: Any) -> None:
    job = make(runtime, agency.acme)
    runtime.run(agency.acme, lambda work: jobs.start_job(work, job))
    timer = Timer()
    progress = Progress(runtime, agency.acme, job, timer=timer)
    written = []
    for step in range(1, 101):
        timer.now = step / 50
        progress.report(step)
        written.append(read(runtime, agency.acme, job).done)
    assert len(set(written)) <= 5
    progress.flush()
    assert read(runtime, agency.acme, job).done == 100


def test_a_cancelled_job_stops_at_its_next_report(runtime: Fairlead, agency: Any) -> None:
    job = make(runtime, agency.acme)
    reached = []

    def work(progress: Progress) -> None:
        progress.report(1)
        runtime.run(agency.acme, lambda unit: jobs.cancel_job(unit, job))
        progress.report(2)
        progress.flush()
        reached.append("further")

    assert run_job(runtime, agency.acme, job, work) is None
    assert reached == []
    assert read(runtime, agency.acme, job).state == "cancelled"
    with runtime.reading(agency.acme) as unit:
        assert audit_entries(unit)[0].action == "job.cancelled"


def test_a_cancelled_job_does_not_start(runtime: Fairlead, agency: Any) -> None:
    job = make(runtime, agency.acme)
    runtime.run(agency.acme, lambda work: jobs.cancel_job(work, job))
    called = []
    run_job(runtime, agency.acme, job, called.append)
    assert called == []
    with pytest.raises(Conflict):
        runtime.run(agency.acme, lambda work: jobs.cancel_job(work, job))


def test_a_failure_is_kept_without_the_text_of_strangers(runtime: Fairlead, agency: Any) -> None:
    job = make(runtime, agency.acme)

    def work(progress: Progress) -> None:
        raise ValueError("row of wang@example.com, 13812345678")

    with pytest.raises(ValueError, match="row"):
        run_job(runtime, agency.acme, job, work)
    row = read(runtime, agency.acme, job)
    assert row.state == "failed"
    assert "ValueError" in row.message
    assert "wang" not in row.message
    assert "138" not in row.message


def test_an_interrupted_job_goes_on(runtime: Fairlead, agency: Any) -> None:
    job = make(runtime, agency.acme)
    first = runtime.run(agency.acme, lambda work: jobs.start_job(work, job))
    assert run_job(runtime, agency.acme, job, lambda _: {"again": 1}) == {"again": 1}
    assert read(runtime, agency.acme, job).started_at == first.started_at


def test_jobs_stay_in_their_client(runtime: Fairlead, agency: Any) -> None:
    made = [make(runtime, agency.acme) for _ in range(2)]
    make(runtime, agency.bolt)
    with runtime.reading(agency.acme) as work:
        assert [job.id for job in jobs_of(work)] == sorted(made, reverse=True)
    with runtime.reading(agency.bolt) as work, pytest.raises(NotFound):
        jobs.get_job(work, made[0])


def test_forgotten_jobs_are_found_without_reading_those_that_ended(
    runtime: Fairlead, agency: Any, clock: FakeClock
) -> None:
    ended = make(runtime, agency.acme)
    run_job(runtime, agency.acme, ended, lambda _: None)
    waiting = make(runtime, agency.acme)
    clock.advance(hours=1)
    asked = explained(runtime.database.engine, lambda statement: "FROM job" in statement)
    with asked as plans, runtime.agency_reading("test") as work:
        found = jobs.forgotten_jobs(work, work.now, first=10)
    assert [job for _, job, _, _ in found] == [waiting]
    assert [step for _, step in steps_of(plans) if "job" in step.split()] == [
        "SEARCH job USING INDEX ix_job_queued (id>?)",
    ]


def test_the_engines_run_is_linked(runtime: Fairlead, agency: Any) -> None:
    job = make(runtime, agency.acme, file="orders")
    runtime.run(agency.acme, lambda work: jobs.link_run(work, job, "run-1"))
    assert read(runtime, agency.acme, job).payload == {"file": "orders", "engine_run": "run-1"}
