"""Shapley value: each channel's fair part in what the channels of a path achieve together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from fairlead.insights.paths import Paths
from fairlead.insights.shapley_solver import rate_game
from fairlead.plugins import Kind, Manifest, Quality, Title, hookimpl
from fairlead.plugins.contracts.attribution import AttributionModel, Credits


class ShapleySettings(BaseModel):
    """Settings of the Shapley model."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    game: Literal["conversions", "rate"] = Field(
        default="conversions",
        title="博弈 / Game",
        description=(
            "conversions: a set of channels is worth the conversions of the paths that use no other channel. "
            "rate: it is worth the conversion rate of these paths, so that null paths count (up to 24 channels)."
        ),
    )


class Shapley:
    """Credit the Shapley value, computed exactly from the sets of channels that paths use.

    The game of conversions is a sum of one game per path, so its value is each conversion shared equally among the
    distinct channels of its path, with any number of channels (K. Zhao, S. H. Mahboobi, S. R. Bagheri: Shapley value
    methods for attribution modeling in online advertising, 2018). The game of rates takes all coalitions; its values
    sum to the overall rate and are scaled by the number of paths. There a channel that lowers the rate gets a negative
    credit.
    """

    manifest = Manifest(
        name="shapley",
        kind=Kind.ATTRIBUTION_MODEL,
        version="1.0",
        title=Title("Shapley 值", "Shapley value"),
        description=Title(
            "按合作博弈中各渠道的平均边际贡献分配,精确计算而非抽样。",
            "Shares by each channel's mean marginal contribution over all coalitions, computed exactly.",
        ),
        settings=ShapleySettings,
        quality=Quality(
            {
                "definition_in_the_docstring": "done",
                "equals_an_independent_recomputation": "done",
                "tried_on_real_data": "done",
                "readme_zh_en": "exempt: one file, described in its docstring",
            }
        ),
    )

    def credit(self, paths: Paths, settings: ShapleySettings) -> Credits:
        """Share the conversions of ``paths``; game ``rate`` also gives ``detail["marginal_rate"]``."""
        statistics = paths.statistics
        if settings.game == "conversions":
            conversions, value = statistics.shared()
            return Credits(conversions, value, {})
        sets = statistics.sets()
        rate, worth = rate_game(sets, statistics.channels)
        total = float(sets.columns[1].sum())
        return Credits(rate * total, worth * total, {"marginal_rate": rate})


@hookimpl
def fairlead_register_attribution_models(register: Callable[[AttributionModel], None]) -> None:
    register(Shapley())
