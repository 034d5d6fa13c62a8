"""A shop at the replay twin of the Taobao Open Platform."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager

from fairlead.plugins.contracts.channel import Window
from fairlead.plugins.http import guarded_client
from fairlead.testing import ChannelHarness, FakeClock, fake_context
from fairlead_taobao.twin import TaobaoTwin


@contextmanager
def harness() -> Iterator[ChannelHarness]:
    """40 orders of one day."""
    clock = FakeClock()
    with TaobaoTwin(now=clock, orders=40) as twin, guarded_client(allow_hosts={"127.0.0.1"}) as http:
        context = fake_context(twin.settings(window_minutes=720), http=http, clock=clock)
        window = Window(clock.now - dt.timedelta(days=1), clock.now - dt.timedelta(minutes=10))
        yield ChannelHarness(context, window=window, genuine=twin.spi_request({"biz": "1"}))
