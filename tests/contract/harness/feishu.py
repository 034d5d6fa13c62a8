"""A custom bot at its replay twin."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from fairlead.plugins.http import guarded_client
from fairlead.testing import ChannelHarness, FakeClock, fake_context
from fairlead_feishu.twin import FeishuTwin


@contextmanager
def harness() -> Iterator[ChannelHarness]:
    """A bot that checks signatures."""
    clock = FakeClock()
    with FeishuTwin(now=clock, secret="twin-secret-6c2e") as twin, guarded_client(allow_hosts={"127.0.0.1"}) as http:
        yield ChannelHarness(fake_context(twin.settings(), http=http, clock=clock))
