"""Contexts on a clock that the test moves."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest

from fairlead.plugins.contracts.channel import ChannelContext
from fairlead.plugins.http import guarded_client


@dataclass
class Target:
    """Makes contexts whose clock is ``now`` and whose requests may reach this machine."""

    http: httpx2.Client
    now: dt.datetime = dt.datetime(2026, 3, 8, 4, 0, tzinfo=dt.UTC)

    def clock(self) -> dt.datetime:
        """The clock, also for twins."""
        return self.now

    def context(self, settings: Any, http: httpx2.Client | None = None) -> ChannelContext:
        """A context for one call."""
        return ChannelContext("acme", "ops", settings, http or self.http, self.clock, lambda changed: None)


@pytest.fixture
def target() -> Iterator[Target]:
    """Staff to notify."""
    with guarded_client(allow_hosts={"127.0.0.1"}, timeout=5) as http:
        yield Target(http)
