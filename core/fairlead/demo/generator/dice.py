"""Random draws as plain Python values, and the calendar the draws fall on."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from itertools import accumulate
from typing import TypeVar

from numpy.random import Generator

T = TypeVar("T")

SHANGHAI = timezone(timedelta(hours=8))
FIRST_DAY = datetime(2026, 8, 1, tzinfo=SHANGHAI)
DAYS = 112  # up to and including 20 November 2026
_PEAKS = {"10-20": 2.5, "10-31": 2.5, "11-01": 3.0, "11-10": 4.0, "11-11": 10.0, "09-22": 2.0}
_HOURS = (2, 1, 1, 1, 1, 1, 2, 4, 6, 8, 10, 10, 12, 10, 8, 8, 8, 9, 10, 13, 18, 20, 16, 8)


class Dice:
    """A seeded source of draws; each part of the sample has its own, so that one part does not move another."""

    def __init__(self, generator: Generator) -> None:
        self._random = generator.random
        self._poisson = generator.poisson
        self._normal = generator.normal

    def chance(self, share: float) -> bool:
        """True in ``share`` (0 to 1) of all draws."""
        return float(self._random()) < share

    def below(self, limit: int) -> int:
        """A whole number from 0 up to ``limit`` - 1."""
        return int(self._random() * limit)

    def between(self, low: int, high: int) -> int:
        """A whole number from ``low`` to ``high``, both included."""
        return low + self.below(high - low + 1)

    def one_of(self, values: Sequence[T]) -> T:
        """One of ``values``, all equally likely."""
        return values[self.below(len(values))]

    def weighted(self, values: Sequence[T], upto: Sequence[float]) -> T:
        """One of ``values`` by running weight sums, as :func:`running` makes them."""
        return values[min(bisect_right(upto, float(self._random()) * upto[-1]), len(values) - 1)]

    def count(self, mean: float) -> int:
        """A Poisson count."""
        return int(self._poisson(mean))

    def about(self, mean: float, spread: float) -> float:
        """A normal draw."""
        return float(self._normal(mean, spread))

    def code(self, length: int, alphabet: str = "abcdefghijkmnpqrstuvwxyz23456789") -> str:
        """A random identifier of ``length`` characters."""
        return "".join(self.one_of(alphabet) for _ in range(length))


def running(weights: Sequence[float]) -> list[float]:
    """Running sums of weights, for :meth:`Dice.weighted`."""
    return list(accumulate(weights))


def _day_weights() -> list[float]:
    weights = []
    for offset in range(DAYS):
        day = FIRST_DAY + timedelta(days=offset)
        weekend = 1.25 if day.weekday() >= 5 else 1.0
        weights.append(weekend * _PEAKS.get(day.strftime("%m-%d"), 1.0))
    return weights


_DAYS_UPTO = running(_day_weights())
_HOURS_UPTO = running(_HOURS)
FIRST_SECOND = int(FIRST_DAY.timestamp())
LAST_SECOND = FIRST_SECOND + DAYS * 86_400 - 1


def moment(dice: Dice) -> int:
    """A second of the sample's period, by the shop's week, day and season: Unix time."""
    day = dice.weighted(range(DAYS), _DAYS_UPTO)
    hour = dice.weighted(range(24), _HOURS_UPTO)
    return FIRST_SECOND + day * 86_400 + hour * 3_600 + dice.below(3_600)


def local(second: int, pattern: str = "%Y-%m-%d %H:%M:%S") -> str:
    """Unix time as the shop's wall clock, without a zone, as most exports write it."""
    return datetime.fromtimestamp(second, SHANGHAI).strftime(pattern)


def iso_local(second: int) -> str:
    """Unix time as ISO 8601 with the offset of Shanghai."""
    return datetime.fromtimestamp(second, SHANGHAI).isoformat()


def iso_utc(second: int) -> str:
    """Unix time as ISO 8601 in UTC, ending in Z."""
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
