"""The published vectors, and contexts on a clock that the test moves."""

from __future__ import annotations

import datetime as dt
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from fairlead.plugins.contracts.channel import ChannelContext
from fairlead.plugins.http import guarded_client

Vectors = Callable[[str], list[dict[str, Any]]]


@pytest.fixture(scope="session")
def vectors() -> Vectors:
    """``vectors("feishu.bot_sign")`` gives the vectors of an algorithm; skips where the file is not at hand."""
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
