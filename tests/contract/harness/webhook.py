"""A receiver of Standard Webhooks at its replay twin."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from fairlead.plugins.http import guarded_client
from fairlead.testing import ChannelHarness, FakeClock, fake_context
from fairlead_webhook.twin import WebhookTwin

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@contextmanager
def harness() -> Iterator[ChannelHarness]:
    """A receiver that checks signatures."""
    clock = FakeClock()
    with WebhookTwin(now=clock, secret=SECRET) as twin, guarded_client(allow_hosts={"127.0.0.1"}) as http:
        yield ChannelHarness(fake_context(twin.settings(), http=http, clock=clock))
