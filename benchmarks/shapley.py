"""Exact Shapley values of 20 channels on a million paths against ChannelAttribution's Markov model."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from benchmarks._paths import channelattribution, sample
from benchmarks.harness import Comparison, Figure, Goal, Result, compare
from fairlead_shapley import Shapley, ShapleySettings

PATHS = 1_000_000
CHANNELS = 20

CONVERSIONS = Figure(
    "shapley.conversions",
    "the game of conversions, exact, conversions and value; its Markov order 1 on the same paths; CPU s",
    Goal("ratio", ">=", 10),
)
RATE = Figure(
    "shapley.rate",
    "the game of rates over all 2^20 coalitions, exact, rate and value; its Markov order 1 on the same paths; CPU s",
    Goal("ratio", ">=", 10),
)
FIGURES = (CONVERSIONS, RATE)


def run(scale: float = 1.0, rounds: int = 5) -> Iterator[Result]:
    """Measure both games; goals hold at ``scale`` 1."""
    of = sample(max(int(PATHS * scale), 1000), CHANNELS)
    model = Shapley()
    with channelattribution(of) as peer:
        comparisons = [
            Comparison(
                figure,
                lambda: of.paths(times=False),
                partial(model.credit, settings=settings),
                ("markov_1",),
            )
            for figure, settings in (
                (CONVERSIONS, ShapleySettings()),
                (RATE, ShapleySettings(game="rate")),
            )
        ]
        baselines = {"markov_1": lambda: float(peer.ask(model="markov", order=1)["seconds"])}
        yield from compare(comparisons, baselines, rounds)
