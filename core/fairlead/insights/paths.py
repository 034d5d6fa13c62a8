"""Customer paths: what attribution models read, and how raw touches become them.

**What a path is.** The touches of one profile in time order, cut after each conversion:

* A path runs up to and including the instant of a conversion. Touches at that very instant belong to it, so a row that
  is touch and conversion at once counts as the last touch of the path that it ends.
* After a conversion a new path starts. Touches after the last conversion, and all touches of a profile that never
  converts, form a *null path*.
* Conversions of one profile at one instant end one path together: it then counts as so many conversions.
* With a look-back, a converting path keeps only its touches not older than the look-back before its conversion; null
  paths have no such end and keep all.
* A conversion that is left without any touch is excluded (``no_touch``). It still ends what came before it.
* A conversion that is not asked about ends what came before it too, and the path that it ends is left out.
* Touches of one profile at one instant keep the order in which they were given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from fairlead.errors import InvalidInput
from fairlead.insights.path_columns import AnyArray, CodeArray, IntArray, PathColumns, check, code_type, joined
from fairlead.insights.path_cutting import Conversions, Touches, cut_paths
from fairlead.insights.path_statistics import PathStatistics

NO_TOUCH = "no_touch"
NO_CHANNEL = "no_channel"
OTHER_CURRENCY = "other_currency"
OUTSIDE_LOOKBACK = "outside_lookback"


@dataclass(frozen=True, slots=True)
class PathSummary:
    """How many paths there are and what was left out, each by reason.

    ``conversions`` and ``value`` are those in the paths; with ``no_touch`` of ``excluded_conversions`` and
    ``excluded_value`` they add up to what was asked about. ``excluded_touches`` has ``no_channel`` (the touch's channel
    is unknown) and ``outside_lookback``.
    """

    paths: int
    converting: int
    null: int
    touches: int
    conversions: int
    value: float
    excluded_conversions: Mapping[str, int] = field(default_factory=dict)
    excluded_value: float = 0.0
    excluded_touches: Mapping[str, int] = field(default_factory=dict)

    def __add__(self, other: PathSummary) -> PathSummary:
        return PathSummary(
            self.paths + other.paths,
            self.converting + other.converting,
            self.null + other.null,
            self.touches + other.touches,
            self.conversions + other.conversions,
            self.value + other.value,
            _added(self.excluded_conversions, other.excluded_conversions),
            self.excluded_value + other.excluded_value,
            _added(self.excluded_touches, other.excluded_touches),
        )


class Paths:
    """Ragged coded paths; see :class:`PathColumns` for the arrays.

    ``names[code]`` is the name of a channel. ``statistics`` are counted when first asked for and kept. ``paths + more``
    joins two sets with the same names: the statistics already counted are added up, so only the new paths are counted,
    and the arrays are joined only if somebody reads them.
    """

    def __init__(
        self,
        offsets: npt.ArrayLike,
        channels: npt.ArrayLike,
        converted: npt.ArrayLike,
        value: npt.ArrayLike,
        *,
        names: Sequence[str],
        times: npt.ArrayLike | None = None,
    ) -> None:
        """Take the arrays of :class:`PathColumns`; raise :class:`InvalidInput` when they do not fit together."""
        codes = np.asarray(channels)
        wanted = code_type(len(names))
        if codes.dtype != wanted:
            if len(codes) and not 0 <= int(codes.min()) <= int(codes.max()) < max(len(names), 1):
                raise InvalidInput("a touch has a channel code without a name", path=("channels",))
            codes = codes.astype(wanted)
        ends = np.asarray(converted)
        if ends.dtype.kind not in "biu":
            if len(ends):
                raise InvalidInput("converted is not a column of whole numbers", path=("converted",))
            ends = ends.astype(np.uint8)
        columns = PathColumns(
            np.asarray(offsets, np.int64),
            codes,
            ends.view(np.uint8) if ends.dtype == np.bool_ else ends,
            _amounts(value),
            None if times is None else np.asarray(times, np.int64),
            len(names),
        )
        check(columns)
        self._set(columns, tuple(names), None)

    def _set(self, columns: PathColumns | None, names: tuple[str, ...], summary: PathSummary | None) -> None:
        self.names = names
        self._columns = columns
        self._summary = summary
        if columns is not None:
            self.statistics = PathStatistics((columns,))

    @classmethod
    def _trusted(cls, columns: PathColumns, names: tuple[str, ...], summary: PathSummary | None) -> Paths:
        paths = cls.__new__(cls)
        paths._set(columns, names, summary)
        return paths

    def __add__(self, other: Paths) -> Paths:
        if self.names != other.names:
            raise InvalidInput(
                "paths with different channel names cannot be joined",
                path=("names",),
                next_step="Code both with the same list of names.",
            )
        paths = Paths.__new__(Paths)
        paths._set(None, self.names, self.summary + other.summary)
        paths.statistics = self.statistics + other.statistics
        return paths

    def __len__(self) -> int:
        return self.statistics.paths

    @property
    def columns(self) -> PathColumns:
        """All arrays together."""
        if self._columns is None:
            self._columns = joined(self.statistics.batches)
        return self._columns

    @property
    def offsets(self) -> IntArray:
        """Path ``i`` owns the touches ``offsets[i]:offsets[i + 1]``; int64 ``(n + 1,)``."""
        return self.columns.offsets

    @property
    def channels(self) -> CodeArray:
        """Channel code per touch, uint8 or uint16 ``(m,)``."""
        return self.columns.channels

    @property
    def times(self) -> IntArray | None:
        """Epoch milliseconds per touch, int64 ``(m,)``."""
        return self.columns.times

    @property
    def converted(self) -> AnyArray:
        """Conversions per path, integer ``(n,)``."""
        return self.columns.converted

    @property
    def value(self) -> AnyArray:
        """Value per path, float64 or int64 minor units ``(n,)``."""
        return self.columns.value

    @cached_property
    def summary(self) -> PathSummary:
        """Counts and exclusions; paths that were not built from raw touches have no exclusions."""
        if self._summary is not None:
            return self._summary
        total = self.statistics
        return PathSummary(
            total.paths,
            total.converting,
            total.paths - total.converting,
            total.touches,
            int(total.conversions),
            total.value,
        )


def build_paths(
    profile: npt.ArrayLike,
    at_ms: npt.ArrayLike,
    channel: npt.ArrayLike,
    conversion_profile: npt.ArrayLike,
    conversion_at_ms: npt.ArrayLike,
    conversion_value: npt.ArrayLike | None = None,
    *,
    conversion_counted: npt.ArrayLike | None = None,
    left_out: Mapping[str, int] | None = None,
    channels: Sequence[str],
    lookback_ms: int | None = None,
    keep_times: bool = True,
) -> Paths:
    """Build paths from raw touches and conversions in any order, by the rule in the module's docstring.

    ``profile``, ``at_ms`` (epoch milliseconds) and ``channel`` (code into ``channels``, negative for unknown) are
    integer columns of one length; so are the conversions' ``conversion_profile`` and ``conversion_at_ms``, with
    ``conversion_value`` in float64 or int64 minor units (``None``: 0 each) and ``conversion_counted``, bool, false for
    those that are not asked about (``None``: all are); ``left_out`` says how many of them to report, by reason.
    ``keep_times=False`` saves 8 bytes per touch where no model reads
    times. Raises :class:`InvalidInput` for columns that do not fit together.
    """
    who, when, codes = _integers(profile, "profile"), _integers(at_ms, "at_ms"), _codes(channel, len(channels))
    if not len(who) == len(when) == len(codes):
        raise InvalidInput("profile, at_ms and channel differ in length", path=("profile",))
    buyer, bought = _integers(conversion_profile, "conversion_profile"), _integers(conversion_at_ms, "conversion_at_ms")
    worth = np.zeros(len(buyer), np.int64) if conversion_value is None else _amounts(conversion_value)
    counted = None if conversion_counted is None else np.asarray(conversion_counted, np.bool_)
    if not len(buyer) == len(bought) == len(worth) == len(worth if counted is None else counted):
        raise InvalidInput("the columns of the conversions differ in length", path=("conversion_profile",))
    if lookback_ms is not None and lookback_ms < 0:
        raise InvalidInput("lookback_ms is negative", path=("lookback_ms",), next_step="Use 0 or more milliseconds.")
    if len(worth) and (not np.isfinite(worth).all() or worth.min() < 0):
        raise InvalidInput(
            "the value of a conversion must be finite and not negative",
            path=("conversion_value",),
            next_step="Take refunds off the order's value.",
        )

    unknown = int(np.count_nonzero(codes < 0)) if len(codes) and codes.min() < 0 else 0
    if unknown:
        known = codes >= 0
        who, when, codes = who[known], when[known], codes[known]
    cut = cut_paths(
        Touches(who, when, codes), Conversions(buyer, bought, worth, counted), len(channels), lookback_ms, keep_times
    )
    columns = cut.columns
    converting = int(np.count_nonzero(columns.converted))
    summary = PathSummary(
        len(columns),
        converting,
        len(columns) - converting,
        columns.touches,
        columns.conversions,
        columns.total_value,
        {NO_TOUCH: cut.without_touch, **(left_out or {})},
        cut.value_without_touch,
        {NO_CHANNEL: unknown, OUTSIDE_LOOKBACK: cut.outside_lookback},
    )
    return Paths._trusted(columns, tuple(channels), summary)


def _integers(column: npt.ArrayLike, name: str) -> IntArray:
    array = np.asarray(column)
    if array.ndim != 1 or (len(array) and array.dtype.kind not in "iu"):
        raise InvalidInput(f"{name} is not a column of integers", path=(name,))
    if array.dtype == np.uint64 and len(array) and int(array.max()) >= 1 << 63:
        raise InvalidInput(f"{name} holds numbers of more than 63 bits", path=(name,), next_step="Number the profiles.")
    return array.astype(np.int64, copy=False)


def _codes(column: npt.ArrayLike, channel_count: int) -> AnyArray:
    array = np.asarray(column)
    if array.ndim != 1 or (len(array) and array.dtype.kind not in "iu"):
        raise InvalidInput("channel is not a column of integers", path=("channel",))
    code_type(channel_count)
    if len(array) and int(array.max()) >= channel_count:
        raise InvalidInput(
            "a touch has a channel code without a name",
            path=("channel",),
            next_step="Name the channel, or give its touches the code -1.",
        )
    return array


def _amounts(column: npt.ArrayLike) -> AnyArray:
    array = np.asarray(column)
    return array.astype(np.int64 if array.dtype.kind in "iub" and len(array) else np.float64, copy=False)


def _added(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return {reason: one.get(reason, 0) + other.get(reason, 0) for reason in [*one, *(set(other) - set(one))]}
