"""Customer paths as ragged arrays, and the few ways to cut and join them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from fairlead.errors import InvalidInput

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
CodeArray = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
AnyArray = npt.NDArray[Any]

MAX_CHANNELS = 1 << 16

# Large enough to hide the cost of a NumPy call, small enough that a block's few temporaries stay in the cache.
BLOCK_TOUCHES = 1 << 15


@dataclass(frozen=True, eq=False)
class PathColumns:
    """``n`` paths of ``m`` touches in time order; path ``i`` owns the touches ``offsets[i]:offsets[i + 1]``.

    ``offsets`` is int64 ``(n + 1,)``, ``channels`` the channel code of each touch, uint8 or uint16 ``(m,)``;
    ``converted`` the number of conversions a path ends in, integer ``(n,)``, 0 for a null path; ``value`` what they are
    worth, float64 or int64 minor units ``(n,)``; ``times`` epoch milliseconds, int64 ``(m,)``, or ``None``. No path is
    empty. The arrays are shared, never written.
    """

    offsets: IntArray
    channels: CodeArray
    converted: AnyArray
    value: AnyArray
    times: IntArray | None
    channel_count: int

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def touches(self) -> int:
        """Number of touches in all paths."""
        return len(self.channels)

    @cached_property
    def lengths(self) -> IntArray:
        """Touches per path, int64 ``(n,)``."""
        return np.diff(self.offsets)

    @cached_property
    def owners(self) -> npt.NDArray[np.intp]:
        """The path number of each touch, ``(m,)``; to be asked of a block, for it is 8 bytes a touch."""
        return np.repeat(np.arange(len(self)), self.lengths)

    @cached_property
    def conversions(self) -> int:
        """Conversions of all paths."""
        return int(self.converted.sum(dtype=np.int64))

    @cached_property
    def total_value(self) -> float:
        """Value of all conversions."""
        return float(self.value.sum())

    @cached_property
    def converting(self) -> PathColumns:
        """Only the paths that end in a conversion."""
        return self.take(np.flatnonzero(self.converted != 0))

    def take(self, index: npt.NDArray[np.integer[Any]]) -> PathColumns:
        """Return the paths at ``index`` (path numbers, in the order wanted)."""
        columns = self.gather(self.offsets[index], self.lengths[index])
        return PathColumns(
            columns.offsets,
            columns.channels,
            self.converted[index],
            self.value[index],
            columns.times,
            self.channel_count,
        )

    def gather(self, starts: IntArray, lengths: IntArray) -> PathColumns:
        """Return the stretches of touches that begin at ``starts``, as null paths of ``lengths`` touches."""
        offsets = np.zeros(len(starts) + 1, np.int64)
        np.cumsum(lengths, out=offsets[1:])
        channels = np.empty(offsets[-1], self.channels.dtype)
        times = None if self.times is None else np.empty(offsets[-1], np.int64)
        for first, last in blocks(offsets):
            begin, end = offsets[first], offsets[last]
            at = np.repeat(starts[first:last] - offsets[first:last], lengths[first:last])
            at += np.arange(begin, end)
            channels[begin:end] = self.channels[at]
            if times is not None and self.times is not None:
                times[begin:end] = self.times[at]
        none = np.zeros(len(starts), np.uint8)
        return PathColumns(offsets, channels, none, none.astype(self.value.dtype), times, self.channel_count)

    def blocks(self) -> Iterator[PathColumns]:
        """Yield the paths in pieces of about :data:`BLOCK_TOUCHES` touches; the pieces are views."""
        for first, last in blocks(self.offsets):
            begin, end = self.offsets[first], self.offsets[last]
            yield PathColumns(
                self.offsets[first : last + 1] - begin,
                self.channels[begin:end],
                self.converted[first:last],
                self.value[first:last],
                None if self.times is None else self.times[begin:end],
                self.channel_count,
            )


def blocks(offsets: IntArray) -> Iterator[tuple[int, int]]:
    """Yield ranges of path numbers that hold about :data:`BLOCK_TOUCHES` touches each, and at least one path."""
    paths = len(offsets) - 1
    first = 0
    while first < paths:
        last = int(np.searchsorted(offsets, offsets[first] + BLOCK_TOUCHES, side="right")) - 1
        last = min(max(last, first + 1), paths)
        yield first, last
        first = last


def joined(parts: Sequence[PathColumns]) -> PathColumns:
    """Return the paths of all ``parts`` in one; times are kept only when every part has them."""
    if len(parts) == 1:
        return parts[0]
    counts = np.cumsum([0] + [part.touches for part in parts])
    offsets = [part.offsets[:-1] + start for part, start in zip(parts, counts[:-1], strict=True)]
    times = [part.times for part in parts if part.times is not None]
    return PathColumns(
        np.concatenate([*offsets, counts[-1:]]),
        np.concatenate([part.channels for part in parts]),
        np.concatenate([part.converted for part in parts]),
        np.concatenate([part.value for part in parts]),
        np.concatenate(times) if len(times) == len(parts) else None,
        parts[0].channel_count,
    )


def code_type(channel_count: int) -> type[np.uint8] | type[np.uint16]:
    """Return the type that holds codes below ``channel_count``."""
    if channel_count > MAX_CHANNELS:
        raise InvalidInput(
            f"{channel_count} channels are more than the {MAX_CHANNELS} that paths can hold",
            path=("channels",),
            next_step="Group the rare channels into one.",
        )
    return np.uint8 if channel_count <= 256 else np.uint16


def check(columns: PathColumns) -> None:
    """Raise :class:`InvalidInput` unless ``columns`` keeps what its class promises."""
    n, m = len(columns), columns.touches
    offsets, value = columns.offsets, columns.value
    if offsets.ndim != 1 or len(offsets) == 0 or offsets[0] != 0 or offsets[-1] != m or (columns.lengths <= 0).any():
        raise _bad("offsets", "offsets must rise from 0 to the number of touches", "Leave out paths without a touch.")
    if columns.converted.shape != (n,) or value.shape != (n,):
        raise _bad("converted", "converted and value need one entry per path", "Check how the columns were cut.")
    if columns.times is not None and columns.times.shape != (m,):
        raise _bad("times", "times needs one entry per touch", "Check how the columns were cut.")
    if m and int(columns.channels.max()) >= columns.channel_count:
        raise _bad("channels", "a touch has a channel code without a name", "Name every channel that is used.")
    if n and (int(columns.converted.min()) < 0 or not np.isfinite(value).all() or value.min() < 0):
        raise _bad(
            "value",
            "conversions and their value must be finite and not negative",
            "Take refunds off the order's value, and leave out orders that are worth nothing any more.",
        )
    if (value[columns.converted == 0] != 0).any():
        raise _bad("value", "a path without conversion has a value", "Give null paths the value 0.")


def _bad(part: str, message: str, next_step: str) -> InvalidInput:
    return InvalidInput(message, path=(part,), next_step=next_step)
