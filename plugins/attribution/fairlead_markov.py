"""Markov chain: a channel is worth the conversions that would be lost without it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from fairlead.insights.markov_solver import removal_effects
from fairlead.insights.path_counts import MAX_ORDER
from fairlead.insights.paths import Paths
from fairlead.plugins import Kind, Manifest, Quality, Title, hookimpl
from fairlead.plugins.contracts.attribution import AttributionModel, Credits, FloatArray


class MarkovSettings(BaseModel):
    """Settings of the Markov model."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    order: int = Field(
        default=1,
        ge=1,
        le=MAX_ORDER,
        title="阶数 / Order",
        description="How many of the last touches decide where a path goes next.",
    )


def share(total: float, effects: FloatArray) -> FloatArray:
    """Share ``total`` in proportion to ``effects``, ``(channels,)``; nothing when there is nothing to share."""
    weight = effects.sum()
    return total * effects / weight if weight > 0 else np.zeros_like(effects)


class Markov:
    """Credit in proportion to removal effects, which are exact; null paths count, as what a channel failed to do."""

    manifest = Manifest(
        name="markov",
        kind=Kind.ATTRIBUTION_MODEL,
        version="1.0",
        title=Title("马尔可夫链", "Markov chain"),
        description=Title(
            "按移除效应分配:去掉某渠道后损失的转化越多,该渠道得到的越多。未转化路径同样计入。",
            "Shares by removal effect: the more conversions would be lost without a channel, the more it gets.",
        ),
        settings=MarkovSettings,
        quality=Quality(
            {
                "definition_in_the_docstring": "done",
                "equals_an_independent_recomputation": "done",
                "tried_on_real_data": "done",
                "readme_zh_en": "exempt: one file, described in its docstring",
            }
        ),
    )

    def credit(self, paths: Paths, settings: MarkovSettings) -> Credits:
        """Share the conversions of ``paths``; ``detail`` has the removal effects, 0 to 1."""
        statistics = paths.statistics
        effects = removal_effects(statistics.transitions(settings.order))
        return Credits(
            share(statistics.conversions, effects.conversions),
            share(statistics.value, effects.value),
            {"removal_effect": effects.conversions, "removal_effect_value": effects.value},
        )


@hookimpl
def fairlead_register_attribution_models(register: Callable[[AttributionModel], None]) -> None:
    register(Markov())
