"""Shapley values of the conversion-rate game over all coalitions of channels.

The value of a coalition ``S`` is the conversion rate (or the value per path) among the paths whose channels all lie in
``S``; 0 when there is no such path. Unlike the game of conversions it is not a sum over paths, so all ``2 ** k``
coalitions are needed: their sums come from one zeta transform, ``k`` passes over the array.
"""

from __future__ import annotations

from math import comb

import numpy as np

from fairlead.errors import InvalidInput
from fairlead.insights.path_columns import FloatArray, IntArray
from fairlead.insights.tally import Tally

MAX_RATE_CHANNELS = 24

# The lowest passes have tiny inner loops, so they are done by one matrix product over this many channels.
LOW_BITS = 5


def rate_game(sets: Tally, channels: int) -> FloatArray:
    """Return the Shapley values of the conversion rate and of the value per path, float64 ``(2, channels)``.

    ``sets`` is the table of :func:`count_sets`. Rows sum to the overall rate and value per path. A channel that lowers
    the rate has a negative value. Memory is 24 bytes times ``2 ** k`` for the ``k`` channels that occur; more than
    :data:`MAX_RATE_CHANNELS` raise :class:`InvalidInput`.
    """
    seen = np.flatnonzero([bool((sets.keys >> code & 1).any()) for code in range(channels)])
    k = len(seen)
    if k > MAX_RATE_CHANNELS:
        raise InvalidInput(
            f"{k} channels are more than the {MAX_RATE_CHANNELS} that the game of rates allows",
            path=("game",),
            next_step="Use the game of conversions, or group the rare channels into one.",
        )
    marginal = np.zeros((2, channels))
    if k == 0:
        return marginal
    coalitions = np.zeros(len(sets), np.int64)
    for bit, code in enumerate(seen):
        coalitions |= (sets.keys >> code & 1) << bit
    paths = _inside(coalitions, sets.columns[1], k)
    np.maximum(paths, 1.0, out=paths)
    for row, column in enumerate((0, 2)):
        worth = _inside(coalitions, sets.columns[column], k)
        worth /= paths
        marginal[row, seen] = shapley_values(worth, k)
    return marginal


def _inside(coalitions: IntArray, counts: FloatArray, k: int) -> FloatArray:
    """Sum the counts over all subsets of each coalition, ``(2 ** k,)``."""
    sums: FloatArray = np.asarray(np.bincount(coalitions, counts, 1 << k), np.float64)
    low = min(LOW_BITS, k)
    index = np.arange(1 << low)
    subset = ((index[:, None] & ~index[None, :]) == 0).astype(np.float64)
    table = sums.reshape(-1, 1 << low)
    for begin in range(0, len(table), 1 << 15):
        part = slice(begin, begin + (1 << 15))
        table[part] = table[part] @ subset
    for bit in range(low, k):
        halves = sums.reshape(-1, 2, 1 << bit)
        halves[:, 1] += halves[:, 0]
    return sums


def shapley_values(worth: FloatArray, k: int) -> FloatArray:
    """Return the Shapley value of each of ``k`` players; ``worth[S]`` for every bit set ``S``, used up.

    A player gains ``worth[S + i] - worth[S]`` with the weight ``1 / (k * C(k - 1, |S|))`` (L. S. Shapley, 1953). Each
    coalition is thus counted with one weight for the players in it and one for those outside; folding the array in
    half from the top gives the sums for all players in ``2 ** (k + 1)`` additions.
    """
    outside = np.array([1 / (k * comb(k - 1, size)) for size in range(k)] + [0.0])
    both = outside.copy()
    both[1:] += outside[:-1]
    missed = 0.0
    step = 1 << 16
    for begin in range(0, len(worth), step):
        part = worth[begin : begin + step]
        size = np.bitwise_count(np.arange(begin, begin + len(part), dtype=np.uint32))
        missed += float(part @ outside[size])
        part *= both[size]
    gained = np.empty(k)
    for player in range(k - 1, -1, -1):
        half = 1 << player
        gained[player] = worth[half : 2 * half].sum()
        worth = worth[:half] + worth[half : 2 * half]
    return gained - missed
