"""Made-up customer paths for the attribution benchmarks, the same every time."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.harness import Peer, environment
from fairlead.insights.paths import Paths

PEER = ("ChannelAttribution==2.2.5", "matplotlib", "pandas")

DAY_MS = 86_400_000
START_MS = 1_735_689_600_000


@dataclass(frozen=True)
class Sample:
    """Paths as arrays, see ``fairlead.insights.path_columns.PathColumns``; path ``i`` is profile ``i``'s only one."""

    offsets: npt.NDArray[np.int64]
    channels: npt.NDArray[np.uint8]
    converted: npt.NDArray[np.uint8]
    value: npt.NDArray[np.float64]
    times: npt.NDArray[np.int64]
    names: tuple[str, ...]

    def paths(self, first: int = 0, last: int | None = None, *, times: bool = True) -> Paths:
        """Return the paths ``first`` to ``last`` with nothing counted yet."""
        offsets = self.offsets[first : None if last is None else last + 1]
        begin, end = offsets[0], offsets[-1]
        return Paths(
            offsets - begin,
            self.channels[begin:end],
            self.converted[first:last],
            self.value[first:last],
            names=self.names,
            times=self.times[begin:end] if times else None,
        )


def sample(paths: int, channels: int, seed: int = 7) -> Sample:
    """Draw paths of about 4 touches (at most 24) over a year; 35 % convert.

    Popularity falls like a power law, and a third of the touches depend on the one before, so that the chain's rows
    differ.
    """
    random = np.random.default_rng(seed)
    lengths = np.minimum(random.geometric(0.25, paths), 24)
    offsets = np.zeros(paths + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    touches = int(offsets[-1])
    popular = 1 / np.arange(1, channels + 1) ** 0.8
    codes = random.choice(channels, touches, p=popular / popular.sum())
    depends = random.random(touches) < 0.3
    depends[offsets[:-1]] = False
    at = np.flatnonzero(depends)
    codes[at] = (codes[at - 1] * 7 + 3) % channels
    converted = (random.random(paths) < 0.35).astype(np.uint8)
    # Few distinct amounts: the peer keeps a column for each.
    value = converted * random.choice([19.0, 49.0, 99.0, 199.0, 499.0], paths)
    began = START_MS + random.integers(0, 300 * DAY_MS, paths)
    steps = random.integers(1, 2 * DAY_MS, touches)
    since = np.cumsum(steps)
    times = since - np.repeat(since[offsets[:-1]] - began, lengths)
    names = tuple(f"c{code}" for code in range(channels))
    return Sample(offsets, codes.astype(np.uint8), converted, value, times, names)


@contextmanager
def channelattribution(of: Sample) -> Iterator[Peer]:
    """Start the peer over the same arrays."""
    python = environment("channelattribution", PEER)
    with tempfile.TemporaryDirectory(prefix="fairlead-bench-") as folder:
        for name in ("offsets", "channels", "converted", "value"):
            np.save(Path(folder) / f"{name}.npy", getattr(of, name))
        with Peer(python, Path(__file__).with_name("_channelattribution.py"), folder) as peer:
            yield peer
