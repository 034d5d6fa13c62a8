"""Position: fixed parts for the first, the middle and the last touch, the rest for the others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from fairlead.insights.paths import Paths
from fairlead.plugins import Kind, Manifest, Quality, Title, hookimpl
from fairlead.plugins.contracts.attribution import AttributionModel, Credits, FloatArray

# First, middle, last, all others together.
Parts = tuple[float, float, float, float]

SHAPES: dict[str, Parts] = {"u": (0.4, 0.0, 0.4, 0.2), "w": (0.3, 0.3, 0.3, 0.1)}


class PositionSettings(BaseModel):
    """Settings of the position model. The four parts count only with the shape ``custom``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    shape: Literal["u", "w", "custom"] = Field(
        default="u",
        title="形状 / Shape",
        description="u: 40/20/40. w: 30/30/30 for first, middle and last, 10 for the others. custom: the parts below.",
    )
    first: float = Field(default=0.4, ge=0, le=1, title="首次 / First", description="Part of the first touch.")
    middle: float = Field(
        default=0.0,
        ge=0,
        le=1,
        title="中间 / Middle",
        description="Part of the middle touch; 0: it is one of the others.",
    )
    last: float = Field(default=0.4, ge=0, le=1, title="末次 / Last", description="Part of the last touch.")
    others: float = Field(
        default=0.2, ge=0, le=1, title="其余 / Others", description="Part that all other touches share equally."
    )

    @model_validator(mode="after")
    def _some_part(self) -> Self:
        if self.shape == "custom" and self.first + self.middle + self.last + self.others <= 0:
            raise ValueError("give at least one part more than 0")
        return self

    @property
    def parts(self) -> Parts:
        """First, middle, last, others."""
        return SHAPES.get(self.shape, (self.first, self.middle, self.last, self.others))


def position_weights(length: int, parts: Parts) -> FloatArray:
    """Return the weight of each of ``length`` touches, oldest first.

    The middle touch (the one that made a lead, where nothing better is known) is number ``(length + 1) // 2`` of
    paths of three touches and more: the exact middle, or the earlier of the two nearest to it. Parts that no touch of a
    short path holds are spread over the others in proportion: one touch gets all; two touches get first and last; three
    touches of a W share by 30:30:30.
    """
    first, middle, last, others = parts
    weights = np.zeros(length)
    held = {0, length - 1}
    weights[0] += first
    weights[-1] += last
    if length >= 3 and middle > 0:
        weights[(length - 1) // 2] = middle
        held.add((length - 1) // 2)
    rest = [place for place in range(length) if place not in held]
    if rest:
        weights[rest] = others / len(rest)
    return weights


class Position:
    """Credit by place in the path."""

    manifest = Manifest(
        name="position",
        kind=Kind.ATTRIBUTION_MODEL,
        version="1.0",
        title=Title("位置归因", "Position based"),
        description=Title(
            "首次、中间与末次触点各得固定比例(U 型、W 型或自定义),其余触点平分剩余部分。",
            "First, middle and last touch get fixed parts (U, W or your own); the other touches share the rest.",
        ),
        settings=PositionSettings,
        quality=Quality(
            {
                "definition_in_the_docstring": "done",
                "equals_an_independent_recomputation": "done",
                "tried_on_real_data": "done",
                "readme_zh_en": "exempt: one file, described in its docstring",
            }
        ),
    )

    def credit(self, paths: Paths, settings: PositionSettings) -> Credits:
        """Share the conversions of ``paths``."""
        conversions, value = paths.statistics.by_position(lambda length: position_weights(length, settings.parts))
        return Credits(conversions, value, {})


@hookimpl
def fairlead_register_attribution_models(register: Callable[[AttributionModel], None]) -> None:
    register(Position())
