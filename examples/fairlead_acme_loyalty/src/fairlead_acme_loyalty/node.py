"""The journey node that branches by points."""

from __future__ import annotations

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from fairlead.plugins import Kind, Manifest, Title
from fairlead.plugins.contracts.journey_node import NodeBatch, NodeOutcome
from fairlead_acme_loyalty.points import balances


class Settings(BaseModel):
    """How many points are enough."""

    model_config = ConfigDict(extra="forbid")

    points: int = Field(100, ge=1, description="Points a person needs to go the way 'enough'")


class EnoughPoints:
    """One statement for the whole batch."""

    manifest = Manifest(
        name="acme_enough_points",
        kind=Kind.JOURNEY_NODE,
        version="0.1.0",
        title=Title("积分足够", "Enough points"),
        description=Title("按会员积分分流", "Branches by the member's points"),
        settings=Settings,
    )

    def outlets(self, settings: Settings) -> tuple[str, ...]:
        """The ways out."""
        return ("enough", "short")

    def run(self, batch: NodeBatch, settings: Settings) -> NodeOutcome:
        """People without a balance have no points."""
        known = balances(batch.session, batch.client_id, batch.profile_ids.tolist())
        points = np.array([known.get(int(profile_id), 0) for profile_id in batch.profile_ids], dtype=np.int64)
        return NodeOutcome(np.where(points >= settings.points, 0, 1).astype(np.int64))
