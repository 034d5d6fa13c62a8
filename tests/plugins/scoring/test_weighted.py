"""The weighted score: the worked example, its settings, and a slow exact recomputation."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from fairlead.plugins.contracts.scoring import Feature, FloatArray, ScoringScheme
from fairlead_weighted import Item, Weighted, WeightedSettings, column_of

SCHEME = Weighted()


def score(facts: dict[str, float], **settings: Any) -> tuple[float, dict[str, float]]:
    """The score of one profile with these facts, and its parts."""
    made = WeightedSettings.model_validate(settings)
    columns = {feature.name: np.array([facts.get(feature.key, 0.0)]) for feature in SCHEME.features(made)}
    scores = SCHEME.score(columns, made)
    return float(scores.value[0]), {name: float(part[0]) for name, part in scores.parts.items()}


def test_the_worked_example_comes_out_exactly() -> None:
    facts = {"phone_verified": 1, "white_paper": 1, "asked_price": 1}
    value, parts = score(facts)
    assert value == 11.5
    rounded, same = score(facts, rounding="half_up")
    assert rounded == 12.0
    assert parts == same
    assert parts == {
        "base.phone_verified": 5.0,
        "base.company_name": 0.0,
        "base.phone_invalid": 0.0,
        "base": 1.5,
        "behaviour.white_paper": 10.0,
        "behaviour.webinar": 0.0,
        "behaviour": 4.0,
        "intent.asked_price": 20.0,
        "intent": 6.0,
    }


@pytest.mark.parametrize(
    ("facts", "value"),
    [
        ({}, 0.0),
        ({"phone_invalid": 1}, -1.5),
        ({"company_name": 1}, 0.9),
        ({"webinar": 1}, 6.0),
        ({"webinar": 7, "white_paper": 3}, 10.0),
        ({"phone_verified": 1, "company_name": 1, "webinar": 1, "white_paper": 1, "asked_price": 2}, 18.4),
    ],
)
def test_the_default_table(facts: dict[str, float], value: float) -> None:
    assert score(facts)[0] == value


@pytest.mark.parametrize(
    ("points", "rounded"), [(1, 0), (1.6666, 0), (5 / 3, 1), (5, 2), (-5, -2), (-4.9, -1), (-1, 0), (8.34, 3)]
)
def test_halves_go_away_from_zero(points: float, rounded: float) -> None:
    table = [
        {"name": "one", "weight": 30, "items": [{"name": "it", "kind": "event", "key": "e", "points": points}]},
        {"name": "rest", "weight": 70, "items": [{"name": "it", "kind": "event", "key": "f", "points": 1}]},
    ]
    value, _ = score({"e": 1}, dimensions=table, rounding="half_up")
    assert value == rounded
    assert not np.signbit(value) or value < 0


def item(**given: Any) -> Item:
    return Item.model_validate({"name": "it", "kind": "event", "key": "e", "points": 2, **given})


@pytest.mark.parametrize(
    ("cap", "count", "points"),
    [(1, 5, 2), (3, 2, 4), (3, 5, 6), (None, 5, 10), (1, 0, 0), (1, -3, 0), (None, np.nan, 0), (None, np.inf, 0)],
)
def test_caps_and_odd_numbers(cap: int | None, count: float, points: float) -> None:
    table = [{"name": "only", "weight": 100, "items": [item(cap=cap).model_dump()]}]
    assert score({"e": count}, dimensions=table)[0] == points


def test_items_with_the_same_source_share_a_column() -> None:
    table = [
        {
            "name": "only",
            "weight": 100,
            "items": [
                item(name="first").model_dump(),
                item(name="more", cap=None, points=1).model_dump(),
                item(name="lately", within_days=30).model_dump(),
            ],
        }
    ]
    settings = WeightedSettings.model_validate({"dimensions": table})
    assert SCHEME.features(settings) == (
        Feature("event:e", "event", "e", None),
        Feature("event:e:30d", "event", "e", 30),
    )
    assert isinstance(SCHEME, ScoringScheme)


def wrong_table(*, weight: float = 100, **changes: Any) -> dict[str, Any]:
    return {"dimensions": [{"name": "only", "weight": weight, "items": [{**item().model_dump(), **changes}]}]}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (wrong_table(weight=90), "90 percent"),
        (wrong_table(kind="attribute", within_days=3), "no window"),
        (wrong_table(points="many"), "points"),
        (wrong_table(cap=0), "cap"),
        (wrong_table(name="Größe"), "name"),
        ({"dimensions": []}, "dimensions"),
        ({"dimensions": [{"name": "a", "weight": 50, "items": [item()]}] * 2}, "dimension 'a' is there twice"),
        ({"dimensions": [{"name": "a", "weight": 100, "items": [item()] * 2}]}, "a item 'it' is there twice"),
    ],
)
def test_wrong_tables_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        WeightedSettings.model_validate(given)


# -- against a slow, exact recomputation -------------------------------------------------------------------------------

hundredth = st.integers(-100_000, 100_000).map(lambda number: number / 100)


@st.composite
def tables(draw: st.DrawFn) -> WeightedSettings:
    """Random tables with whole percents, whose items share sources at times."""
    cuts = sorted(draw(st.lists(st.integers(0, 100), max_size=4)))
    weights = [high - low for low, high in zip([0, *cuts], [*cuts, 100], strict=True)]
    dimensions = []
    for number, weight in enumerate(weights):
        items = [
            {
                "name": f"item_{index}",
                "kind": draw(st.sampled_from(["event", "attribute"])),
                "key": draw(st.sampled_from("abc")),
                "points": draw(hundredth),
                "cap": draw(st.sampled_from([None, 1, 3])),
            }
            for index in range(draw(st.integers(1, 4)))
        ]
        for made in items:
            if made["kind"] == "event":
                made["within_days"] = draw(st.sampled_from([None, 7, 30]))
        dimensions.append({"name": f"dimension_{number}", "weight": weight, "items": items})
    return WeightedSettings.model_validate({"dimensions": dimensions, "rounding": draw(st.sampled_from(ROUNDINGS))})


ROUNDINGS = ["none", "half_up"]


def slowly(settings: WeightedSettings, facts: dict[str, int]) -> tuple[Decimal, dict[str, Decimal]]:
    """One profile in exact decimals, one item after the other."""
    total, parts = Decimal(0), {}
    for dimension in settings.dimensions:
        raw = Decimal(0)
        for each in dimension.items:
            times = facts[column_of(each)]
            if each.cap is not None and times > each.cap:
                times = each.cap
            parts[f"{dimension.name}.{each.name}"] = times * Decimal(str(each.points))
            raw += parts[f"{dimension.name}.{each.name}"]
        parts[dimension.name] = raw * Decimal(str(dimension.weight)) / 100
        total += parts[dimension.name]
    if settings.rounding == "half_up":
        total = total.quantize(Decimal(1), rounding=ROUND_HALF_UP)
    return total, parts


@given(settings=tables(), seed=st.integers(0, 2**32 - 1), people=st.integers(1, 12))
def test_equal_to_a_slow_exact_recomputation(settings: WeightedSettings, seed: int, people: int) -> None:
    rng = np.random.default_rng(seed)
    columns: dict[str, FloatArray] = {
        feature.name: rng.integers(0, 6, people).astype(np.float64) for feature in SCHEME.features(settings)
    }
    scores = SCHEME.score(columns, settings)
    for person in range(people):
        facts = {name: int(column[person]) for name, column in columns.items()}
        total, parts = slowly(settings, facts)
        if settings.rounding == "half_up":
            assert scores.value[person] == float(total)
        else:
            assert scores.value[person] == pytest.approx(float(total), rel=1e-12, abs=1e-9)
        assert set(scores.parts) == set(parts)
        for name, part in parts.items():
            assert scores.parts[name][person] == pytest.approx(float(part), rel=1e-12, abs=1e-9)
