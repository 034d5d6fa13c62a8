"""Statistics add up, and count what they say."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.errors import InvalidInput
from fairlead.insights import path_columns
from fairlead.insights.path_columns import PathColumns
from fairlead.insights.path_counts import CUBE_LENGTH, cube_length
from fairlead.insights.paths import Paths
from fairlead.insights.tally import DENSE_KEYS, Tally

Row = tuple[list[int], int, int]

CHANNELS = 4
rows = st.lists(
    st.tuples(st.lists(st.integers(0, CHANNELS - 1), min_size=1, max_size=6), st.integers(0, 3), st.integers(0, 50)),
    max_size=25,
)


def paths_of(rows: list[Row], channels: int = CHANNELS) -> Paths:
    """Make paths of (channels, conversions, value); times are 10 ms apart."""
    touches = [code for row in rows for code in row[0]]
    return Paths(
        np.cumsum([0] + [len(row[0]) for row in rows]),
        touches,
        np.array([row[1] for row in rows], np.int64),
        np.array([row[2] if row[1] else 0 for row in rows], np.int64),
        names=[f"c{code}" for code in range(channels)],
        times=np.arange(len(touches)) * 10,
    )


def as_dict(tally: Tally) -> dict[int, list[float]]:
    return {int(key): column.tolist() for key, column in zip(tally.keys, tally.columns.T, strict=True)}


def everything(paths: Paths) -> list[object]:
    """Return all statistics as plain numbers."""
    known = paths.statistics
    transitions = [known.transitions(order) for order in (1, 2, 3)]
    return [
        (known.paths, known.touches, known.converting, known.conversions, known.value),
        [as_dict(tally) for count in transitions for tally in (count.moves, count.entries, count.exits)],
        known.positions().cube.tolist(),
        known.by_position(lambda length: np.arange(1.0, length + 1)).round(9).tolist(),
        known.shared().round(9).tolist(),
        known.decayed(25.0).round(9).tolist(),
        as_dict(known.sets()),
    ]


@settings(max_examples=60, deadline=None)
@given(rows, rows)
def test_statistics_of_joined_paths_are_the_sum(one: list[Row], other: list[Row]) -> None:
    history = paths_of(one)
    everything(history)

    folded = history + paths_of(other)

    assert everything(folded) == everything(paths_of(one + other))


@settings(max_examples=60, deadline=None)
@given(rows)
def test_transitions_are_counted_as_defined(rows: list[Row]) -> None:
    for order in (1, 2, 3):
        moves, entries, exits = Counter[int](), Counter[int](), Counter[tuple[int, int]]()
        for codes, conversions, value in rows:
            weight = max(conversions, 1)
            for at in range(len(codes) - order):
                moves[int("".join(map(str, codes[at : at + order + 1])), CHANNELS)] += weight
            digits = "".join(str(code + 1) for code in codes)
            entries[int(digits[:order], CHANNELS + 1)] += weight
            left = int(digits[-order:], CHANNELS + 1)
            exits[left, 0] += conversions
            exits[left, 1] += weight
            exits[left, 2] += value if conversions else 0
        counted = paths_of(rows).statistics.transitions(order)

        assert as_dict(counted.moves) == {key: [times] for key, times in moves.items()}
        assert as_dict(counted.entries) == {key: [times] for key, times in entries.items()}
        assert as_dict(counted.exits) == {key: [exits[key, i] for i in range(3)] for key in entries_of(exits)}


def entries_of(exits: Counter[tuple[int, int]]) -> set[int]:
    return {state for state, _ in exits}


def test_counting_by_sorting_equals_counting_densely(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(3)
    rows = [
        (random.integers(0, CHANNELS, random.integers(1, 9)).tolist(), int(random.integers(0, 3)), 5)
        for _ in range(300)
    ]
    dense = everything(paths_of(rows))
    monkeypatch.setattr("fairlead.insights.tally.Tallying.__init__.__kwdefaults__", {"dense_keys": 0})
    monkeypatch.setattr(path_columns, "BLOCK_TOUCHES", 50)

    assert everything(paths_of(rows)) == dense
    assert CHANNELS**2 <= DENSE_KEYS


@pytest.mark.parametrize("channels", [3, 70_000 // 2])
def test_paths_longer_than_the_cube_stay_exact(channels: int) -> None:
    limit = cube_length(channels)
    assert 1 < limit <= CUBE_LENGTH
    random = np.random.default_rng(1)
    rows = [
        (random.integers(0, channels, length).tolist(), conversions, 10 * conversions)
        for length in (1, limit - 1, limit, limit + 1, limit + 1, 3 * limit, 500)
        for conversions in (0, 1, 2)
    ]
    expected = np.zeros((2, channels))
    for codes, conversions, value in rows:
        weights = np.sqrt(np.arange(1.0, len(codes) + 1))
        np.add.at(expected[0], codes, conversions * weights / weights.sum())
        np.add.at(expected[1], codes, value * weights / weights.sum())

    credit = paths_of(rows, channels).statistics.by_position(lambda length: np.sqrt(np.arange(1.0, length + 1)))

    np.testing.assert_allclose(credit, expected, atol=1e-12)


def test_a_plugin_can_keep_its_own_statistic() -> None:
    counted: list[int] = []

    def touches_by_channel(paths: PathColumns) -> np.ndarray:
        counted.append(len(paths))
        return np.bincount(paths.channels, minlength=paths.channel_count)

    history, news = paths_of([([0, 1, 1], 1, 5), ([3], 0, 0)]), paths_of([([1], 0, 0)])
    assert history.statistics.additive("acme touches", touches_by_channel).tolist() == [1, 2, 0, 1]

    both = history + news

    assert both.statistics.additive("acme touches", touches_by_channel).tolist() == [1, 3, 0, 1]
    assert counted == [2, 1], "the history must not be counted again"


def test_what_cannot_be_counted_is_refused() -> None:
    many = paths_of([([0], 1, 1)], channels=8000)
    with pytest.raises(InvalidInput, match="too many for a chain"):
        many.statistics.transitions(4)
    with pytest.raises(InvalidInput, match="order 5"):
        many.statistics.transitions(5)
    with pytest.raises(InvalidInput, match="more than the 63"):
        many.statistics.sets()
    without = Paths([0, 1], [0], [1], [1.0], names=["a"])
    with pytest.raises(InvalidInput, match="no times"):
        without.statistics.decayed(1.0)
