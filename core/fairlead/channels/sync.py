"""Fetching orders from a platform: windows, pages, and a mark that only moves over what is stored."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fairlead.channels.connection import OpenAccount, call_channel, note_error, note_health, rest, stranger
from fairlead.channels.model import ChannelAccount
from fairlead.channels.service import get_account
from fairlead.errors import Conflict, DomainError, InvalidInput
from fairlead.plugins.contracts.channel import OrderRecord, SyncsOrders, Window
from fairlead.plugins.errors import PluginError
from fairlead.plugins.manifest import Capability
from fairlead.work import Work

if TYPE_CHECKING:
    from fairlead.runtime import Fairlead

Sink = Callable[[Work, ChannelAccount, Sequence[OrderRecord]], object]

SLICE = dt.timedelta(days=1)
FIRST = dt.timedelta(days=30)
# Platforms show an order some time after the instant they give it, so each sync looks back a little.
OVERLAP = dt.timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class SyncReport:
    """What one sync brought: records handed to the sink (known ones included), pages, finished windows, the mark."""

    records: int
    pages: int
    windows: int
    synced_until: dt.datetime | None


def sync_account(
    runtime: Fairlead,
    client_id: int,
    account_id: int,
    window: Window | None,
    sink: Sink,
    *,
    slice: dt.timedelta = SLICE,
) -> SyncReport:
    """Fetch the orders changed in ``window`` (by default since the last sync, at first 30 days) into ``sink``.

    ``sink(work, account, records)`` stores one page in the transaction of ``work``; it must take a page twice. The
    account's ``synced_until`` moves to the end of a slice once all its pages are stored, never over a gap and never
    back, so a sync that broke off goes on where it was. Only one sync per account runs at a time: a second one raises
    ``Conflict``. Errors of the ladder are written to the account and raised on.
    """
    with runtime.locks.hold(f"sync/{account_id}"):
        account = _account(runtime, client_id, account_id)
        if window is None:
            now = runtime.clock()
            start = now - FIRST if account.synced_until is None else account.synced_until - OVERLAP
            window = Window(min(start, now), now)
        if window.start > window.end or slice <= dt.timedelta(0):
            raise InvalidInput("a window starts before it ends", path=("window",))
        records = pages = windows = 0
        for part in slices(window, slice):
            counted = _take(runtime, client_id, account_id, part, sink)
            records, pages, windows = records + counted[0], pages + counted[1], windows + 1
        after = _account(runtime, client_id, account_id)
        return SyncReport(records, pages, windows, after.synced_until)


def _take(runtime: Fairlead, client_id: int, account_id: int, window: Window, sink: Sink) -> tuple[int, int]:
    """One slice: its pages, then the mark. Returns how many records and pages it had."""

    def fetch(opened: OpenAccount) -> tuple[int, int]:
        return _fetch(runtime, opened, window, sink)

    def blame(work: Work) -> None:
        note_error(work, account_id, failure)
        rest(work, account_id, failure)

    try:
        counted = call_channel(runtime, client_id, account_id, "sync_orders", fetch)
    except PluginError as error:
        failure = error
        runtime.run(client_id, blame)
        raise
    runtime.run(client_id, lambda work: _advance(work, account_id, window))
    return counted


def slices(window: Window, length: dt.timedelta) -> Iterator[Window]:
    """``window`` in parts of at most ``length``, oldest first; they touch and do not overlap."""
    start = window.start
    while start < window.end:
        end = min(start + length, window.end)
        yield Window(start, end)
        start = end


def _account(runtime: Fairlead, client_id: int, account_id: int) -> ChannelAccount:
    with runtime.reading(client_id) as work:
        account = _usable(get_account(work, account_id))
        manifest = work.plugins.channel(account.channel).manifest
    if Capability.ORDERS not in manifest.capabilities:
        raise Conflict(f"the channel {account.channel!r} has no orders to fetch")
    return account


def _usable(account: ChannelAccount) -> ChannelAccount:
    # A failed account may be tried: that is how it recovers.
    if account.state not in ("connected", "failed"):
        raise Conflict(f"the account is {account.state}", next_step="resume the account first")
    return account


def _fetch(runtime: Fairlead, opened: OpenAccount, window: Window, sink: Sink) -> tuple[int, int]:
    channel = opened.channel
    if not isinstance(channel, SyncsOrders):
        raise Conflict(f"the channel {opened.entry.name!r} has no orders to fetch")
    records = pages = 0
    for page in _pages(channel, opened, window):

        def store(work: Work, page: Sequence[OrderRecord] = page) -> None:
            # Read again for each page, so that a pause or a switched-off plugin stops the sync at once.
            account = _usable(get_account(work, opened.account.id))
            work.plugins.channel(account.channel)
            sink(work, account, page)

        runtime.run(opened.client_id, store)
        records, pages = records + len(page), pages + 1
    return records, pages


def _pages(channel: SyncsOrders, opened: OpenAccount, window: Window) -> Iterator[Sequence[OrderRecord]]:
    """The plugin's pages; what it raises besides the ladder is its own mistake and leaves without its text."""
    try:
        pages = iter(channel.sync_orders(opened.context, window))
    except (PluginError, DomainError):
        raise
    except Exception as error:
        raise stranger(error, opened.entry.name) from error
    while True:
        try:
            page = next(pages)
        except StopIteration:
            return
        except (PluginError, DomainError):
            raise
        except Exception as error:
            raise stranger(error, opened.entry.name) from error
        yield page


def _advance(work: Work, account_id: int, window: Window) -> None:
    account = get_account(work, account_id, for_update=True)
    mark = account.synced_until
    if mark is None or (window.start <= mark < window.end):
        account.synced_until = window.end
    note_health(work, account_id, "ok", state="connected")
