"""What the contract kit needs to exercise the Taobao channel."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from fairlead.plugins.http import guarded_client
from fairlead.testing import ChannelHarness, FakeClock, fake_context
from fairlead_taobao.twin import TaobaoTwin


@contextmanager
def harness() -> Iterator[ChannelHarness]:
    """A shop of its own for each check, read exactly: what overlap is for is tested elsewhere."""
    clock = FakeClock()
    with TaobaoTwin(now=clock, orders=40) as twin, guarded_client(allow_hosts={"127.0.0.1"}) as http:
        settings = twin.settings(page_size=10, window_minutes=360, overlap_seconds=0, settle_seconds=1)
        finished = next(trade for trade in twin.book.trades.values() if trade["status"] == "TRADE_FINISHED")
        yield ChannelHarness(
            fake_context(settings, http=http, clock=clock), genuine=twin.spi_request({"trade": finished})
        )
