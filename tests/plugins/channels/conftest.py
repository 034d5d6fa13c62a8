"""Where the published signing and parsing vectors are, and a context on a clock that the test moves."""

from __future__ import annotations

import datetime as dt
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from fairlead.plugins.contracts.channel import ChannelContext
from fairlead.plugins.http import GuardedClient, guarded_client

Vectors = Callable[[str], list[dict[str, Any]]]


@pytest.fixture(scope="session")
def vectors() -> Vectors:
    """``vectors("taobao.top_sign")`` gives the vectors of an algorithm; skips where the file is not at hand."""
    data = os.environ.get("FAIRLEAD_DATA")
    shared = Path(data).parent if data else Path(__file__).resolve().parents[4] / "shared"
    file = shared / "platforms" / "vectors.json"
    if not file.is_file():
        pytest.skip("the platform vectors are not at hand; set FAIRLEAD_DATA to the data folder beside them")
    algorithms = json.loads(file.read_text(encoding="utf-8"))["algorithms"]

    def of(name: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = algorithms[name]["vectors"]
        assert found
        return found

    return of


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
