"""Last touch: the whole conversion goes to the last channel before it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fairlead.insights.paths import Paths
from fairlead.plugins import Kind, Manifest, NoSettings, Quality, Title, hookimpl
from fairlead.plugins.contracts.attribution import AttributionModel, Credits, FloatArray


def last_position(length: int) -> FloatArray:
    """Weigh the last of ``length`` touches alone."""
    weights = np.zeros(length)
    weights[-1] = 1.0
    return weights


class LastTouch:
    """Credit the last touch."""

    manifest = Manifest(
        name="last_touch",
        kind=Kind.ATTRIBUTION_MODEL,
        version="1.0",
        title=Title("末次触点", "Last touch"),
        description=Title("转化全部归于转化前的最后一个渠道。", "The last channel before a conversion gets all of it."),
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
        conversions, value = paths.statistics.by_position(last_position)
        return Credits(conversions, value, {})


@hookimpl
def fairlead_register_attribution_models(register: Callable[[AttributionModel], None]) -> None:
    register(LastTouch())
