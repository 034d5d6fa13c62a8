"""Shapley values against both textbook definitions: over subsets and over orders of arrival."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain, combinations, permutations
from math import factorial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.errors import InvalidInput
from fairlead.insights.paths import Paths
from fairlead.insights.shapley_solver import rate_game, shapley_values

Row = tuple[list[int], int, int]
Game = Callable[[frozenset[int]], float]

CHANNELS = 4
rows = st.lists(
    st.tuples(st.lists(st.integers(0, CHANNELS - 1), min_size=1, max_size=7), st.integers(0, 2), st.integers(0, 50)),
    min_size=1,
    max_size=30,
)


def paths_of(rows: list[Row], channels: int = CHANNELS) -> Paths:
    return Paths(
        np.cumsum([0] + [len(row[0]) for row in rows]),
        [code for row in rows for code in row[0]],
        np.array([row[1] for row in rows], np.int64),
        np.array([row[2] if row[1] else 0 for row in rows], np.int64),
        names=[f"c{code}" for code in range(channels)],
    )


def by_subsets(game: Game, players: int) -> list[float]:
    everyone = range(players)
    values = []
    for player in everyone:
        others = [one for one in everyone if one != player]
        subsets = chain.from_iterable(combinations(others, size) for size in range(players))
        values.append(
            sum(
                factorial(len(s)) * factorial(players - len(s) - 1) / factorial(players)
                * (game(frozenset(s) | {player}) - game(frozenset(s)))
                for s in subsets
            )
        )  # fmt: skip
    return values


def by_orders(game: Game, players: int) -> list[float]:
    values = [0.0] * players
    for order in permutations(range(players)):
        for place, player in enumerate(order):
            values[player] += game(frozenset(order[: place + 1])) - game(frozenset(order[:place]))
    return [value / factorial(players) for value in values]


def games(rows: list[Row]) -> dict[str, Game]:
    def inside(coalition: frozenset[int]) -> tuple[int, int, int]:
        own = [row for row in rows if set(row[0]) <= coalition]
        return sum(row[1] for row in own), sum(row[2] for row in own if row[1]), sum(max(row[1], 1) for row in own)

    return {
        "conversions": lambda s: inside(s)[0],
        "value": lambda s: inside(s)[1],
        "rate": lambda s: inside(s)[0] / max(inside(s)[2], 1),
        "value rate": lambda s: inside(s)[1] / max(inside(s)[2], 1),
    }


@settings(max_examples=40, deadline=None)
@given(rows)
def test_the_game_of_conversions_equals_both_definitions(rows: list[Row]) -> None:
    credit = paths_of(rows).statistics.shared()

    for row, name in enumerate(("conversions", "value")):
        game = games(rows)[name]
        np.testing.assert_allclose(credit[row], by_subsets(game, CHANNELS), atol=1e-9)
        np.testing.assert_allclose(credit[row], by_orders(game, CHANNELS), atol=1e-9)


@settings(max_examples=40, deadline=None)
@given(rows)
def test_the_game_of_rates_equals_both_definitions(rows: list[Row]) -> None:
    # Two more channels that nobody uses must get nothing and change nothing.
    credit = rate_game(paths_of(rows, CHANNELS + 2).statistics.sets(), CHANNELS + 2)

    assert not credit[:, CHANNELS:].any()
    for row, name in enumerate(("rate", "value rate")):
        game = games(rows)[name]
        np.testing.assert_allclose(credit[row, :CHANNELS], by_subsets(game, CHANNELS), atol=1e-9)
        np.testing.assert_allclose(credit[row, :CHANNELS], by_orders(game, CHANNELS), atol=1e-9)


@pytest.mark.parametrize("players", [1, 2, 8])
def test_any_game_equals_the_definition(players: int) -> None:
    worth = np.random.default_rng(players).normal(size=1 << players)
    worth[0] = 0.0

    def game(coalition: frozenset[int]) -> float:
        return float(worth[sum(1 << player for player in coalition)])

    np.testing.assert_allclose(shapley_values(worth.copy(), players), by_subsets(game, players), atol=1e-12)


def test_eighteen_channels_sum_to_the_rate() -> None:
    random = np.random.default_rng(0)
    rows = [(random.integers(0, 18, random.integers(1, 6)).tolist(), int(random.random() < 0.3), 4) for _ in range(999)]

    rate, worth = rate_game(paths_of(rows, 18).statistics.sets(), 18)

    assert rate.sum() == pytest.approx(sum(row[1] for row in rows) / 999, rel=1e-9)
    assert worth.sum() == pytest.approx(sum(4 for row in rows if row[1]) / 999, rel=1e-9)


def test_twins_get_the_same() -> None:
    rows = [([0, 1], 1, 10), ([0], 0, 0), ([1], 0, 0), ([2, 1], 1, 3), ([2, 0], 1, 3)]

    rate, _ = rate_game(paths_of(rows, 3).statistics.sets(), 3)

    assert rate[0] == pytest.approx(rate[1])


def test_too_many_channels_are_refused_with_a_way_out() -> None:
    sets = paths_of([([code], 1, 1) for code in range(25)], 60).statistics.sets()

    with pytest.raises(InvalidInput) as refusal:
        rate_game(sets, 60)

    assert "game of conversions" in refusal.value.next_step
