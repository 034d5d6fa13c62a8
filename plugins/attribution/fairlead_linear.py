"""Linear: every touch of a path gets the same part of its conversion."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fairlead.insights.paths import Paths
from fairlead.plugins import Kind, Manifest, NoSettings, Quality, Title, hookimpl
from fairlead.plugins.contracts.attribution import AttributionModel, Credits


class Linear:
    """Credit all touches alike; a channel touched twice gets two parts."""

    manifest = Manifest(
        name="linear",
        kind=Kind.ATTRIBUTION_MODEL,
        version="1.0",
        title=Title("线性归因", "Linear"),
        description=Title("路径中每个触点平均分配转化。", "Every touch of a path gets the same part."),
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
        conversions, value = paths.statistics.by_position(np.ones)
        return Credits(conversions, value, {})


@hookimpl
def fairlead_register_attribution_models(register: Callable[[AttributionModel], None]) -> None:
    register(Linear())
