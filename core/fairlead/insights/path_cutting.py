"""Cut ordered touches into paths at the conversions; the rule is stated in :mod:`fairlead.insights.paths`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fairlead.errors import InvalidInput
from fairlead.insights.path_columns import AnyArray, BoolArray, IntArray, PathColumns
from fairlead.insights.touch_order import OrderedTouches, Packing, order_touches

# A hundred times the age of the universe; beyond it an instant minus a look-back could leave 64 bits.
LATEST_MS = 1 << 61


@dataclass(frozen=True, eq=False)
class Touches:
    """Raw touches in any order: profile, epoch milliseconds and channel code, ``(m,)`` each."""

    profile: IntArray
    at_ms: IntArray
    channel: AnyArray


@dataclass(frozen=True, eq=False)
class Conversions:
    """Raw conversions in any order: profile, epoch milliseconds and value, ``(c,)`` each.

    ``counted`` ``(c,)`` is false for those that only use up the touches before them; ``None`` counts all.
    """

    profile: IntArray
    at_ms: IntArray
    value: AnyArray
    counted: BoolArray | None = None


@dataclass(frozen=True, eq=False)
class Cut:
    """The paths, and how many conversions (and what value) and touches found no place in them."""

    columns: PathColumns
    without_touch: int
    value_without_touch: float
    outside_lookback: int


@dataclass(frozen=True, eq=False)
class _Instants:
    """The conversions of one profile at one instant, in order.

    ``row`` is one of them among those given; ``count`` and ``value`` are of the counted ones, ``ends`` counts the
    touches up to the instant.
    """

    row: IntArray
    count: IntArray
    value: AnyArray
    ends: IntArray

    def where(self, chosen: BoolArray) -> _Instants:
        return _Instants(self.row[chosen], self.count[chosen], self.value[chosen], self.ends[chosen])


def cut_paths(
    touches: Touches, conversions: Conversions, channel_count: int, lookback_ms: int | None, keep_times: bool
) -> Cut:
    """Sort the touches and cut them after each conversion; O(m log m) with no loop over rows."""
    instants_given = (touches.at_ms, conversions.at_ms)
    if any(len(column) and max(-int(column.min()), int(column.max())) > LATEST_MS for column in instants_given):
        raise InvalidInput("a time is not in epoch milliseconds", path=("at_ms",))
    packing = Packing.fitting((touches.profile, conversions.profile), instants_given, channel_count)
    ordered = order_touches(touches.profile, touches.at_ms, touches.channel, channel_count, packing)
    instants = _instants(conversions, ordered, packing)
    m = len(ordered.keys)

    ordered.first[instants.ends] = True
    offsets = np.flatnonzero(ordered.first)
    n = len(offsets) - 1
    ended = np.searchsorted(offsets, instants.ends) - 1
    converted = np.zeros(n, np.uint8 if instants.count.max(initial=0) < 256 else np.int64)
    value = np.zeros(n, conversions.value.dtype)
    converted[ended], value[ended] = instants.count, instants.value

    begins = None
    if lookback_ms is not None and len(ended):
        begins = offsets[:-1].copy()
        oldest = _oldest_within(lookback_ms, conversions, instants, ordered, packing)
        begins[ended] = np.maximum(begins[ended], oldest)
    times = ordered.times(packing) if keep_times else None
    columns = PathColumns(offsets, ordered.channels, converted, value, times, channel_count)
    uncounted = ended[instants.count == 0]
    if begins is not None or len(uncounted):
        lengths = columns.lengths if begins is None else offsets[1:] - begins
        kept = lengths > 0
        kept[uncounted] = False
        inside = columns.gather((offsets[:-1] if begins is None else begins)[kept], lengths[kept])
        m -= int(columns.lengths[uncounted].sum())
        columns = PathColumns(
            inside.offsets, inside.channels, converted[kept], value[kept], inside.times, channel_count
        )
    asked = len(conversions.profile) if conversions.counted is None else int(np.count_nonzero(conversions.counted))
    without = asked - columns.conversions
    lost = 0.0
    if without:
        worth = conversions.value if conversions.counted is None else conversions.value[conversions.counted]
        lost = float(worth.sum() - columns.value.sum())
    return Cut(columns, without, lost, m - columns.touches)


def _instants(conversions: Conversions, ordered: OrderedTouches, packing: Packing) -> _Instants:
    """Gather conversions by profile and instant, and leave out those with no touch since the one before."""
    packed = packing.instants(conversions.profile, conversions.at_ms)
    # Those of one instant are only added up, so their order is free, and the fastest sort will do.
    order = np.argsort(packed)
    packed = packed[order]
    new = np.ones(len(packed), np.bool_)
    np.not_equal(packed[1:], packed[:-1], out=new[1:])
    first = np.flatnonzero(new)
    keys = packing.widest(packed[first])
    ends = np.searchsorted(ordered.keys, keys, side="right")
    value, count = conversions.value[order], np.diff(np.append(first, len(packed)))
    if conversions.counted is not None:
        counted = conversions.counted[order]
        value *= counted
        count = np.add.reduceat(counted, first, dtype=np.int64) if len(first) else count
    instants = _Instants(
        order[first],
        count,
        np.add.reduceat(value, first) if len(first) else value,
        ends,
    )
    if not len(ordered.keys):
        return instants.where(np.zeros(len(first), np.bool_))
    # A conversion counts if the touch before its end is its own profile's and was not used up by an earlier one.
    own = packing.profile_of(ordered.keys[np.maximum(ends - 1, 0)]) == packing.profile_of(keys)
    fresh = np.ones(len(ends), np.bool_)
    np.not_equal(ends[1:], ends[:-1], out=fresh[1:])
    return instants.where((ends > 0) & own & fresh)


def _oldest_within(
    lookback_ms: int, conversions: Conversions, instants: _Instants, ordered: OrderedTouches, packing: Packing
) -> npt.NDArray[np.intp]:
    """Index of the first touch not older than the look-back, per instant."""
    at = conversions.at_ms[instants.row]
    reach = min(lookback_ms, int(at.max()) - packing.time.low)
    since = np.maximum(at - reach, packing.time.low)
    keys = packing.instants(conversions.profile[instants.row], since) << np.uint64(packing.code_bits)
    return np.searchsorted(ordered.keys, keys, side="left")
