"""Fields of ``Profile`` about journeys."""

from __future__ import annotations

import strawberry

from fairlead_graphql.arguments import After, First
from fairlead_graphql.journeys.types import Enrolment
from fairlead_graphql.listing import Connection, batched, empty_connection, page_of
from fairlead_graphql.policy import client_field
from fairlead_graphql.selection import selection_of


@strawberry.type
class JourneysOfProfile:
    """Mixed into ``Profile``."""

    client_id: strawberry.Private[int]

    @client_field("journeys:read", on="Profile", description="Journeys the person is or was in, the newest first.")
    def enrolments(
        self, info: strawberry.Info, first: First = strawberry.UNSET, after: After = strawberry.UNSET
    ) -> Connection[Enrolment]:
        from fairlead_graphql.journeys import loaders

        page, selection = page_of(first, after), selection_of(info)
        work = info.context.work(self.client_id)
        return batched(
            self,
            ("enrolments", first, after, id(selection)),
            lambda numbers: loaders.enrolments_by_profile(work, numbers, page, selection),
            empty_connection,
        )
