"""Fetching orders: the mark moves only over what is stored."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from fairlead import workflows
from fairlead.channels import service
from fairlead.channels.checks import check_account
from fairlead.channels.connection import is_resting, open_account, refresh_credentials
from fairlead.channels.sync import slices, sync_account
from fairlead.engine.memory import MemoryEngine
from fairlead.errors import Conflict
from fairlead.plugins.contracts.channel import ChannelContext, Health, OrderRecord, Window
from fairlead.plugins.errors import FixCredentials, FixSettings, RetryLater
from fairlead.runtime import Fairlead
from fairlead.testing.fakes import START, FakeClock
from fairlead.work import Work

DAY = dt.timedelta(days=1)
THREE = Window(START - 3 * DAY, START)


def order(number: int, at: dt.datetime) -> OrderRecord:
    return OrderRecord(str(number), at, at, "paid", "CNY", 100)


class Sink:
    """Keeps what it was given once the unit of work was committed."""

    def __init__(self) -> None:
        self.stored: list[str] = []

    def __call__(self, work: Work, account: Any, records: Sequence[OrderRecord]) -> None:
        ids = [record.source_id for record in records]
        work.after_commit.append(lambda: self.stored.extend(ids))


def daily(context: ChannelContext, window: Window) -> Iterator[Sequence[OrderRecord]]:
    """Two pages a window."""
    day = (window.start - THREE.start) // DAY
    yield [order(day * 10, window.start)]
    yield [order(day * 10 + 1, window.start)]


def mark(runtime: Fairlead, client: int, account: int) -> dt.datetime | None:
    with runtime.reading(client) as work:
        return service.get_account(work, account).synced_until


def test_slices_touch_and_cover() -> None:
    parts = list(slices(Window(START, START + dt.timedelta(hours=55)), DAY))
    assert parts[0].start == START
    assert parts[-1].end == START + dt.timedelta(hours=55)
    assert [one.end for one in parts[:-1]] == [two.start for two in parts[1:]]
    assert list(slices(Window(START, START), DAY)) == []


def test_pages_are_stored_and_the_mark_moves(runtime: Fairlead, acme: int, account: int, shop: Any) -> None:
    shop.pages, sink = daily, Sink()
    report = sync_account(runtime, acme, account, THREE, sink)
    assert sink.stored == ["0", "1", "10", "11", "20", "21"]
    assert (report.records, report.pages, report.windows) == (6, 6, 3)
    assert report.synced_until == mark(runtime, acme, account) == START


def test_a_broken_slice_leaves_the_mark_before_it(runtime: Fairlead, acme: int, account: int, shop: Any) -> None:
    def breaking(context: ChannelContext, window: Window) -> Iterator[Sequence[OrderRecord]]:
        yield [order(1, window.start)]
        if window.start >= THREE.start + DAY:
            raise RetryLater("busy", retry_after=30)

    shop.pages, sink = breaking, Sink()
    with pytest.raises(RetryLater):
        sync_account(runtime, acme, account, THREE, sink)
    assert mark(runtime, acme, account) == THREE.start + DAY
    with runtime.reading(acme) as work:
        row = service.get_account(work, account)
    assert (row.state, row.health, row.last_error) == ("connected", "degraded", "busy")
    shop.pages = daily
    report = sync_account(runtime, acme, account, None, sink)
    assert report.synced_until == START


def test_a_page_that_is_not_stored_holds_the_mark(runtime: Fairlead, acme: int, account: int, shop: Any) -> None:
    shop.pages = daily

    def failing(work: Work, row: Any, records: Sequence[OrderRecord]) -> None:
        if records[0].source_id == "11":
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        sync_account(runtime, acme, account, THREE, failing)
    assert mark(runtime, acme, account) == THREE.start + DAY
    with runtime.reading(acme) as work:
        # Our own mistake is not held against the account.
        assert service.get_account(work, account).state == "connected"


def test_the_mark_never_jumps_a_gap_nor_back(runtime: Fairlead, acme: int, account: int, shop: Any) -> None:
    shop.pages = daily
    sync_account(runtime, acme, account, Window(START - 3 * DAY, START - 2 * DAY), Sink())
    sync_account(runtime, acme, account, Window(START - DAY, START), Sink())
    assert mark(runtime, acme, account) == START - 2 * DAY
    sync_account(runtime, acme, account, Window(START - 5 * DAY, START - 4 * DAY), Sink())
    assert mark(runtime, acme, account) == START - 2 * DAY


def test_without_a_window_it_goes_on_with_an_overlap(
    runtime: Fairlead, acme: int, account: int, shop: Any, clock: FakeClock
) -> None:
    asked: list[Window] = []

    def note(context: ChannelContext, window: Window) -> Iterator[Sequence[OrderRecord]]:
        asked.append(window)
        return iter(())

    shop.pages = note
    sync_account(runtime, acme, account, None, Sink())
    assert asked[0].start == START - 30 * DAY
    assert asked[-1].end == START
    asked.clear()
    clock.advance(hours=1)
    sync_account(runtime, acme, account, None, Sink())
    assert asked == [Window(START - dt.timedelta(minutes=10), START + dt.timedelta(hours=1))]


def test_expired_credentials_are_renewed_and_the_slice_taken_again(
    runtime: Fairlead, acme: int, account: int, shop: Any
) -> None:
    def expiring(context: ChannelContext, window: Window) -> Iterator[Sequence[OrderRecord]]:
        if context.settings.token.get_secret_value() != "t1":
            raise FixCredentials("expired")
        yield from daily(context, window)

    shop.pages, sink = expiring, Sink()
    shop.renew = lambda context: context.save_settings({"token": "t1"})
    sync_account(runtime, acme, account, THREE, sink)
    assert shop.refreshed == 1
    assert len(sink.stored) == 6


def test_credentials_that_stay_bad_stop_the_account(runtime: Fairlead, acme: int, account: int, shop: Any) -> None:
    def expired(context: ChannelContext, window: Window) -> Iterator[Sequence[OrderRecord]]:
        raise FixCredentials("revoked by the shop")

    shop.pages = expired
    shop.renew = lambda context: context.save_settings({"token": "t1"})
    with pytest.raises(FixCredentials):
        sync_account(runtime, acme, account, THREE, Sink())
    assert shop.refreshed == 1
    with runtime.reading(acme) as work:
        assert service.get_account(work, account).state == "failed"


def test_many_callers_renew_once(runtime: Fairlead, acme: int, account: int, shop: Any) -> None:
    shop.renew = lambda context: context.save_settings({"token": f"t{shop.refreshed}"})
    opened = open_account(runtime, acme, account)
    found: list[str] = []

    def renew() -> None:
        found.append(refresh_credentials(runtime, opened).context.settings.token.get_secret_value())

    threads = [threading.Thread(target=renew) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert shop.refreshed == 1
    assert found == ["t1"] * 5


def test_one_sync_at_a_time_per_account(
    runtime: Fairlead, build_runtime: Any, acme: int, account: int, shop: Any, plugin: Any
) -> None:
    other_process = build_runtime(plugin)
    refused: list[str] = []

    def during(context: ChannelContext, window: Window) -> Iterator[Sequence[OrderRecord]]:
        for one in (runtime, other_process):
            with pytest.raises(Conflict):
                sync_account(one, acme, account, THREE, Sink())
            refused.append("refused")
        return iter(())

    shop.pages = during
    sync_account(runtime, acme, account, Window(START - DAY, START), Sink())
    assert refused == ["refused", "refused"]
    shop.pages = daily
    assert sync_account(other_process, acme, account, THREE, Sink()).windows == 3


def test_a_pause_stops_it_at_the_next_page(runtime: Fairlead, acme: int, account: int, shop: Any) -> None:
    def pausing(context: ChannelContext, window: Window) -> Iterator[Sequence[OrderRecord]]:
        yield [order(1, window.start)]
        with runtime.work(acme) as work:
            service.pause_account(work, account)
        yield [order(2, window.start)]

    shop.pages, sink = pausing, Sink()
    with pytest.raises(Conflict, match="paused"):
        sync_account(runtime, acme, account, THREE, sink)
    assert sink.stored == ["1"]
    assert mark(runtime, acme, account) is None


def test_settings_a_plugin_saves_must_be_acceptable(runtime: Fairlead, acme: int, account: int) -> None:
    from fairlead.errors import Refusals

    context = open_account(runtime, acme, account).context
    with pytest.raises(Refusals):
        context.save_settings({"shop": 5})
    context.save_settings({"shop": "s2", "token": "t7"})
    again = open_account(runtime, acme, account).context.settings
    assert (again.shop, again.token.get_secret_value()) == ("s2", "t7")


def test_a_strangers_exception_is_an_abort(runtime: Fairlead, acme: int, account: int, shop: Any) -> None:
    from fairlead.plugins.errors import Abort

    def broken(context: ChannelContext, window: Window) -> Iterator[Sequence[OrderRecord]]:
        yield [order(1, window.start)]
        raise KeyError("wang@example.com")

    shop.pages = broken
    with pytest.raises(Abort) as stopped:
        sync_account(runtime, acme, account, THREE, Sink())
    assert "wang" not in str(stopped.value)
    shop.pages = lambda context, window: (_ for _ in ()).throw(FixSettings("x"))
    with pytest.raises(FixSettings):
        sync_account(runtime, acme, account, THREE, Sink())


def test_the_schedule_leaves_an_account_alone_for_as_long_as_its_platform_asks(
    runtime: Fairlead, acme: int, account: int, shop: Any, clock: FakeClock
) -> None:
    calls: list[dt.datetime] = []

    def busy(context: ChannelContext, window: Window) -> Iterator[Sequence[OrderRecord]]:
        calls.append(clock.now)
        if len(calls) == 1:
            raise RetryLater("429", retry_after=3600.0)
        return iter(())

    shop.pages = busy
    engine = MemoryEngine(now=clock())
    workflows.register_all(runtime, engine)
    engine.start()

    def tick(minutes: int) -> None:
        clock.advance(minutes=minutes)
        engine.enqueue(workflows.SYNC_ALL, {})
        engine.enqueue(workflows.CHECK_ALL, {})
        engine.run_due(clock())

    for _ in range(4):
        tick(14)
    assert calls == [START + dt.timedelta(minutes=14)]
    with runtime.reading(acme) as work:
        assert service.get_account(work, account).health == "degraded"
    # A person need not wait, and a success ends the rest for all.
    sync_account(runtime, acme, account, None, Sink())
    before = len(calls)
    tick(1)
    assert len(calls) > before


def test_a_rest_is_a_day_at_most(runtime: Fairlead, acme: int, account: int, shop: Any, clock: FakeClock) -> None:
    def busy(context: ChannelContext) -> Health:
        raise RetryLater("429", retry_after=1e300)

    shop.health = busy
    check_account(runtime, acme, account)
    for days, resting in ((0.9, True), (0.2, False), (-3, False)):
        clock.advance(days=days)
        with runtime.reading(acme) as work:
            assert is_resting(service.get_account(work, account), work.now) is resting
