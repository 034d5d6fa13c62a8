"""What a scoring scheme implements: facts about profiles in, a number per profile out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from fairlead.plugins.manifest import Manifest

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Feature:
    """One number a scheme needs per profile: how often the event ``event`` was seen, or an attribute.

    ``kind`` is ``event`` (count of that event type) or ``attribute`` (1.0 when present and true, or its number).
    ``within_days`` limits an event to a window that ends now; ``None`` means ever.
    """

    name: str
    kind: str
    key: str
    within_days: int | None = None


@dataclass(frozen=True, slots=True)
class Scores:
    """``value`` per profile, shape ``(profiles,)``, and its parts by name, same shape, for the explanation."""

    value: FloatArray
    parts: Mapping[str, FloatArray]


@runtime_checkable
class ScoringScheme(Protocol):
    """Stateless; ``settings`` is an instance of the manifest's settings model."""

    manifest: Manifest

    def features(self, settings: Any) -> tuple[Feature, ...]:
        """The numbers :meth:`score` wants, one column each."""
        ...

    def score(self, columns: Mapping[str, FloatArray], settings: Any) -> Scores:
        """Score all profiles at once. ``columns[feature.name]`` has shape ``(profiles,)``."""
        ...
