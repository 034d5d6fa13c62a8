"""What the engine runs, on virtual time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from fairlead import workflows
from fairlead.audiences.segments import create_segment
from fairlead.audiences.workflows import queue_refresh
from fairlead.channels import service
from fairlead.clients import plugin_sets
from fairlead.clients.service import archive_client
from fairlead.engine.memory import MemoryEngine
from fairlead.engine.port import State
from fairlead.governance.idempotency import once
from fairlead.governance.jobs import RUN, create_job, get_job, link_run
from fairlead.plugins import Kind, Manifest, Title, hookimpl
from fairlead.plugins.contracts.channel import ChannelContext, Health, HealthState
from fairlead.runtime import Fairlead
from fairlead.testing.fakes import FakeClock


class Door:
    manifest = Manifest(
        name="door", kind=Kind.CHANNEL, version="1.0", title=Title("门", "Door"), description=Title("门", "A door")
    )

    def check(self, context: ChannelContext) -> Health:
        return Health(HealthState.OK)


class DoorPlugin:
    name = "door"

    @hookimpl
    def fairlead_register_channels(self, register: Callable[[Any], None]) -> None:
        register(Door())


@pytest.fixture
def runtime(build_runtime: Callable[..., Fairlead]) -> Fairlead:
    return build_runtime(DoorPlugin())


def test_usable_accounts_are_checked_and_old_records_cleared(runtime: Fairlead, agency: Any, clock: FakeClock) -> None:
    with runtime.work(agency.acme) as work:
        plugin_sets.set_plugin(work, runtime.plugins, "door", True)
    with runtime.work(agency.acme) as work:
        used = service.connect_account(work, "door", "used").id
        paused = service.connect_account(work, "door", "paused").id
        service.pause_account(work, paused)
        once(work, "op", "k", {})
    clock.advance(hours=25)
    engine = MemoryEngine(now=clock())
    workflows.register_all(runtime, engine)
    engine.start()
    engine.enqueue(workflows.CHECK_ALL, {})
    engine.enqueue(workflows.HOUSEKEEPING, {})
    engine.run_due(clock())
    assert [run.state for run in engine.runs(name=workflows.CHECK)] == [State.SUCCEEDED]
    (house,) = engine.runs(name=workflows.HOUSEKEEPING)
    assert house.result == {"idempotency_records": 1, "webhook_deliveries": 0, "loose_receipts": 0}
    with runtime.reading(agency.acme) as work:
        assert service.get_account(work, used).health == "ok"
        assert service.get_account(work, paused).health == "unknown"
    assert b'fairlead_engine_runs_total{name="channels.check",result="ok"} 1.0' in runtime.metrics.render()


def test_failed_runs_are_counted(runtime: Fairlead) -> None:
    def fail(payload: dict[str, Any]) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        workflows.counted(runtime, "x.y", fail)({})
    assert b'fairlead_engine_runs_total{name="x.y",result="failed"} 1.0' in runtime.metrics.render()


def test_a_job_whose_process_died_before_handing_it_over_is_run(
    runtime: Fairlead, agency: Any, clock: FakeClock
) -> None:
    """The crash between the job's commit and its enqueue: only the row is left, and the row is enough."""
    engine = MemoryEngine(now=clock())
    workflows.register_all(runtime, engine)
    engine.start()
    with runtime.work(agency.acme) as work:
        segment = create_segment(work, "people", "People", {"identity": {"kind": "email"}})
        lost = queue_refresh(work, segment.id).id
        linked = queue_refresh(work, segment.id).id
        link_run(work, linked, "run-of-another")
        odd = create_job(work, "no.such.workflow").id
        sync = create_job(work, workflows.SYNC_JOB, {"account_id": 5}).id
    with runtime.work(agency.bolt) as work:
        archived = create_job(work, workflows.SYNC_JOB, {"account_id": 6}).id
    with runtime.agency_work("test") as work:
        archive_client(work, agency.bolt)
    assert workflows.hand_over_forgotten(runtime, engine) == 0
    clock.advance(seconds=61)
    assert workflows.hand_over_forgotten(runtime, engine) == 2
    with runtime.reading(agency.acme) as work:
        run_id = get_job(work, lost).payload[RUN]
        assert engine.status(run_id) is not None
        assert engine.status(get_job(work, sync).payload[RUN]) is not None
        assert RUN not in get_job(work, odd).payload
        assert get_job(work, linked).payload[RUN] == "run-of-another"
    with runtime.agency_reading("test") as work:
        assert RUN not in get_job(work, archived).payload
    assert workflows.hand_over_forgotten(runtime, engine) == 0
    engine.run_due(clock())
    with runtime.reading(agency.acme) as work:
        assert get_job(work, lost).state == "done"
        assert get_job(work, sync).state == "failed"
        assert get_job(work, linked).state == "queued"
