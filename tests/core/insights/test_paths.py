"""The path builder against the rule written out row by row."""

from __future__ import annotations

from collections import defaultdict
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.errors import InvalidInput
from fairlead.insights import path_columns, touch_order
from fairlead.insights.paths import Paths, build_paths
from fairlead.insights.touch_order import Packing

Touch = tuple[int, int, int]
Conversion = tuple[int, int, int]
Path = tuple[list[int], list[int], int, int]

NAMES = ("a", "b", "c")


def paths_by_hand(
    touches: list[Touch], conversions: list[Conversion], lookback: int | None, counted: list[bool] | None = None
) -> list[Path]:
    """Apply the rule of the module's docstring to one profile after the other."""
    of_touch, of_conversion = defaultdict(list), defaultdict(lambda: defaultdict(list))
    for profile, at, channel in touches:
        of_touch[profile].append((at, channel))
    for (profile, at, value), asked in zip(conversions, counted or [True] * len(conversions), strict=True):
        of_conversion[profile][at] += [value] if asked else []
    paths: list[Path] = []
    for profile in sorted(of_touch):
        waiting = sorted(of_touch[profile], key=lambda touch: touch[0])
        for at in sorted(of_conversion[profile]):
            before = [touch for touch in waiting if touch[0] <= at]
            waiting = [touch for touch in waiting if touch[0] > at]
            if lookback is not None:
                before = [touch for touch in before if touch[0] >= at - lookback]
            values = of_conversion[profile][at]
            if before and values:
                paths.append(([c for _, c in before], [t for t, _ in before], len(values), sum(values)))
        if waiting:
            paths.append(([c for _, c in waiting], [t for t, _ in waiting], 0, 0))
    return paths


def as_list(paths: Paths) -> list[Path]:
    cut = list(zip(paths.offsets[:-1], paths.offsets[1:], strict=True))
    assert paths.times is not None
    return [
        (paths.channels[a:b].tolist(), paths.times[a:b].tolist(), int(paths.converted[i]), int(paths.value[i]))
        for i, (a, b) in enumerate(cut)
    ]


def build(touches: list[Touch], conversions: list[Conversion], names: tuple[str, ...] = NAMES, **how: Any) -> Paths:
    profile, at, channel = np.array(touches, np.int64).reshape(-1, 3).T
    buyer, bought, value = np.array(conversions, np.int64).reshape(-1, 3).T
    return build_paths(profile, at, channel, buyer, bought, value, channels=names, **how)


times = st.integers(-6, 6)
people = st.integers(-2, 3)
some_touches = st.lists(st.tuples(people, times, st.integers(0, 2)), max_size=30)
some_conversions = st.lists(st.tuples(people, times, st.integers(0, 5)), max_size=10)

# Each stretches profiles and times so far that another way of sorting is chosen: packed with the channel, packed
# without it, ranked.
STRETCHES = {"packed": (1, 1), "beside": (1 << 30, 1 << 26), "ranked": (1 << 60, 1 << 57)}


@pytest.mark.parametrize("stretch", STRETCHES)
@settings(max_examples=60, deadline=None)
@given(some_touches, some_conversions, st.none() | st.integers(0, 8), st.none() | st.randoms(use_true_random=False))
def test_paths_follow_the_rule(
    stretch: str, touches: list[Touch], conversions: list[Conversion], lookback: int | None, asking: Random | None
) -> None:
    wide, far = STRETCHES[stretch]
    touches = [(profile * wide, at * far, channel) for profile, at, channel in touches]
    conversions = [(profile * wide, at * far, value) for profile, at, value in conversions]
    lookback = None if lookback is None else lookback * far

    counted = None if asking is None else [asking.random() < 0.5 for _ in conversions]

    paths = build(touches, conversions, lookback_ms=lookback, conversion_counted=counted)

    expected = paths_by_hand(touches, conversions, lookback, counted)
    assert as_list(paths) == expected
    summary = paths.summary
    assert (summary.paths, summary.converting) == (len(expected), sum(path[2] > 0 for path in expected))
    assert summary.null + summary.converting == summary.paths
    asked = [one for one, counts in zip(conversions, counted or [True] * len(conversions), strict=True) if counts]
    assert summary.conversions + summary.excluded_conversions["no_touch"] == len(asked)
    assert summary.value + summary.excluded_value == sum(value for _, _, value in asked)
    if counted is None:
        assert summary.touches + summary.excluded_touches["outside_lookback"] == len(touches)


@pytest.mark.parametrize("stretch", STRETCHES)
def test_blocks_and_the_way_of_sorting_do_not_show(stretch: str, monkeypatch: pytest.MonkeyPatch) -> None:
    wide, far = STRETCHES[stretch]
    random = np.random.default_rng(5)
    touches = [(p * wide, t * far, c) for p, t, c in random.integers(0, [6, 13, 3], (500, 3)).tolist()]
    conversions = [(p * wide, t * far, v) for p, t, v in random.integers(0, [6, 13, 9], (20, 3)).tolist()]
    who, when, _ = np.array(touches).T
    packing = Packing.fitting((who,), (when,), 3)
    assert (packing.code_bits == 0, packing.time.ranked is not None) == (stretch == "beside", stretch == "ranked")
    expected = paths_by_hand(touches, conversions, 5 * far)

    assert as_list(build(touches, conversions, lookback_ms=5 * far)) == expected
    monkeypatch.setattr(path_columns, "BLOCK_TOUCHES", 7)
    monkeypatch.setattr(touch_order, "BLOCK_TOUCHES", 7)
    assert as_list(build(touches, conversions, lookback_ms=5 * far)) == expected


