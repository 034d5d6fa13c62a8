"""Every model: sums, edge cases, settings, and the rule-based ones against a slow recomputation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as bounded
from hypothesis import strategies as st
from pydantic import ValidationError

import fairlead_first_touch
import fairlead_last_touch
import fairlead_linear
import fairlead_markov
import fairlead_position
import fairlead_shapley
import fairlead_time_decay
from fairlead.errors import InvalidInput
from fairlead.insights.paths import Paths, build_paths
from fairlead.plugins import Kind, NoSettings
from fairlead.plugins.contracts.attribution import AttributionModel, Credits
from fairlead_position import PositionSettings, position_weights

MODULES = (
    fairlead_first_touch,
    fairlead_last_touch,
    fairlead_linear,
    fairlead_time_decay,
    fairlead_position,
    fairlead_markov,
    fairlead_shapley,
)
SETTINGS: dict[str, list[dict[str, object]]] = {
    "time_decay": [{}, {"half_life": 0.01}, {"unit": "touches", "half_life": 1.5}],
    "position": [{}, {"shape": "w"}, {"shape": "custom", "first": 0.1, "middle": 0.5, "last": 0.0, "others": 0.3}],
    "markov": [{"order": order} for order in (1, 2, 3, 4)],
    "shapley": [{}, {"game": "rate"}],
}
DAY = 86_400_000

Row = tuple[list[int], list[int], int, float]


def registered(module: Any) -> AttributionModel:
    found: list[AttributionModel] = []
    module.fairlead_register_attribution_models(found.append)
    (model,) = found
    return model


MODELS = {model.manifest.name: model for model in map(registered, MODULES)}
CASES = [(name, settings) for name in MODELS for settings in SETTINGS.get(name, [{}])]


def credit(paths: Paths, name: str, **settings: object) -> Credits:
    model = MODELS[name]
    return model.credit(paths, model.manifest.settings(**settings))


def paths_of(rows: list[Row], channels: int = 4) -> Paths:
    return Paths(
        np.cumsum([0] + [len(row[0]) for row in rows]),
        [code for row in rows for code in row[0]],
        np.array([row[2] for row in rows], np.int64),
        [row[3] if row[2] else 0.0 for row in rows],
        names=[f"c{code}" for code in range(channels)],
        times=[at for row in rows for at in row[1]],
    )


@st.composite
def row(draw: st.DrawFn, channels: int = 4, longest: int = 8) -> Row:
    codes = draw(st.lists(st.integers(0, channels - 1), min_size=1, max_size=longest))
    times = sorted(draw(st.lists(st.integers(0, 90 * DAY), min_size=len(codes), max_size=len(codes))))
    return codes, times, draw(st.sampled_from([0, 1, 1, 2])), draw(st.floats(0, 1000))


some_rows = st.lists(row(), max_size=15)


# -- rule-based models, slowly --------------------------------------------------------------------------------------


def first(codes: list[int], times: list[int], bought: int) -> list[float]:
    return [1.0] + [0.0] * (len(codes) - 1)


def last(codes: list[int], times: list[int], bought: int) -> list[float]:
    return [0.0] * (len(codes) - 1) + [1.0]


def linear(codes: list[int], times: list[int], bought: int) -> list[float]:
    return [1.0] * len(codes)


def decay_days(codes: list[int], times: list[int], bought: int) -> list[float]:
    return [0.5 ** ((bought - at) / DAY / 7) for at in times]


def decay_touches(codes: list[int], times: list[int], bought: int) -> list[float]:
    return [0.5 ** (back / 1.5) for back in range(len(codes) - 1, -1, -1)]


def u_shape(codes: list[int], times: list[int], bought: int) -> list[float]:
    if len(codes) <= 2:
        return [1.0] * len(codes)
    return [0.4, *[0.2 / (len(codes) - 2)] * (len(codes) - 2), 0.4]


def w_shape(codes: list[int], times: list[int], bought: int) -> list[float]:
    if len(codes) <= 3:
        return [1.0] * len(codes)
    weights = [0.1 / (len(codes) - 3)] * len(codes)
    weights[0] = weights[(len(codes) - 1) // 2] = weights[-1] = 0.3
    return weights


Rule = Callable[[list[int], list[int], int], list[float]]
RULES: list[tuple[str, dict[str, object], Rule]] = [
    ("first_touch", {}, first),
    ("last_touch", {}, last),
    ("linear", {}, linear),
    ("time_decay", {}, decay_days),
    ("time_decay", {"unit": "touches", "half_life": 1.5}, decay_touches),
    ("position", {}, u_shape),
    ("position", {"shape": "w"}, w_shape),
]


def slowly(rows: list[Row], rule: Rule, channels: int) -> np.ndarray:
    result = np.zeros((2, channels))
    for codes, times, conversions, value in rows:
        if conversions:
            weights = rule(codes, times, times[-1] + 3 * DAY)
            for code, weight in zip(codes, weights, strict=True):
                result[0, code] += conversions * weight / sum(weights)
                result[1, code] += value * weight / sum(weights)
    return result


@pytest.mark.parametrize(("name", "settings", "rule"), RULES)
@bounded(max_examples=25, deadline=None)
@given(rows=some_rows)
def test_rule_based_models_equal_a_slow_recomputation(
    name: str, settings: dict[str, object], rule: Rule, rows: list[Row]
) -> None:
    result = credit(paths_of(rows), name, **settings)

    np.testing.assert_allclose([result.conversions, result.value], slowly(rows, rule, 4), rtol=1e-9, atol=1e-9)


# -- what holds for all ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "settings"), CASES)
@bounded(max_examples=25, deadline=None)
@given(rows=some_rows)
def test_credits_sum_to_the_conversions(name: str, settings: dict[str, object], rows: list[Row]) -> None:
    paths = paths_of(rows)

    result = credit(paths, name, **settings)

    assert result.conversions.sum() == pytest.approx(paths.summary.conversions, rel=1e-9, abs=1e-9)
    assert result.value.sum() == pytest.approx(paths.summary.value, rel=1e-9, abs=1e-9)
    assert result.conversions.shape == result.value.shape == (4,)
    unseen = np.setdiff1d(np.arange(4), paths.channels)
    assert not result.conversions[unseen].any()
    assert all(array.shape == (4,) for array in result.detail.values())


@pytest.mark.parametrize(("name", "settings"), CASES)
@bounded(max_examples=15, deadline=None)
@given(old=some_rows, new=some_rows)
def test_folding_in_new_paths_gives_the_full_answer(
    name: str, settings: dict[str, object], old: list[Row], new: list[Row]
) -> None:
    history = paths_of(old)
    credit(history, name, **settings)

    folded, whole = credit(history + paths_of(new), name, **settings), credit(paths_of(old + new), name, **settings)

    np.testing.assert_allclose(folded.conversions, whole.conversions, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(folded.value, whole.value, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("name", "settings"), CASES)
def test_edge_cases(name: str, settings: dict[str, object]) -> None:
    for nothing in (paths_of([]), paths_of([], channels=0), paths_of([([0, 1], [0, 1], 0, 0.0)])):
        result = credit(nothing, name, **settings)
        assert not result.conversions.any()
        assert not result.value.any()

    alone = credit(paths_of([([0, 0], [0, 1], 1, 9.0), ([0], [3], 0, 0.0)], channels=1), name, **settings)
    assert alone.conversions == pytest.approx([1.0])
    assert alone.value == pytest.approx([9.0])

    worthless = credit(paths_of([([2, 1], [0, 1], 1, 0.0)]), name, **settings)
    assert worthless.conversions.sum() == pytest.approx(1.0)
    assert not worthless.value.any()


@pytest.mark.parametrize(("name", "settings"), [case for case in CASES if case[1] != {"game": "rate"}])
def test_more_channels_than_bits(name: str, settings: dict[str, object]) -> None:
    random = np.random.default_rng(4)
    rows = [(random.integers(0, 300, 5).tolist(), [1, 2, 3, 4, 5], int(at % 3 == 0), 2.0) for at in range(300)]

    result = credit(paths_of(rows, 300), name, **settings)

    assert result.conversions.sum() == pytest.approx(100)
    assert result.value.sum() == pytest.approx(200)


@pytest.mark.parametrize("name", MODELS)
def test_manifests_are_complete(name: str) -> None:
    manifest = MODELS[name].manifest

    assert manifest.kind is Kind.ATTRIBUTION_MODEL
    assert all((manifest.title.zh, manifest.title.en, manifest.description.zh, manifest.description.en))
    assert isinstance(MODELS[name], AttributionModel)
    assert manifest.settings() is not None
    with pytest.raises(ValidationError):
        manifest.settings(nonsense=1)


# -- one by one -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "length", "shares"),
    [
        ({}, 1, [1]),
        ({}, 2, [0.5, 0.5]),
        ({}, 3, [0.4, 0.2, 0.4]),
        ({}, 4, [0.4, 0.1, 0.1, 0.4]),
        ({"shape": "w"}, 1, [1]),
        ({"shape": "w"}, 2, [0.5, 0.5]),
        ({"shape": "w"}, 3, [1 / 3, 1 / 3, 1 / 3]),
        ({"shape": "w"}, 4, [0.3, 0.3, 0.1, 0.3]),
        ({"shape": "w"}, 5, [0.3, 0.05, 0.3, 0.05, 0.3]),
        ({"shape": "custom", "first": 1.0, "last": 0.5, "others": 0.5}, 2, [2 / 3, 1 / 3]),
        ({"shape": "custom", "first": 0.0, "last": 0.0, "others": 1.0}, 2, [0.5, 0.5]),
        ({"shape": "custom", "first": 0.0, "last": 0.0, "others": 1.0}, 4, [0, 0.5, 0.5, 0]),
    ],
)
def test_position_of_short_paths(settings: dict[str, Any], length: int, shares: list[float]) -> None:
    paths = paths_of([(list(range(length)), list(range(length)), 1, 10.0)], channels=length)

    result = credit(paths, "position", **settings)

    assert result.conversions == pytest.approx(shares)
    assert result.value == pytest.approx([10 * share for share in shares])


def test_position_weights_of_the_shapes_sum_to_one() -> None:
    for shape in ("u", "w"):
        for length in range(4, 60):
            assert position_weights(length, PositionSettings(shape=shape).parts).sum() == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("position", {"shape": "custom", "first": 0, "middle": 0, "last": 0, "others": 0}),
        ("position", {"shape": "v"}),
        ("markov", {"order": 5}),
        ("markov", {"order": 0}),
        ("time_decay", {"half_life": 0}),
        ("time_decay", {"half_life": float("nan")}),
        ("shapley", {"game": "chess"}),
    ],
)
def test_settings_out_of_range_are_refused(name: str, settings: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        MODELS[name].manifest.settings(**settings)


def test_days_without_times_say_what_to_do() -> None:
    paths = build_paths([1], [1], [0], [1], [1], [1.0], channels=["a"], keep_times=False)

    with pytest.raises(InvalidInput) as refusal:
        credit(paths, "time_decay")

    assert "touches" in refusal.value.next_step
    assert credit(paths, "time_decay", unit="touches").conversions == pytest.approx([1.0])


def test_one_week_halves_the_weight() -> None:
    result = credit(paths_of([([0, 1], [0, 7 * DAY], 1, 3.0)], channels=2), "time_decay")

    assert result.conversions == pytest.approx([1 / 3, 2 / 3])


def test_markov_of_a_worked_example() -> None:
    """Two paths: a, b convert; b alone does not. Without a nothing converts, without b nothing either."""
    result = credit(paths_of([([0, 1], [0, 1], 1, 8.0), ([1], [2], 0, 0.0)], channels=2), "markov")

    # Order 1 knows only that half of those who saw b convert: the chain start-a-b keeps 1/4 of the conversions.
    assert result.detail["removal_effect"] == pytest.approx([0.5, 1.0])
    assert result.conversions == pytest.approx([1 / 3, 2 / 3])
    second = credit(paths_of([([0, 1], [0, 1], 1, 8.0), ([1], [2], 0, 0.0)], channels=2), "markov", order=2)
    assert second.conversions == pytest.approx([0.5, 0.5])


def test_a_partner_needs_one_small_function() -> None:
    class Middle:
        """The docs' example: credit the touch in the middle."""

        manifest = fairlead_linear.Linear.manifest

        def credit(self, paths: Paths, settings: NoSettings) -> Credits:
            conversions, value = paths.statistics.by_position(lambda n: np.eye(1, n, n // 2)[0])
            return Credits(conversions, value, {})

    result = Middle().credit(paths_of([([0, 1, 2], [0, 1, 2], 1, 5.0)]), NoSettings())

    assert result.conversions.tolist() == [0, 1, 0, 0]
