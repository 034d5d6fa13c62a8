"""What an attribution model promises."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from fairlead.insights.paths import Paths
from fairlead.plugins.contracts.attribution import Credits
from fairlead.testing.samples import sample_settings
from fairlead.testing.subject import CheckList, Subject, broken, require, typed

CHECKS = CheckList()

NAMES = ("ad", "mail", "search", "shop", "social")
START_MS = 1_767_571_200_000
HOUR_MS = 3_600_000


@CHECKS.add()
def credits_sum_to_what_was_earned(subject: Subject) -> None:
    """Credits of random paths sum to their conversions and to their value, none is negative, one per channel."""
    for paths in _random_sets():
        credits = _credit(subject, paths)
        for name, wanted in (("conversions", paths.converted.sum()), ("value", paths.value.sum())):
            total = float(getattr(credits, name).sum())
            require(
                np.isclose(total, float(wanted), rtol=1e-9, atol=1e-9),
                f"credit().{name} sums to {total}, but the paths have {float(wanted)}",
            )


@CHECKS.add()
def one_channel_gets_all(subject: Subject) -> None:
    """A channel that nobody touched gets nothing; the only channel there is gets everything."""
    paths = _paths([[0], [1], [1], [3, 3], [3]], [1, 1, 0, 1, 0], [500, 700, 0, 900, 0])
    credits = _credit(subject, paths)
    for name in ("conversions", "value"):
        silent = getattr(credits, name)[[2, 4]]
        require(np.allclose(silent, 0), f"credit().{name} gives {silent} to channels that nobody touched")
    single = _credit(subject, _paths([[2], [2]], [1, 1], [300, 200]))
    require(np.allclose(single.conversions, [0, 0, 2, 0, 0]), f"the only channel got {single.conversions[2]} of 2")
    require(np.allclose(single.value, [0, 0, 500, 0, 0]), f"the only channel got the value {single.value[2]} of 500")


@CHECKS.add()
def no_paths_no_credit(subject: Subject) -> None:
    """No paths at all, or only paths without a conversion, give zeros, not NaN and not an error."""
    for paths in (_paths([], [], []), _paths([[0, 1], [4]], [0, 0], [0, 0])):
        credits = _credit(subject, paths)
        require(not credits.conversions.any(), "credit() gives conversions although no path converted")
        require(not credits.value.any(), "credit() gives value although no path converted")


@CHECKS.add()
def names_of_channels_decide_nothing(subject: Subject) -> None:
    """Renumbering the channels renumbers the credits and changes nothing else."""
    for number, paths in enumerate(_random_sets(4)):
        order = np.random.default_rng(number).permutation(len(NAMES))
        renamed = Paths(
            paths.offsets,
            order[paths.channels.astype(np.int64)],
            paths.converted,
            paths.value,
            names=paths.names,
            times=paths.times,
        )
        before, after = _credit(subject, paths), _credit(subject, renamed)
        same = np.allclose(after.conversions[order], before.conversions, rtol=1e-7, atol=1e-9)
        require(same, "renumbering the channels changed the credits; the model must not depend on channel codes")


@CHECKS.add()
def a_repeat_gives_the_same(subject: Subject) -> None:
    """The same paths give the same credits, and paths added in two steps give what they give in one."""
    sets = list(_random_sets(2))
    first, second = sets[0], sets[1]
    once, again = _credit(subject, first), _credit(subject, first)
    require(np.array_equal(once.conversions, again.conversions), "credit() of the same paths gave other credits")
    joined = Paths(
        np.concatenate([first.offsets, first.offsets[-1] + second.offsets[1:]]),
        np.concatenate([first.channels, second.channels]),
        np.concatenate([first.converted, second.converted]),
        np.concatenate([first.value, second.value]),
        names=NAMES,
        times=np.concatenate([_times(first), _times(second)]),
    )
    stepwise, whole = _credit(subject, first + second), _credit(subject, joined)
    require(
        np.allclose(stepwise.conversions, whole.conversions, rtol=1e-9, atol=1e-9),
        "paths added in two steps got other credits than the same paths in one",
    )


def _credit(subject: Subject, paths: Paths) -> Credits:
    where = subject.where(subject.thing.credit)
    try:
        given = subject.thing.credit(paths, sample_settings(subject.manifest.settings))
    except Exception as error:  # noqa: BLE001 - a stranger's code; the sentence names what came
        text = " ".join(str(error).split())
        broken(f"credit() raised {type(error).__name__} on {len(paths)} paths: {text} ({where})")
    credits = typed(given, Credits, f"credit() gave {type(given).__name__}; return Credits ({where})")
    arrays = {"conversions": credits.conversions, "value": credits.value, **credits.detail}
    for name, array in arrays.items():
        shape = np.shape(array)
        require(shape == (len(NAMES),), f"credit() {name} has the shape {shape}; give one per channel: {(len(NAMES),)}")
        require(np.isfinite(array).all(), f"credit() {name} has NaN or infinity in it ({where})")
    for name in ("conversions", "value"):
        least = float(arrays[name].min())
        require(least >= -1e-9, f"credit() gives a channel negative {name}: {least} ({where})")
    return credits


def _times(paths: Paths) -> npt.NDArray[np.int64]:
    times = paths.times
    return np.zeros(0, np.int64) if times is None else times


def _paths(touches: list[list[int]], converted: list[int], value: list[int]) -> Paths:
    offsets = np.concatenate([[0], np.cumsum([len(path) for path in touches])]).astype(np.int64)
    codes = np.array([code for path in touches for code in path], dtype=np.int64)
    times = START_MS + HOUR_MS * np.arange(len(codes), dtype=np.int64)
    return Paths(offsets, codes, np.array(converted, np.int64), np.array(value, np.int64), names=NAMES, times=times)


def _random_sets(count: int = 8) -> Iterator[Paths]:
    for seed in range(count):
        rng = np.random.default_rng(seed)
        people = int(rng.integers(1, 80))
        touches = [rng.integers(0, len(NAMES), rng.integers(1, 9)).tolist() for _ in range(people)]
        converted = rng.integers(0, 2, people)
        converted[0] = 1
        value = converted * rng.integers(0, 50_000, people)
        yield _paths(touches, converted.tolist(), value.tolist())
