"""The counting passes over paths. Each is additive: counting two sets of paths and adding gives the count of both.

All of them go through the paths in blocks, so their extra memory does not grow with the number of paths.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fairlead.errors import InvalidInput
from fairlead.insights.path_columns import AnyArray, CodeArray, FloatArray, IntArray, PathColumns, joined
from fairlead.insights.tally import Tally, Tallying

MAX_ORDER = 4
MAX_SET_CHANNELS = 63

# Positions of longer paths are kept path by path; few are longer, and the cube grows with the square of the length.
CUBE_LENGTH = 32
CUBE_CELLS = 1 << 20


@dataclass(frozen=True, eq=False)
class Transitions:
    """What an order-``order`` Markov chain needs, for ``channels`` channels.

    ``moves`` counts the runs of ``order + 1`` touches inside paths: key in base ``channels``, newest touch lowest. A
    path enters the chain with its first ``order`` touches and leaves it after its last ``order`` (all it has when it is
    shorter); ``entries`` counts the first, ``exits`` has the columns conversions, paths and value of the last. Their
    keys are in base ``channels + 1``, newest touch lowest, digit ``code + 1``, 0 for none. A path that ends in several
    conversions counts as so many paths.
    """

    order: int
    channels: int
    moves: Tally
    entries: Tally
    exits: Tally

    def __add__(self, other: Transitions) -> Transitions:
        return Transitions(
            self.order,
            self.channels,
            self.moves + other.moves,
            self.entries + other.entries,
            self.exits + other.exits,
        )


@dataclass(frozen=True, eq=False)
class Positions:
    """Conversions and value by path length, position and channel.

    ``cube`` is float64 ``(2, cells, channels)``, conversions first, then value; a path of length ``l`` uses the cells
    ``l(l-1)/2 ... l(l+1)/2 - 1``, oldest touch first. ``long`` holds the converting paths longer than ``length``.
    """

    length: int
    cube: FloatArray
    long: PathColumns

    def __add__(self, other: Positions) -> Positions:
        return Positions(self.length, self.cube + other.cube, joined((self.long, other.long)))


def count_transitions(paths: PathColumns, order: int) -> Transitions:
    """Count the moves, entries and exits of an order-``order`` chain; ``order`` is 1 to :data:`MAX_ORDER`."""
    k = paths.channel_count
    if not 1 <= order <= MAX_ORDER:
        raise InvalidInput(f"order {order} is not one of 1 to {MAX_ORDER}", path=("order",))
    if (k + 1) ** (order + 1) >= 1 << 63:
        raise InvalidInput(
            f"{k} channels are too many for a chain of order {order}",
            path=("order",),
            next_step="Choose a lower order, or group the rare channels into one.",
        )
    moves = Tallying(k ** (order + 1), 1)
    entries, exits = Tallying((k + 1) ** order, 1), Tallying((k + 1) ** order, 3)
    for block in paths.blocks():
        weights = np.maximum(block.converted, 1) if (block.converted > 1).any() else None
        known = np.minimum(block.lengths, order)
        entered = _states(block.channels, block.offsets[:-1] + known, known, order, k + 1)
        left = _states(block.channels, block.offsets[1:], known, order, k + 1)
        if order == 1 and weights is None and moves.dense is not None:
            _count_pairs(block, entered - 1, left - 1, moves)
        else:
            _count_moves(block, order, weights, moves)
        buys = np.flatnonzero(block.converted != 0)
        entries.add(0, entered, weights)
        exits.add(0, left[buys], None if weights is None else weights[buys])
        exits.add(1, left, weights)
        if block.total_value:
            exits.add(2, left[buys], block.value[buys])
    return Transitions(order, k, moves.result(), entries.result(), exits.result())


def _count_pairs(block: PathColumns, first: IntArray, last: IntArray, moves: Tallying) -> None:
    """Order 1, faster: count all neighbours and take those off that stand in two paths."""
    k = block.channel_count
    keys = np.multiply(block.channels[:-1], k, dtype=np.int64)
    keys += block.channels[1:]
    moves.add(0, keys)
    moves.take_off(0, last[:-1] * k + first[1:])


def _count_moves(block: PathColumns, order: int, weights: AnyArray | None, moves: Tallying) -> None:
    runs = block.touches - order
    if runs <= 0:
        return
    inside = np.ones(block.touches, np.bool_)
    for back in range(1, order + 1):
        # An index below 0 wraps to the block's last touches, where no run begins either.
        inside[block.offsets[1:] - back] = False
    begins = np.flatnonzero(inside)
    codes = block.channels
    keys: IntArray = np.asarray(codes[begins], np.int64)
    for ahead in range(1, order + 1):
        keys *= block.channel_count
        keys += codes[begins + ahead]
    moves.add(0, keys, None if weights is None else weights[block.owners[begins]])


def _states(
    channels: CodeArray, stops: IntArray, known: npt.NDArray[np.int64], order: int, base: int
) -> npt.NDArray[np.int64]:
    """Return the state of the ``known`` touches before ``stops``, one number per path."""
    # The digit 0 is kept for "none", so that short paths have states of their own.
    state: IntArray = np.asarray(channels[stops - 1], np.int64)
    state += 1
    for back in range(1, order):
        # What lies before the path is read too, and dropped by the mask.
        older = np.asarray(channels[np.maximum(stops - 1 - back, 0)], np.int64)
        digit = np.where(known > back, older + 1, 0)
        state += digit * base**back
    return state


def cube_length(channel_count: int) -> int:
    """Return the longest path whose positions are kept in the cube."""
    length = 1
    while length < CUBE_LENGTH and (length + 1) * (length + 2) // 2 * channel_count <= CUBE_CELLS:
        length += 1
    return length


def count_positions(paths: PathColumns) -> Positions:
    """Count conversions and value by length, position and channel."""
    k = paths.channel_count
    limit = cube_length(k)
    cells = limit * (limit + 1) // 2
    cube = np.zeros((2, cells * k))
    buyers = paths.converting
    short = buyers
    long = buyers.take(np.flatnonzero(buyers.lengths > limit))
    if len(long):
        short = buyers.take(np.flatnonzero(buyers.lengths <= limit))
    for block in short.blocks():
        lengths, owners = block.lengths, block.owners
        cell = (lengths * (lengths - 1) // 2 - block.offsets[:-1])[owners]
        cell += np.arange(block.touches)
        cell *= k
        cell += block.channels
        once = bool((block.converted == 1).all())
        cube[0] += np.bincount(cell, None if once else block.converted[owners], len(cube[0]))
        if block.total_value:
            cube[1] += np.bincount(cell, block.value[owners], len(cube[1]))
    return Positions(limit, cube.reshape(2, cells, k), long)


def count_shared(paths: PathColumns) -> FloatArray:
    """Share each conversion equally among the distinct channels of its path; ``(2, channels)``, conversions, value."""
    k = paths.channel_count
    credit = np.zeros((2, k))
    for block in paths.converting.blocks():
        # A block has at most BLOCK_TOUCHES paths, which times MAX_CHANNELS stays below 32 bits: half the work to sort.
        keys: npt.NDArray[np.uint32] = block.owners.astype(np.uint32)
        keys *= np.uint32(k)
        keys += block.channels
        keys.sort()
        distinct = np.ones(len(keys), np.bool_)
        np.not_equal(keys[1:], keys[:-1], out=distinct[1:])
        keys = keys[distinct]
        path = (keys // k).astype(np.intp)
        channel = keys - path * k
        sizes = np.bincount(path, minlength=len(block))
        credit[0] += np.bincount(channel, (block.converted / sizes)[path], k)
        if block.total_value:
            credit[1] += np.bincount(channel, (block.value / sizes)[path], k)
    return credit


def count_decayed(paths: PathColumns, half_life_ms: float) -> FloatArray:
    """Share each conversion by ``2 ** (-age / half_life_ms)``; ``(2, channels)``, conversions, value.

    The age counts from the path's last touch: from the conversion it would be longer by the same time for every touch
    of the path, which cancels out when the shares are made to add up to one.
    """
    credit = np.zeros((2, paths.channel_count))
    for block in paths.converting.blocks():
        if block.times is None:
            raise InvalidInput(
                "these paths have no times",
                path=("unit",),
                next_step="Build the paths with their times, or let the half-life count in touches.",
            )
        owners = block.owners
        share = (block.times - block.times[block.offsets[1:] - 1][owners]) / half_life_ms
        np.exp2(share, out=share)
        sums = np.add.reduceat(share, block.offsets[:-1])
        credit[0] += np.bincount(block.channels, share * (block.converted / sums)[owners], len(credit[0]))
        if block.total_value:
            credit[1] += np.bincount(block.channels, share * (block.value / sums)[owners], len(credit[0]))
    return credit


def count_sets(paths: PathColumns) -> Tally:
    """Count paths by the set of their channels: key bit ``1 << code``; columns conversions, paths and value.

    A path that ends in several conversions counts as so many paths.
    """
    k = paths.channel_count
    if k > MAX_SET_CHANNELS:
        raise InvalidInput(
            f"{k} channels are more than the {MAX_SET_CHANNELS} whose sets can be counted",
            path=("game",),
            next_step="Use the game of conversions, or group the rare channels into one.",
        )
    bit = np.left_shift(np.int64(1), np.arange(k, dtype=np.int64))
    sets = np.empty(len(paths), np.int64)
    done = 0
    for block in paths.blocks():
        np.bitwise_or.reduceat(bit[block.channels], block.offsets[:-1], out=sets[done : done + len(block)])
        done += len(block)
    # In one go instead of block by block, so that a larger dense array still pays.
    tally = Tallying(1 << k, 3, dense_keys=min(4 * len(paths), 1 << 20))
    buys = np.flatnonzero(paths.converted != 0)
    counts = paths.converted[buys]
    several = bool((counts > 1).any())
    tally.add(0, sets[buys], counts if several else None)
    tally.add(1, sets, np.maximum(paths.converted, 1) if several else None)
    tally.add(2, sets[buys], paths.value[buys])
    return tally.result()
