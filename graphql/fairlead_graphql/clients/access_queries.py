"""Fields of ``Client`` about who may do what there."""

from __future__ import annotations

from typing import Annotated

import strawberry

from fairlead_graphql.arguments import After, Before, First, Last
from fairlead_graphql.clients import access_loaders as loaders
from fairlead_graphql.clients.access_types import Member
from fairlead_graphql.ids import from_global
from fairlead_graphql.listing import Connection, page_of, read_one, read_page
from fairlead_graphql.policy import client_field
from fairlead_graphql.selection import selection_of

MemberId = Annotated[strawberry.ID, strawberry.argument(description="Global id of the member.")]


@strawberry.type
class MembersOfClient:
    """Mixed into ``Client``."""

    client_id: strawberry.Private[int]

    @client_field("members:read", description="Members with a role here or at the agency, the oldest first.")
    def members(
        self,
        info: strawberry.Info,
        first: First = strawberry.UNSET,
        after: After = strawberry.UNSET,
        last: Last = strawberry.UNSET,
        before: Before = strawberry.UNSET,
    ) -> Connection[Member]:
        plan = loaders.member_plan(self.client_id)
        query = loaders.members_query(info.context.member.agency_id, self.client_id)
        page = page_of(first, after, last, before)
        return read_page(info.context.agency_work(), plan, query, plan.id_column, page, selection_of(info))

    @client_field("members:read", description="One member with a role here or at the agency; null when there is none.")
    def member(self, info: strawberry.Info, id: MemberId) -> Member | None:
        plan = loaders.member_plan(self.client_id)
        query = loaders.members_query(info.context.member.agency_id, self.client_id)
        query = query.where(plan.id_column == from_global("Member", id))
        found: Member | None = read_one(info.context.agency_work(), plan, query, selection_of(info))
        return found
