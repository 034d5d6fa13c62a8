"""All models on the real touch log, against recomputations that share no code with them."""

from __future__ import annotations

import csv
import gzip
import os
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from fairlead.insights.paths import Paths, build_paths
from fairlead.plugins import NoSettings
from fairlead_first_touch import FirstTouch
from fairlead_last_touch import LastTouch
from fairlead_linear import Linear
from fairlead_markov import Markov, MarkovSettings
from fairlead_position import Position, PositionSettings
from fairlead_shapley import Shapley, ShapleySettings
from fairlead_time_decay import TimeDecay, TimeDecaySettings

DATA = Path(os.environ.get("FAIRLEAD_DATA") or Path(__file__).parents[4] / "shared" / "data")
FILE = DATA / "attribution_touchpoints" / "touchpoints.csv.gz"

pytestmark = pytest.mark.skipif(
    not FILE.exists(), reason=f"{FILE} is absent; set FAIRLEAD_DATA to the folder of the data sets"
)

CHANNELS = ["Facebook", "Instagram", "Online Display", "Online Video", "Paid Search"]
DAY_MS = 86_400_000

Walk = tuple[list[int], list[int], int, float, int]


@dataclass(frozen=True)
class Log:
    """The file as columns, the paths built of it, and the same paths cut row by row."""

    paths: Paths
    walks: list[Walk]


@pytest.fixture(scope="module")
def log() -> Log:
    with gzip.open(FILE, "rt", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    number = {name: at for at, name in enumerate(sorted({row["customer_id"] for row in rows}))}
    table = [
        (
            number[row["customer_id"]],
            round(datetime.fromisoformat(row["time"]).timestamp() * 1000),
            CHANNELS.index(row["channel"]),
            row["conversion"] == "1",
            float(row["conversion_value"]),
        )
        for row in rows
    ]
    who, when, channel, bought, value = (np.array(column) for column in zip(*table, strict=True))
    paths = build_paths(who, when, channel, who[bought], when[bought], value[bought], channels=CHANNELS)

    people = defaultdict(list)
    for row in table:
        people[row[0]].append(row[1:])
    walks: list[Walk] = []
    for touches in people.values():
        touches.sort(key=lambda touch: touch[0])
        walk: list[tuple[int, int, bool, float]] = []
        for at, touch in enumerate(touches):
            walk.append(touch)
            same_instant = at + 1 < len(touches) and touches[at + 1][0] == touch[0]
            ends = [step for step in walk if step[2]]
            if not same_instant and (ends or at + 1 == len(touches)):
                walks.append(
                    (
                        [step[1] for step in walk],
                        [step[0] for step in walk],
                        len(ends),
                        sum(step[3] for step in ends),
                        touch[0],
                    )
                )
                walk = []
    return Log(paths, walks)


def test_counts_of_the_file(log: Log) -> None:
    summary = log.paths.summary

    assert summary.touches == 62_483
    assert summary.conversions == 1_838
    assert summary.value == pytest.approx(11_423.50)
    assert sum(summary.excluded_conversions.values()) == 0
    assert summary.paths == len(log.walks)
    assert summary.null == sum(walk[2] == 0 for walk in log.walks)


@pytest.mark.parametrize(
    ("model", "settings"),
    [
        (FirstTouch(), NoSettings()),
        (LastTouch(), NoSettings()),
        (Linear(), NoSettings()),
        (TimeDecay(), TimeDecaySettings()),
        (TimeDecay(), TimeDecaySettings(unit="touches")),
        (Position(), PositionSettings()),
        (Position(), PositionSettings(shape="w")),
        *[(Markov(), MarkovSettings(order=order)) for order in (1, 2, 3, 4)],
        (Shapley(), ShapleySettings()),
        (Shapley(), ShapleySettings(game="rate")),
    ],
)
def test_every_model_sums_to_the_conversions(log: Log, model: Linear, settings: NoSettings) -> None:
    result = model.credit(log.paths, settings)

    assert result.conversions.sum() == pytest.approx(1_838, rel=1e-12)
    assert result.value.sum() == pytest.approx(11_423.50, rel=1e-12)


def test_last_touch_is_the_channel_of_the_conversion_row(log: Log) -> None:
    result = LastTouch().credit(log.paths, NoSettings())

    assert dict(zip(CHANNELS, result.conversions, strict=True)) == {
        "Facebook": 561,
        "Paid Search": 457,
        "Online Video": 350,
        "Instagram": 237,
        "Online Display": 233,
    }
    assert result.value == pytest.approx([3514.5, 1475.5, 1436, 2190, 2807.5])


def test_rule_based_models_equal_a_walk_through_the_rows(log: Log) -> None:
    expected = {name: np.zeros(5) for name in ("first", "linear", "decay", "u")}
    for codes, times, conversions, _, bought in log.walks:
        if not conversions:
            continue
        length = len(codes)
        shares = {
            "first": [1.0] + [0.0] * (length - 1),
            "linear": [1.0] * length,
            "decay": [0.5 ** ((bought - at) / DAY_MS / 7) for at in times],
            "u": [1.0] * length if length < 3 else [0.4, *[0.2 / (length - 2)] * (length - 2), 0.4],
        }
        for name, weights in shares.items():
            for code, weight in zip(codes, weights, strict=True):
                expected[name][code] += conversions * weight / sum(weights)

    assert FirstTouch().credit(log.paths, NoSettings()).conversions == pytest.approx(expected["first"])
    assert Linear().credit(log.paths, NoSettings()).conversions == pytest.approx(expected["linear"])
    assert TimeDecay().credit(log.paths, TimeDecaySettings()).conversions == pytest.approx(expected["decay"])
    assert Position().credit(log.paths, PositionSettings()).conversions == pytest.approx(expected["u"])


def test_markov_equals_a_dense_chain_with_each_channel_taken_out(log: Log) -> None:
    start, won, lost = 5, 6, 7
    counts = np.zeros((8, 8))
    for codes, _, conversions, _, _ in log.walks:
        for source, target in zip([start, *codes], [*codes, won if conversions else lost], strict=True):
            counts[source, target] += max(conversions, 1)
    chain = counts[:6] / counts[:6].sum(axis=1, keepdims=True)

    def rate(without: int | None) -> float:
        kept = [state for state in range(6) if state != without]
        solution = np.linalg.solve(np.eye(len(kept)) - chain[np.ix_(kept, kept)], chain[kept, won])
        return float(solution[kept.index(start)])

    effects = np.array([1 - rate(channel) / rate(None) for channel in range(5)])

    result = Markov().credit(log.paths, MarkovSettings())

    np.testing.assert_allclose(result.detail["removal_effect"], effects, rtol=1e-9)
    np.testing.assert_allclose(result.conversions, 1_838 * effects / effects.sum(), rtol=1e-9)


def test_shapley_equals_equal_shares_of_the_distinct_channels(log: Log) -> None:
    expected = np.zeros(5)
    for codes, _, conversions, _, _ in log.walks:
        for code in set(codes):
            expected[code] += conversions / len(set(codes))

    assert Shapley().credit(log.paths, ShapleySettings()).conversions == pytest.approx(expected)