def test_touches_of_one_instant_keep_their_order() -> None:
    touches = [(1, 5, 2), (1, 5, 0), (2, 5, 1), (1, 5, 1), (1, 4, 1), (2, 5, 0)]

    paths = build(touches, [])

    assert as_list(paths) == [([1, 2, 0, 1], [4, 5, 5, 5], 0, 0), ([1, 0], [5, 5], 0, 0)]


def test_touch_and_conversion_in_one_row_count_as_both() -> None:
    paths = build([(1, 10, 0), (1, 20, 1), (1, 30, 2)], [(1, 20, 7)])

    assert as_list(paths) == [([0, 1], [10, 20], 1, 7), ([2], [30], 0, 0)]


def test_two_conversions_at_one_instant_end_one_path() -> None:
    paths = build([(1, 10, 0)], [(1, 10, 7), (1, 10, 2), (1, 11, 100)])

    assert as_list(paths) == [([0], [10], 2, 9)]
    assert paths.summary.conversions == 2
    assert paths.summary.excluded_conversions == {"no_touch": 1}
    assert paths.summary.excluded_value == 100


def test_unknown_channels_are_left_out_and_counted() -> None:
    paths = build([(1, 10, 0), (1, 11, -1), (2, 3, -1)], [(2, 4, 5)])

    assert as_list(paths) == [([0], [10], 0, 0)]
    assert paths.summary.excluded_touches == {"no_channel": 2, "outside_lookback": 0}
    assert paths.summary.excluded_conversions == {"no_touch": 1}


def test_more_than_256_channels_use_two_bytes() -> None:
    names = tuple(f"channel {code}" for code in range(300))

    paths = build([(1, 2, 299), (1, 1, 7)], [(1, 2, 1)], names)

    assert paths.channels.dtype == np.uint16
    assert paths.channels.tolist() == [7, 299]


def test_money_in_minor_units_stays_whole() -> None:
    large = (1 << 53) + 1

    paths = build([(1, 1, 0)], [(1, 1, large)])

    assert paths.value.dtype == np.int64
    assert paths.value.tolist() == [large]


def test_times_can_be_left_out() -> None:
    paths = build_paths([1, 1], [5, 4], [0, 1], [1], [6], [2.5], channels=NAMES, keep_times=False)

    assert paths.times is None
    assert paths.channels.tolist() == [1, 0]
    assert paths.value.tolist() == [2.5]


@pytest.mark.parametrize(
    ("wrong", "part"),
    [
        ({"channel": [0, 3]}, "channel"),
        ({"profile": [1]}, "profile"),
        ({"profile": [1.5, 2.0]}, "profile"),
        ({"profile": np.array([1, 1 << 63], np.uint64)}, "profile"),
        ({"at_ms": [0, 1 << 62]}, "at_ms"),
        ({"conversion_profile": [1, 2]}, "conversion_profile"),
        ({"conversion_value": [-1.0]}, "conversion_value"),
        ({"conversion_value": [float("nan")]}, "conversion_value"),
        ({"lookback_ms": -1}, "lookback_ms"),
    ],
)
def test_columns_that_do_not_fit_are_refused(wrong: dict[str, object], part: str) -> None:
    right = {
        "profile": [1, 2],
        "at_ms": [3, 4],
        "channel": [0, 1],
        "conversion_profile": [1],
        "conversion_at_ms": [5],
        "conversion_value": [1.0],
    }

    with pytest.raises(InvalidInput) as refusal:
        build_paths(**{**right, **wrong}, channels=NAMES)  # type: ignore[arg-type]

    assert refusal.value.path == (part,)


@pytest.mark.parametrize(
    ("wrong", "part"),
    [
        ({"offsets": [0, 2, 2]}, "offsets"),
        ({"offsets": [1, 2, 3]}, "offsets"),
        ({"channels": [0, 1, 9]}, "channels"),
        ({"channels": np.array([0, 1, 9], np.uint8)}, "channels"),
        ({"converted": [1]}, "converted"),
        ({"converted": [0.5, 0.0]}, "converted"),
        ({"value": [1.0, 1.0]}, "value"),
        ({"value": [float("inf"), 0.0]}, "value"),
        ({"times": [1, 2]}, "times"),
        ({"names": [str(code) for code in range(1 << 17)]}, "channels"),
    ],
)
def test_paths_that_do_not_fit_are_refused(wrong: dict[str, object], part: str) -> None:
    right = {"offsets": [0, 2, 3], "channels": [0, 1, 2], "converted": [1, 0], "value": [1.0, 0.0], "names": NAMES}

    with pytest.raises(InvalidInput) as refusal:
        Paths(**{**right, **wrong})  # type: ignore[arg-type]

    assert refusal.value.path == (part,)


def test_joined_paths_read_like_one_set() -> None:
    one, other = build([(1, 1, 0), (1, 2, 1)], [(1, 2, 3)]), build([(9, 5, 2), (9, 6, -1)], [])

    both = one + other

    assert as_list(both) == as_list(one) + as_list(other)
    assert len(both) == 2
    assert both.summary.touches == 3
    assert both.summary.excluded_touches["no_channel"] == 1
    with pytest.raises(InvalidInput):
        one + build([(1, 1, 0)], [], ("x",))
