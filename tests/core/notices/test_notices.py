"""An event a person should know of reaches the client's notifiers, once, and only those of that client."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import pytest
from pydantic import BaseModel

from fairlead.clients.plugin_sets import set_plugin, set_settings
from fairlead.clients.service import create_agency, create_client
from fairlead.engine.memory import MemoryEngine
from fairlead.notices.workflows import register
from fairlead.plugins import Kind, Manifest, Title, hookimpl
from fairlead.plugins.contracts.channel import ChannelContext
from fairlead.plugins.contracts.notifier import Notice
from fairlead.plugins.errors import RetryLater
from fairlead.plugins.events import DomainEvent, EventType
from fairlead.runtime import Fairlead
from fairlead.testing.fakes import FakeClock


class Room(BaseModel):
    """Where notices go."""

    room: str


class Bell:
    """Keeps what it hears; fails as often as told."""

    manifest = Manifest(
        name="bell",
        kind=Kind.NOTIFIER,
        version="1",
        title=Title("铃", "Bell"),
        description=Title("测试", "For tests"),
        settings=Room,
    )

    def __init__(self) -> None:
        self.heard: list[tuple[str, Notice]] = []
        self.failures = 0

    def notify(self, context: ChannelContext, notice: Notice) -> None:
        if self.failures:
            self.failures -= 1
            raise RetryLater("busy")
        self.heard.append((context.settings.room, notice))


class BellPlugin:
    """The plugin around it."""

    name = "bell"

    def __init__(self, bell: Bell) -> None:
        self.bell = bell

    @hookimpl
    def fairlead_register_notifiers(self, register: Callable[[Bell], None]) -> None:
        register(self.bell)


@pytest.fixture
def bell() -> Bell:
    return Bell()


@pytest.fixture
def rung(build_runtime: Callable[..., Fairlead], bell: Bell, clock: FakeClock) -> tuple[Fairlead, MemoryEngine]:
    runtime = build_runtime(BellPlugin(bell), cache_seconds=0)
    with runtime.agency_work("test") as work:
        agency = create_agency(work, "main", "Agency")
        create_client(work, agency.id, "acme", "Acme")
        create_client(work, agency.id, "bolt", "Bolt")
    with runtime.work("acme") as work:
        set_plugin(work, runtime.plugins, "bell", True)
    with runtime.work("acme") as work:
        set_settings(work, Kind.NOTIFIER, "bell", {"room": "ops"})
    engine = MemoryEngine(now=clock.now)
    register(runtime, engine)
    engine.start()
    return runtime, engine


def _raise_event(runtime: Fairlead, client: str, key: str = "e1", type_: str = EventType.ACCOUNT_FAILED) -> None:
    with runtime.work(client) as work:
        work.events.append(DomainEvent(key, type_, work.client_id, work.now, "channel_account:7", {"reason": "token"}))


def test_a_failed_account_rings_once_in_its_own_client(
    rung: tuple[Fairlead, MemoryEngine], bell: Bell, clock: FakeClock
) -> None:
    runtime, engine = rung
    _raise_event(runtime, "acme")
    _raise_event(runtime, "acme")
    _raise_event(runtime, "bolt", "e2")
    engine.run_due(clock.now)
    assert [room for room, _ in bell.heard] == ["ops"]
    notice = bell.heard[0][1]
    assert notice.key == "e1"
    assert "[acme]" in notice.title
    assert "token" in notice.text


def test_a_busy_notifier_is_tried_again(rung: tuple[Fairlead, MemoryEngine], bell: Bell, clock: FakeClock) -> None:
    runtime, engine = rung
    bell.failures = 2
    _raise_event(runtime, "acme")
    for minutes in range(5):
        engine.run_due(clock.now + dt.timedelta(minutes=minutes))
    assert len(bell.heard) == 1


def test_other_events_ring_nobody(rung: tuple[Fairlead, MemoryEngine], bell: Bell, clock: FakeClock) -> None:
    runtime, engine = rung
    _raise_event(runtime, "acme", type_=EventType.SEGMENT_REFRESHED)
    engine.run_due(clock.now)
    assert bell.heard == []


def test_a_notifier_without_settings_is_left_out(
    rung: tuple[Fairlead, MemoryEngine], bell: Bell, clock: FakeClock
) -> None:
    runtime, engine = rung
    with runtime.work("bolt") as work:
        set_plugin(work, runtime.plugins, "bell", True)
    _raise_event(runtime, "bolt")
    engine.run_due(clock.now)
    assert bell.heard == []
