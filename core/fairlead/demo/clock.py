"""A clock that can be moved on, so that a journey of days takes seconds."""

from __future__ import annotations

import datetime as dt

START = dt.datetime(2026, 11, 21, 2, 0, tzinfo=dt.UTC)
"""Ten in the morning in Shanghai, after every fact of the sample."""


class DemoClock:
    """Stands still until it is moved: the same demonstration gives the same rows each time."""

    def __init__(self, start: dt.datetime = START) -> None:
        self._now = start

    def __call__(self) -> dt.datetime:
        return self._now

    def move(self, **span: float) -> None:
        """Move on by a ``timedelta``."""
        self._now += dt.timedelta(**span)
