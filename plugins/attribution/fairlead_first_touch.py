"""First touch: the whole conversion goes to the channel that opened the path."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fairlead.insights.paths import Paths
from fairlead.plugins import Kind, Manifest, NoSettings, Quality, Title, hookimpl
from fairlead.plugins.contracts.attribution import AttributionModel, Credits, FloatArray


def first_position(length: int) -> FloatArray:
    """Weigh the first of ``length`` touches alone."""
    weights = np.zeros(length)
    weights[0] = 1.0
    return weights


class FirstTouch:
    """Credit the first touch."""

    manifest = Manifest(
        name="first_touch",
        kind=Kind.ATTRIBUTION_MODEL,
        version="1.0",
        title=Title("首次触点", "First touch"),
        description=Title(
            "转化全部归于路径中的第一个渠道。", "The first channel of a path gets all of its conversion."
        ),
        settings=NoSettings,
        quality=Quality(
            {
                "definition_in_the_docstring": "done",
                "equals_an_independent_recomputation": "done",
                "tried_on_real_data": "done",
                "readme_zh_en": "exempt: one file, described in its docstring",
            }
        ),
    )

    def credit(self, paths: Paths, settings: NoSettings) -> Credits:
        """Share the conversions of ``paths``."""
        conversions, value = paths.statistics.by_position(first_position)
        return Credits(conversions, value, {})


@hookimpl
def fairlead_register_attribution_models(register: Callable[[AttributionModel], None]) -> None:
    register(FirstTouch())
