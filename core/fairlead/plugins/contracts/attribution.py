"""What an attribution model implements: paths in, credit per channel out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from fairlead.plugins.manifest import Manifest

if TYPE_CHECKING:
    from fairlead.insights.paths import Paths

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Credits:
    """Credit per channel code, shape ``(channels,)``.

    ``conversions`` sums to the conversions of the paths and ``value`` to their value, to rounding. ``detail`` holds
    arrays a reader may want beside the credit (removal effects, marginal contributions), shape ``(channels,)`` each.
    """

    conversions: FloatArray
    value: FloatArray
    detail: dict[str, FloatArray]


@runtime_checkable
class AttributionModel(Protocol):
    """Stateless; ``settings`` is an instance of the manifest's settings model."""

    manifest: Manifest

    def credit(self, paths: Paths, settings: Any) -> Credits:
        """Share the conversions of ``paths`` among its channels."""
        ...
