"""Statistics of paths that add up, counted when first asked for."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from functools import reduce
from operator import add
from typing import Any, Protocol, Self, TypeVar, cast

import numpy as np

from fairlead.insights.path_columns import FloatArray, PathColumns
from fairlead.insights.path_counts import (
    Positions,
    Transitions,
    count_decayed,
    count_positions,
    count_sets,
    count_shared,
    count_transitions,
)
from fairlead.insights.tally import Tally


class Additive(Protocol):
    """A count of two sets of paths is the sum of their counts; NumPy arrays are such."""

    def __add__(self, other: Self, /) -> Self: ...


A = TypeVar("A")
Weights = Callable[[int], FloatArray]


class PathStatistics:
    """What models read instead of the paths.

    ``statistics + more`` keeps what was already counted on the left and counts the same of the right only, so that new
    paths cost what they are and not what the history is. A part that only the right side knows is counted again when it
    is asked for.
    """

    def __init__(self, batches: Sequence[PathColumns]) -> None:
        self.batches = tuple(batches)
        self._parts: dict[Hashable, tuple[Callable[[PathColumns], Any], Any]] = {}

    def additive(self, key: Hashable, count: Callable[[PathColumns], A]) -> A:
        """Return ``count`` of all paths; counted once per ``key``, then kept.

        ``count`` must be additive: its result for two sets of paths together is the sum (``+``) of its results for
        each. A model of a plugin keeps its own statistic this way; its key should start with the plugin's name.
        """
        if key not in self._parts:
            counted = [cast("Additive", count(batch)) for batch in self.batches]
            self._parts[key] = (count, reduce(add, counted))
        return cast("A", self._parts[key][1])

    def __add__(self, other: PathStatistics) -> PathStatistics:
        both = PathStatistics(self.batches + other.batches)
        for key, (count, mine) in self._parts.items():
            both._parts[key] = (count, mine + other.additive(key, count))
        return both

    # -- totals -----------------------------------------------------------------------------------------------------

    @property
    def channels(self) -> int:
        """Number of channels, those never seen included."""
        return self.batches[0].channel_count

    @property
    def paths(self) -> int:
        """Number of paths."""
        return sum(len(batch) for batch in self.batches)

    @property
    def touches(self) -> int:
        """Number of touches."""
        return sum(batch.touches for batch in self.batches)

    @property
    def converting(self) -> int:
        """Number of paths that end in a conversion."""
        return sum(int(np.count_nonzero(batch.converted)) for batch in self.batches)

    @property
    def conversions(self) -> int:
        """Number of conversions: what the credit of every model sums to."""
        return sum(batch.conversions for batch in self.batches)

    @property
    def value(self) -> float:
        """Value of the conversions."""
        return sum(batch.total_value for batch in self.batches)

    # -- what the built-in models count -----------------------------------------------------------------------------

    def transitions(self, order: int) -> Transitions:
        """Return moves, entries and exits of a chain of this order, see :class:`Transitions`."""
        return self.additive(("transitions", order), lambda paths: count_transitions(paths, order))

    def positions(self) -> Positions:
        """Return conversions and value by length, position and channel, see :class:`Positions`."""
        return self.additive("positions", count_positions)

    def shared(self) -> FloatArray:
        """Return conversions and value shared equally among a path's distinct channels, float64 ``(2, channels)``."""
        return self.additive("shared", count_shared)

    def decayed(self, half_life_ms: float) -> FloatArray:
        """Return conversions and value shared by age, float64 ``(2, channels)``; raises when paths have no times."""
        return self.additive(("decayed", half_life_ms), lambda paths: count_decayed(paths, half_life_ms))

    def sets(self) -> Tally:
        """Return conversions, paths and value by set of channels, see :func:`count_sets`."""
        return self.additive("sets", count_sets)

    def by_position(self, weights: Weights) -> FloatArray:
        """Share conversions and value by position alone; float64 ``(2, channels)``, conversions, then value.

        ``weights(length)`` gives each position of a path of that length, oldest touch first, a number that is not
        negative; the shares are in proportion to them, and equal when all are zero.
        """
        positions = self.positions()
        shares = np.concatenate([_shares(weights, length) for length in range(1, positions.length + 1)])
        credit = np.asarray(shares @ positions.cube)
        long = positions.long
        for length in np.unique(long.lengths):
            same = long.take(np.flatnonzero(long.lengths == length))
            share = np.tile(_shares(weights, int(length)), len(same))
            credit[0] += np.bincount(same.channels, share * np.repeat(same.converted, length), self.channels)
            credit[1] += np.bincount(same.channels, share * np.repeat(same.value, length), self.channels)
        return credit


def _shares(weights: Weights, length: int) -> FloatArray:
    share = np.asarray(weights(length), np.float64)
    total = share.sum()
    return share / total if total > 0 else np.full(length, 1 / length)
