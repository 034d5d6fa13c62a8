"""Removal effects against the definition: build the chain, take one channel out, solve the dense system again."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fairlead.insights import markov_solver
from fairlead.insights.markov_solver import chain_of, lost_dense, lost_sparse, removal_effects
from fairlead.insights.paths import Paths

Row = tuple[list[int], int, float]


def effects_by_definition(rows: list[Row], channels: int, order: int) -> np.ndarray:
    """Return removal effects of conversions and value, ``(2, channels)``, from path lists alone."""
    moves: dict[tuple[object, object], float] = defaultdict(float)
    reward: dict[object, np.ndarray] = defaultdict(lambda: np.zeros(2))
    out: dict[object, float] = defaultdict(float)
    for codes, conversions, value in rows:
        weight = max(conversions, 1)
        states = [tuple(codes[at : at + order]) for at in range(max(len(codes) - order, 0) + 1)]
        for source, target in zip(["start", *states], states, strict=False):
            moves[source, target] += weight
            out[source] += weight
        out[states[-1]] += weight
        reward[states[-1]] += [conversions, value if conversions else 0.0]
    names = list(out)
    place = {name: at for at, name in enumerate(names)}

    def expected(removed: int | None) -> np.ndarray:
        q, r = np.zeros((len(names), len(names))), np.zeros((len(names), 2))
        dead = [name != "start" and removed in name for name in names]  # type: ignore[operator]
        for (source, target), times in moves.items():
            if not dead[place[source]] and not dead[place[target]]:
                q[place[source], place[target]] = times / out[source]
        for name, gained in reward.items():
            if not dead[place[name]]:
                r[place[name]] = gained / out[name]
        return np.asarray(np.linalg.solve(np.eye(len(names)) - q, r)[place["start"]])

    whole = expected(None)
    effects = np.zeros((2, channels))
    for channel in range(channels):
        for row in range(2):
            if whole[row] > 0:
                effects[row, channel] = 1 - expected(channel)[row] / whole[row]
    return effects


def paths_of(rows: list[Row], channels: int) -> Paths:
    return Paths(
        np.cumsum([0] + [len(row[0]) for row in rows]),
        [code for row in rows for code in row[0]],
        np.array([row[1] for row in rows], np.int64),
        [row[2] if row[1] else 0.0 for row in rows],
        names=[f"c{code}" for code in range(channels)],
    )


def solved(paths: Paths, order: int) -> np.ndarray:
    effects = removal_effects(paths.statistics.transitions(order))
    return np.stack([effects.conversions, effects.value])


def random_rows(seed: int, channels: int, paths: int, longest: int) -> list[Row]:
    random = np.random.default_rng(seed)
    popular = 1 / np.arange(1, channels + 1)
    return [
        (
            random.choice(channels, random.integers(1, longest + 1), p=popular / popular.sum()).tolist(),
            int(random.choice([0, 0, 1, 1, 2])),
            float(random.integers(0, 90)),
        )
        for _ in range(paths)
    ]


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize(("channels", "paths", "longest"), [(3, 40, 4), (6, 300, 9), (9, 200, 40)])
def test_effects_equal_the_definition(order: int, channels: int, paths: int, longest: int) -> None:
    rows = random_rows(order, channels, paths, longest)

    np.testing.assert_allclose(
        solved(paths_of(rows, channels), order), effects_by_definition(rows, channels, order), rtol=1e-9, atol=1e-12
    )


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.tuples(st.lists(st.integers(0, 4), min_size=1, max_size=9), st.integers(0, 2), st.floats(0, 100)),
        max_size=12,
    ),
    st.integers(1, 4),
)
@example([([2, 1, 2], 1, 1.0), ([1, 2], 0, 0.0), ([4, 3, 4, 2, 1, 1, 2, 2], 0, 0.0)], 2)
def test_effects_of_any_few_paths_equal_the_definition(rows: list[Row], order: int) -> None:
    np.testing.assert_allclose(
        solved(paths_of(rows, 5), order), effects_by_definition(rows, 5, order) if rows else 0.0, rtol=1e-9, atol=1e-9
    )


@pytest.mark.parametrize("order", [2, 3, 4])
def test_effects_of_a_thousand_small_sets_equal_the_definition(order: int) -> None:
    random = np.random.default_rng(order)
    for _ in range(1000):
        rows: list[Row] = [
            (random.integers(0, 5, random.integers(1, 9)).tolist(), int(random.integers(0, 2)), 1.0)
            for _ in range(random.integers(2, 7))
        ]
        np.testing.assert_allclose(
            solved(paths_of(rows, 5), order),
            effects_by_definition(rows, 5, order),
            rtol=1e-9,
            atol=1e-9,
            err_msg=str(rows),
        )


def test_dense_and_sparse_solutions_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    chain = chain_of(paths_of(random_rows(2, 20, 2000, 30), 20).statistics.transitions(1))
    dense = lost_dense(chain)

    np.testing.assert_allclose(lost_sparse(chain), dense, rtol=1e-9)
    monkeypatch.setattr(markov_solver, "BLOCK_ENTRIES", 50)
    np.testing.assert_allclose(lost_sparse(chain), dense, rtol=1e-9)


def test_columns_that_do_not_converge_are_solved_directly(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = random_rows(4, 6, 300, 9)
    monkeypatch.setattr(markov_solver, "MAX_STEPS", 1)

    np.testing.assert_allclose(solved(paths_of(rows, 6), 2), effects_by_definition(rows, 6, 2), rtol=1e-9)


def test_long_walks_between_two_channels_stay_exact() -> None:
    rows: list[Row] = [([0, 1] * 2000 + [2], 1, 3.0), ([0, 1] * 1500, 0, 0.0), ([2, 0], 1, 1.0)]

    for order in (1, 2):
        np.testing.assert_allclose(
            solved(paths_of(rows, 3), order), effects_by_definition(rows, 3, order), rtol=1e-9, atol=1e-9
        )


def test_visits_and_conversions_of_the_chain_are_the_counted_ones() -> None:
    rows = random_rows(8, 5, 200, 12)
    chain = chain_of(paths_of(rows, 5).statistics.transitions(2))

    weight = sum(max(row[1], 1) for row in rows)
    assert chain.rewards[0] @ chain.visits == pytest.approx(sum(row[1] for row in rows) / weight)
    np.testing.assert_allclose(chain.moves.T @ chain.visits + chain.entry, chain.visits, atol=1e-12)
