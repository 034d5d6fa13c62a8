"""Whoever comes into a segment later enters the journey by itself: refresh, take in, move."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from fairlead.customers.linking import ClaimColumn, link
from fairlead.engine.memory import MemoryEngine
from fairlead.journeys.model import Enrolment
from fairlead.journeys.watched import REFRESH_ALL, watched_segments
from fairlead.journeys.workflows import register
from fairlead.testing.fakes import FakeClock


def _enrolled(made: Any) -> int:
    with made.runtime.reading(made.client) as work:
        return int(work.session.scalar(sa.select(sa.func.count()).select_from(Enrolment)) or 0)


def test_somebody_new_is_taken_in(shop: Callable[..., Any], clock: FakeClock) -> None:
    made = shop(3)
    engine = MemoryEngine(now=clock.now)
    made.runtime.engine = None
    register(made.runtime, engine)
    engine.start()
    with made.runtime.work(made.client) as work:
        assert watched_segments(work) == ["everybody"]
        link(work, [ClaimColumn("member", ["m9"])], "test")
    assert _enrolled(made) == 3
    clock.advance(seconds=1)
    engine.enqueue(REFRESH_ALL, {})
    for minutes in (0.1, 1, 2):
        engine.run_due(clock.advance(minutes=minutes))
    assert _enrolled(made) == 4
