"""The fixtures that ``pip install fairlead`` adds to pytest; nothing is loaded before a test asks for one of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pydantic import BaseModel

    from fairlead.plugins.contracts.channel import ChannelContext
    from fairlead.testing.fakes import FakeClock, FakeHttp
    from fairlead.testing.hostile import HostileChannel


@pytest.fixture
def fairlead_clock() -> FakeClock:
    """A clock that stands at 2026-01-05 10:00 UTC (a Monday) until the test moves it."""
    from fairlead.testing.fakes import FakeClock

    return FakeClock()


@pytest.fixture
def fairlead_http() -> FakeHttp:
    """A scripted HTTP side: queue answers and faults, read the requests that came."""
    from fairlead.testing.fakes import FakeHttp

    return FakeHttp()


@pytest.fixture
def fairlead_context(fairlead_clock: FakeClock, fairlead_http: FakeHttp) -> Callable[..., ChannelContext]:
    """``fairlead_context(settings)`` gives a channel context on the test's clock and HTTP side."""
    from fairlead.testing.fakes import fake_context

    def build(settings: BaseModel | None = None) -> ChannelContext:
        return fake_context(settings, http=fairlead_http.client(), clock=fairlead_clock)

    return build


@pytest.fixture
def hostile_channel(fairlead_clock: FakeClock) -> HostileChannel:
    """A channel that misbehaves in every way seen so far, by a fixed seed."""
    from fairlead.testing.hostile import HostileChannel

    return HostileChannel(clock=fairlead_clock)
