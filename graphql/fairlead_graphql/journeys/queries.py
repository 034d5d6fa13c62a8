"""Fields of ``Client`` about journeys."""

from __future__ import annotations

from typing import Annotated

import sqlalchemy as sa
import strawberry

from fairlead.journeys.model import Journey as JourneyRow
from fairlead_graphql.arguments import After, Before, First, Last
from fairlead_graphql.door import Cost
from fairlead_graphql.ids import by_id_or_name
from fairlead_graphql.journeys import loaders
from fairlead_graphql.journeys.graph_input import JourneyGraphInput, graph_json
from fairlead_graphql.journeys.types import Journey, JourneyNodeKind, JourneyState
from fairlead_graphql.listing import Connection, page_of, read_one, read_page
from fairlead_graphql.mutation import UserError
from fairlead_graphql.policy import client_field, reached_with
from fairlead_graphql.selection import selection_of


@reached_with("journeys:write")
@strawberry.type(description="What is wrong with a graph.")
class JourneyValidation:
    """A validation."""

    valid: bool = strawberry.field(description="Whether it could be saved and activated now.")
    errors: list[UserError] = strawberry.field(
        description="Every problem; its path leads from graph over nodes and the node's id to the setting."
    )


@strawberry.type
class JourneysOfClient:
    """Mixed into ``Client``."""

    client_id: strawberry.Private[int]

    @client_field(
        "journeys:read",
        description="The kinds of nodes this client can draw with: built-in ones and those of its plugins.",
        directives=[Cost(size=50)],
    )
    def journey_nodes(self, info: strawberry.Info) -> list[JourneyNodeKind]:
        return loaders.node_kinds(info.context.work(self.client_id))

    @client_field("journeys:read", description="Journeys by name.")
    def journeys(
        self,
        info: strawberry.Info,
        state: Annotated[
            JourneyState | None, strawberry.argument(description="Only those in this state.")
        ] = strawberry.UNSET,
        first: First = strawberry.UNSET,
        after: After = strawberry.UNSET,
        last: Last = strawberry.UNSET,
        before: Before = strawberry.UNSET,
    ) -> Connection[Journey]:
        query = sa.select(JourneyRow)
        if isinstance(state, JourneyState):
            query = query.where(JourneyRow.state == state.value)
        page = page_of(first, after, last, before)
        work = info.context.work(self.client_id)
        return read_page(work, loaders.JOURNEY, query, JourneyRow.name, page, selection_of(info))

    @client_field("journeys:read", description="One journey by id or by name; null when there is none.")
    def journey(
        self,
        info: strawberry.Info,
        id: Annotated[strawberry.ID | None, strawberry.argument(description="Its id.")] = strawberry.UNSET,
        name: Annotated[str | None, strawberry.argument(description="Its name.")] = strawberry.UNSET,
    ) -> Journey | None:
        query = sa.select(JourneyRow).where(by_id_or_name(JourneyRow, "Journey", id, name))
        return read_one(info.context.work(self.client_id), loaders.JOURNEY, query, selection_of(info))

    @client_field(
        "journeys:write",
        description="Everything that is wrong with a graph, without saving it.",
        directives=[Cost(weight=20)],
    )
    def validate_journey(
        self,
        info: strawberry.Info,
        graph: Annotated[JourneyGraphInput, strawberry.argument(description="The graph as it is drawn so far.")],
    ) -> JourneyValidation:
        errors = loaders.problems(info.context.work(self.client_id), graph_json(graph))
        return JourneyValidation(valid=not errors, errors=errors)
