"""Attribution on a million paths against ChannelAttribution 2.2.5 (C++; GPL, so it stays outside, see README.md)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks._paths import DAY_MS, Sample, channelattribution, sample
from benchmarks.harness import Comparison, Figure, Goal, Result, compare
from fairlead.insights.paths import Paths, build_paths
from fairlead.plugins import NoSettings
from fairlead_first_touch import FirstTouch
from fairlead_last_touch import LastTouch
from fairlead_linear import Linear
from fairlead_markov import Markov, MarkovSettings
from fairlead_position import Position, PositionSettings
from fairlead_shapley import Shapley, ShapleySettings
from fairlead_time_decay import TimeDecay, TimeDecaySettings

PATHS = 1_000_000
CHANNELS = 50
NEW_PATHS = 10_000

MARKOV_1 = Figure(
    "attribution.markov_1",
    "Markov order 1 by conversions and value, from channel codes; its: by conversions; CPU s",
    Goal("ratio", ">=", 50),
)
MARKOV_2 = Figure(
    "attribution.markov_2",
    "Markov order 2 by conversions and value, from channel codes; its: by conversions; CPU s",
    Goal("ratio", ">=", 8),
)
RULES = Figure(
    "attribution.rules",
    "first, last, linear, position and time decay by touches, conversions and value, from channel codes; "
    "its three heuristics; CPU s",
    Goal("ratio", ">=", 60),
)
RULES_DAYS = Figure(
    "attribution.rules_days",
    "the same five, time decay by the real time of every touch, which its three do not read; CPU s",
    Goal("ratio", ">=", 30),
)
RAW = Figure(
    "attribution.raw_touches",
    "shuffled touches and conversions to paths to Markov order 1; its Markov order 1 from ready path strings; CPU s",
    Goal("ratio", ">=", 10),
)
FOLD = Figure(
    "attribution.fold_in",
    "10,000 new paths folded in and all seven models solved again; its heuristics and Markov order 1 run anew; CPU s",
    Goal("ratio", ">=", 1000),
)
MEMORY = Figure(
    "attribution.memory",
    "highest extra memory of the runs above; its in Markov order 1, without its strings; MiB",
    Goal("ours", "<=", 100),
)
EXACT = Figure(
    "attribution.exactness",
    "largest relative error of a removal effect, order 1, against a dense chain without the channel",
    Goal("ours", "<=", 1e-9),
)
FIGURES = (MARKOV_1, MARKOV_2, RULES, RULES_DAYS, RAW, FOLD, MEMORY, EXACT)

TIMED = (MARKOV_1, MARKOV_2, RULES, RULES_DAYS, RAW, FOLD)


def markov(paths: Paths, order: int) -> Any:
    return Markov().credit(paths, MarkovSettings(order=order))


def rules(paths: Paths, unit: str) -> None:
    for model in (FirstTouch(), LastTouch(), Linear()):
        model.credit(paths, NoSettings())
    Position().credit(paths, PositionSettings())
    TimeDecay().credit(paths, TimeDecaySettings.model_validate({"unit": unit}))


def every_model(paths: Paths) -> None:
    rules(paths, "days")
    markov(paths, 1)
    Shapley().credit(paths, ShapleySettings())


def raw_touches(of: Sample) -> dict[str, Any]:
    """Return the arguments of ``build_paths`` that give ``of`` again: touches in no order, conversions an hour late."""
    random = np.random.default_rng(11)
    profile = np.repeat(np.arange(len(of.converted)), np.diff(of.offsets))
    shuffled = random.permutation(len(profile))
    buyers = random.permutation(np.flatnonzero(of.converted))
    return {
        "profile": profile[shuffled],
        "at_ms": of.times[shuffled],
        "channel": of.channels[shuffled],
        "conversion_profile": buyers,
        "conversion_at_ms": of.times[of.offsets[buyers + 1] - 1] + DAY_MS // 24,
        "conversion_value": of.value[buyers],
        "channels": of.names,
    }


def exact_effects(of: Sample) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return the removal effects from the definition: the whole chain solved anew without each channel."""
    k = len(of.names)
    start, won, lost = k, k + 1, k + 2
    before = np.empty(len(of.channels), np.int64)
    before[1:] = of.channels[:-1]
    before[of.offsets[:-1]] = start
    counts = np.bincount(before * (k + 3) + of.channels, minlength=(k + 3) ** 2).reshape(k + 3, k + 3).astype(float)
    last = of.channels[of.offsets[1:] - 1]
    counts[:k, won] = np.bincount(last[of.converted == 1], minlength=k)
    counts[:k, lost] = np.bincount(last[of.converted == 0], minlength=k)
    chain = counts[: k + 1] / counts[: k + 1].sum(axis=1, keepdims=True)

    def rate(without: int | None) -> float:
        kept = [state for state in range(k + 1) if state != without]
        solution = np.linalg.solve(np.eye(len(kept)) - chain[np.ix_(kept, kept)], chain[kept, won])
        return float(solution[kept.index(start)])

    whole = rate(None)
    return np.array([1 - rate(channel) / whole for channel in range(k)])


def run(scale: float = 1.0, rounds: int = 5) -> Iterator[Result]:
    """Measure all figures; goals hold at ``scale`` 1."""
    of = sample(max(int(PATHS * scale), 1000), CHANNELS)
    raw = raw_touches(of)
    new = min(NEW_PATHS, len(of.converted) // 10)
    history = of.paths(0, len(of.converted) - new)
    every_model(history)
    built = build_paths(**raw)
    if not (np.array_equal(built.offsets, of.offsets) and np.array_equal(built.channels, of.channels)):
        raise RuntimeError("the paths built from raw touches differ from those they were made of")
    del built

    with channelattribution(of) as peer:
        first = peer.ask(model="markov", order=1)
        comparisons = (
            Comparison(MARKOV_1, lambda: of.paths(times=False), lambda paths: markov(paths, 1), ("markov_1",)),
            Comparison(MARKOV_2, lambda: of.paths(times=False), lambda paths: markov(paths, 2), ("markov_2",)),
            Comparison(RULES, lambda: of.paths(times=False), lambda paths: rules(paths, "touches"), ("heuristic",)),
            Comparison(RULES_DAYS, of.paths, lambda paths: rules(paths, "days"), ("heuristic",)),
            Comparison(RAW, lambda: raw, lambda touches: markov(build_paths(**touches), 1), ("markov_1",)),
            Comparison(
                FOLD,
                lambda: of.paths(len(of.converted) - new),
                lambda fresh: every_model(history + fresh),
                ("heuristic", "markov_1"),
            ),
        )
        baselines = {
            "heuristic": lambda: float(peer.ask(model="heuristic")["seconds"]),
            "markov_1": lambda: float(peer.ask(model="markov", order=1)["seconds"]),
            "markov_2": lambda: float(peer.ask(model="markov", order=2)["seconds"]),
        }
        results = list(compare(comparisons, baselines, rounds))
    yield from results

    highest = max(result.peak_mb for result in results)
    yield Result.of(MEMORY, highest, float(first["peak_mb"]), highest)
    exact = exact_effects(of)
    ours = markov(of.paths(times=False), 1).detail["removal_effect"]
    theirs = np.array([first["effects"][name] for name in of.names])
    yield Result.of(
        EXACT, float(np.abs(ours / exact - 1).max()), float(np.abs(theirs / exact - 1).max()), results[0].peak_mb
    )
