"""The agency itself: who works there, what they may do, which plugins are installed."""

from __future__ import annotations

from typing import Annotated

import sqlalchemy as sa
import strawberry

from fairlead.clients.members import list_roles
from fairlead.clients.model import Agency as AgencyRow
from fairlead.clients.model import ApiToken as TokenRow
from fairlead.governance.permissions import PERMISSIONS, ROLES
from fairlead_graphql.arguments import After, Before, First, Last
from fairlead_graphql.clients import access_loaders as loaders
from fairlead_graphql.clients.access_queries import MemberId
from fairlead_graphql.clients.access_types import ApiToken, Member, Role
from fairlead_graphql.governance.queries import AuditOfAgency
from fairlead_graphql.ids import from_global
from fairlead_graphql.listing import Column, Connection, Plan, list_page, page_of, read_all, read_one, read_page
from fairlead_graphql.mutation import or_none
from fairlead_graphql.plugins.queries import PluginsOfAgency
from fairlead_graphql.policy import agency_field, reached_with
from fairlead_graphql.selection import selection_of

OfMember = Annotated[strawberry.ID | None, strawberry.argument(description="Only those of this member.")]
Ended = Annotated[bool, strawberry.argument(description="Whether those that expired or were revoked come too.")]


@reached_with("agency:read")
@strawberry.type(description="The agency that runs this installation, across all its clients.")
class Agency(AuditOfAgency, PluginsOfAgency):
    """The agency."""

    slug: str = strawberry.field(description="Name in commands.")
    name: str = strawberry.field(description="Name for people.")

    @agency_field("members:read", on="Agency", description="Every permission there is, by name.")
    def permissions(self, info: strawberry.Info) -> list[str]:
        return sorted(PERMISSIONS)

    @agency_field("members:read", on="Agency", description="Members, the oldest first.")
    def members(
        self,
        info: strawberry.Info,
        first: First = strawberry.UNSET,
        after: After = strawberry.UNSET,
        last: Last = strawberry.UNSET,
        before: Before = strawberry.UNSET,
    ) -> Connection[Member]:
        plan = loaders.member_plan(None)
        query = loaders.members_query(info.context.member.agency_id, None)
        page = page_of(first, after, last, before)
        return read_page(info.context.agency_work(), plan, query, plan.id_column, page, selection_of(info))

    @agency_field("members:read", on="Agency", description="One member; null when there is none.")
    def member(self, info: strawberry.Info, id: MemberId) -> Member | None:
        plan = loaders.member_plan(None)
        query = loaders.members_query(info.context.member.agency_id, None)
        query = query.where(plan.id_column == from_global("Member", id))
        found: Member | None = read_one(info.context.agency_work(), plan, query, selection_of(info))
        return found

    @agency_field("members:read", on="Agency", description="Roles, built-in and custom, by name.")
    def roles(
        self,
        info: strawberry.Info,
        first: First = strawberry.UNSET,
        after: After = strawberry.UNSET,
        last: Last = strawberry.UNSET,
        before: Before = strawberry.UNSET,
    ) -> Connection[Role]:
        known = list_roles(info.context.agency_work(), info.context.member.agency_id)
        roles = [(name, role(name, known[name])) for name in sorted(known)]
        return list_page(roles, page_of(first, after, last, before), selection_of(info))

    @agency_field(
        "members:read", on="Agency", description="API tokens, the oldest first; those that ended only if asked."
    )
    def tokens(
        self,
        info: strawberry.Info,
        member: OfMember = strawberry.UNSET,
        ended: Ended = False,
        first: First = strawberry.UNSET,
        after: After = strawberry.UNSET,
        last: Last = strawberry.UNSET,
        before: Before = strawberry.UNSET,
    ) -> Connection[ApiToken]:
        work = info.context.agency_work()
        query = loaders.tokens_query(info.context.member.agency_id)
        if (chosen := or_none(member)) is not None:
            query = query.where(TokenRow.member_id == from_global("Member", chosen, path=("member",)))
        if not ended:
            query = query.where(TokenRow.revoked_at.is_(None), TokenRow.expires_at > work.now)
        page = page_of(first, after, last, before)
        return read_page(work, loaders.TOKEN, query, TokenRow.id, page, selection_of(info))


def role(name: str, permissions: frozenset[str]) -> Role:
    """A role as the schema shows it."""
    return Role(name=name, permissions=sorted(permissions), is_built_in=name in ROLES)


AGENCY = Plan(Agency, AgencyRow.id, {"slug": Column((AgencyRow.slug,)), "name": Column((AgencyRow.name,))})


@strawberry.type
class AgencyQuery:
    """Mixed into ``Query``."""

    @agency_field("agency:read", description="The agency itself, across its clients.")
    def agency(self, info: strawberry.Info) -> Agency:
        query = sa.select(AgencyRow).where(AgencyRow.id == info.context.member.agency_id)
        found: list[Agency] = read_all(info.context.agency_work(), AGENCY, query, selection_of(info))
        return found[0]
