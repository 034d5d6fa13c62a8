"""Fields of ``Client`` about attribution."""

from __future__ import annotations

from typing import Annotated

import strawberry

from fairlead_graphql.arguments import After, Before, First, Last
from fairlead_graphql.door import Cost
from fairlead_graphql.insights import loaders
from fairlead_graphql.insights.types import AttributionModel, AttributionRun
from fairlead_graphql.listing import Connection, page_of
from fairlead_graphql.mutation import or_none
from fairlead_graphql.policy import client_field
from fairlead_graphql.selection import selection_of


@strawberry.type
class InsightsOfClient:
    """Mixed into ``Client``."""

    client_id: strawberry.Private[int]

    @client_field(
        "insights:read", description="The attribution models that are on for this client.", directives=[Cost(size=50)]
    )
    def attribution_models(self, info: strawberry.Info) -> list[AttributionModel]:
        return loaders.models(info.context.work(self.client_id))

    @client_field("insights:read", description="Kept answers of attribution models, the newest first.")
    def attribution_runs(
        self,
        info: strawberry.Info,
        model: Annotated[str | None, strawberry.argument(description="Only this model's.")] = strawberry.UNSET,
        first: First = strawberry.UNSET,
        after: After = strawberry.UNSET,
        last: Last = strawberry.UNSET,
        before: Before = strawberry.UNSET,
    ) -> Connection[AttributionRun]:
        work = info.context.work(self.client_id)
        return loaders.read_runs(work, or_none(model), page_of(first, after, last, before), selection_of(info))
