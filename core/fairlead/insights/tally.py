"""Counts by key that add up: the form of every statistic whose keys are too many for a dense array."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fairlead.insights.path_columns import AnyArray, FloatArray, IntArray

# Above this many possible keys a dense array per block costs more than sorting the block.
DENSE_KEYS = 1 << 18


@dataclass(frozen=True, eq=False)
class Tally:
    """``columns[:, i]`` are the sums at ``keys[i]``; keys int64 ``(n,)`` rising, columns float64 ``(c, n)``."""

    keys: IntArray
    columns: FloatArray

    def __add__(self, other: Tally) -> Tally:
        return _merged([self, other], len(self.columns))

    def __len__(self) -> int:
        return len(self.keys)


class Tallying:
    """Collects a :class:`Tally` block by block. ``space`` is the number of possible keys, ``columns`` of sums."""

    def __init__(self, space: int, columns: int, *, dense_keys: int = DENSE_KEYS) -> None:
        """Count in a dense array when the space has at most ``dense_keys`` keys, else by sorting each block."""
        self.space = space
        self.dense = np.zeros((columns, space)) if space <= dense_keys else None
        self.parts: list[Tally] = []
        self.columns = columns

    def add(self, column: int, keys: npt.NDArray[np.int64], weights: AnyArray | None = None) -> None:
        """Add ``weights`` (1 each when ``None``) at ``keys`` to one column; both ``(n,)``."""
        if self.dense is not None:
            self.dense[column] += np.bincount(keys, weights, minlength=self.space)
            return
        if weights is None:
            unique, counts = np.unique(keys, return_counts=True)
            sums = counts.astype(np.float64)
        else:
            unique, inverse = np.unique(keys, return_inverse=True)
            sums = np.asarray(np.bincount(inverse, weights, minlength=len(unique)), np.float64)
        columns = np.zeros((self.columns, len(unique)))
        columns[column] = sums
        self.parts.append(Tally(unique, columns))

    def take_off(self, column: int, keys: npt.NDArray[np.int64]) -> None:
        """Take 1 off at each of ``keys``; only where ``dense`` is not ``None``."""
        assert self.dense is not None
        self.dense[column] -= np.bincount(keys, minlength=self.space)

    def result(self) -> Tally:
        """Return what was added."""
        if self.dense is not None:
            keys = np.flatnonzero(self.dense.any(axis=0))
            return Tally(keys, self.dense[:, keys])
        return _merged(self.parts, self.columns)


def _merged(parts: list[Tally], columns: int) -> Tally:
    if not parts:
        return Tally(np.zeros(0, np.int64), np.zeros((columns, 0)))
    keys, inverse = np.unique(np.concatenate([part.keys for part in parts]), return_inverse=True)
    sums = np.empty((columns, len(keys)))
    for column in range(columns):
        weights = np.concatenate([part.columns[column] for part in parts])
        sums[column] = np.bincount(inverse, weights, minlength=len(keys))
    return Tally(keys, sums)
