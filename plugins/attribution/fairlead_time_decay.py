"""Time decay: a touch weighs half as much for every half-life that lies between it and the conversion."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from fairlead.insights.paths import Paths
from fairlead.plugins import Kind, Manifest, Quality, Title, hookimpl
from fairlead.plugins.contracts.attribution import AttributionModel, Credits, FloatArray

DAY_MS = 86_400_000


class TimeDecaySettings(BaseModel):
    """Settings of the time decay model."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    half_life: float = Field(
        default=7.0,
        gt=0,
        le=36_500,
        title="半衰期 / Half-life",
        description="After this long, a touch weighs half as much.",
    )
    unit: Literal["days", "touches"] = Field(
        default="days",
        title="单位 / Unit",
        description="Count real days (86,400 s), or the touches between a touch and the last one.",
    )


class TimeDecay:
    """Credit ``2 ** (-age / half_life)``, in proportion within each path."""

    manifest = Manifest(
        name="time_decay",
        kind=Kind.ATTRIBUTION_MODEL,
        version="1.0",
        title=Title("时间衰减", "Time decay"),
        description=Title(
            "越接近转化的触点权重越高,每过一个半衰期权重减半。",
            "The nearer a touch is to the conversion, the more it gets; its weight halves with every half-life.",
        ),
        settings=TimeDecaySettings,
        quality=Quality(
            {
                "definition_in_the_docstring": "done",
                "equals_an_independent_recomputation": "done",
                "tried_on_real_data": "done",
                "readme_zh_en": "exempt: one file, described in its docstring",
            }
        ),
    )

    def credit(self, paths: Paths, settings: TimeDecaySettings) -> Credits:
        """Share the conversions of ``paths``; unit ``days`` needs paths with times and raises InvalidInput without."""
        if settings.unit == "days":
            conversions, value = paths.statistics.decayed(settings.half_life * DAY_MS)
        else:

            def weights(length: int) -> FloatArray:
                return np.exp2(np.arange(1 - length, 1) / settings.half_life)

            conversions, value = paths.statistics.by_position(weights)
        return Credits(conversions, value, {})


@hookimpl
def fairlead_register_attribution_models(register: Callable[[AttributionModel], None]) -> None:
    register(TimeDecay())
