"""A context on a clock that the test moves."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from fairlead.plugins.contracts.channel import ChannelContext
from fairlead.plugins.http import GuardedClient, guarded_client


@dataclass
class Account:
    """Makes contexts whose clock is ``now`` and whose saved settings land in ``saved``."""

    http: GuardedClient
    now: dt.datetime = dt.datetime(2026, 3, 8, 4, 0, tzinfo=dt.UTC)
    saved: list[dict[str, Any]] = field(default_factory=list)

    def clock(self) -> dt.datetime:
        """The account's clock, also for twins."""
        return self.now

    def context(self, settings: Any, http: Any = None) -> ChannelContext:
        """A context for one call."""

        def save(changed: Mapping[str, Any]) -> None:
            self.saved.append(dict(changed))

        return ChannelContext("acme", "main", settings, http or self.http, self.clock, save)


@pytest.fixture
def account() -> Iterator[Account]:
    """An account whose plugins may reach this machine."""
    with guarded_client(allow_hosts={"127.0.0.1", "localhost"}) as http:
        yield Account(http)
