"""Root fields about the caller and clients."""

from __future__ import annotations

from typing import Annotated

import sqlalchemy as sa
import strawberry

from fairlead.clients.model import Client as ClientRow
from fairlead.errors import NotFound
from fairlead_graphql.arguments import After, Before, First, Last
from fairlead_graphql.clients.loaders import CLIENT
from fairlead_graphql.clients.types import Client, Viewer, ViewerClient
from fairlead_graphql.listing import Connection, page_of, read_one, read_page
from fairlead_graphql.paging import MOST
from fairlead_graphql.policy import MEMBER, PUBLIC, agency_field
from fairlead_graphql.selection import selection_of

Slug = Annotated[str, strawberry.argument(description="Slug of the client.")]


@strawberry.type
class ClientsQuery:
    """Mixed into ``Query``."""

    @agency_field(PUBLIC, description="`ok` when the API answers; the one field a stranger may ask for.")
    def health(self, info: strawberry.Info) -> str:
        return "ok"

    @agency_field(MEMBER, description="Who asks, and what they may do.")
    def viewer(self, info: strawberry.Info) -> Viewer:
        member = info.context.member
        work = info.context.agency_work()
        narrowed = member.only_clients is not None
        own = [number for number in (member.only_clients or member.at) if member.sees(number)]
        rows = work.session.execute(
            sa.select(ClientRow.id, ClientRow.slug, ClientRow.name)
            .where(ClientRow.id.in_(own))
            .order_by(ClientRow.slug)
            .limit(MOST)
        )
        return Viewer(
            name=member.name,
            permissions=[] if narrowed else sorted(member.everywhere),
            clients=[
                ViewerClient(
                    slug=slug, name=name, permissions=sorted(member.at.get(number, frozenset()) | member.everywhere)
                )
                for number, slug, name in rows
            ],
            is_agency_wide=member.only_clients is None and bool(member.everywhere),
        )

    @agency_field(MEMBER, description="One client by slug; null when it does not exist for the caller.")
    def client(self, info: strawberry.Info, slug: Slug) -> Client | None:
        try:
            found = info.context.client(slug, "client:read")
        except NotFound:
            return None
        query = sa.select(ClientRow).where(ClientRow.id == found.id)
        return read_one(info.context.work(found.id), CLIENT, query, selection_of(info))

    @agency_field(MEMBER, description="The clients the caller may see, by slug, those in use unless asked otherwise.")
    def clients(
        self,
        info: strawberry.Info,
        archived: Annotated[bool, strawberry.argument(description="True for archived ones instead.")] = False,
        first: First = strawberry.UNSET,
        after: After = strawberry.UNSET,
        last: Last = strawberry.UNSET,
        before: Before = strawberry.UNSET,
    ) -> Connection[Client]:
        member = info.context.member
        state = "archived" if archived else "active"
        query = sa.select(ClientRow).where(ClientRow.agency_id == member.agency_id, ClientRow.state == state)
        if not member.may("client:read"):
            seen = [number for number in member.at if member.may("client:read", number)]
            if "client:read" in member.everywhere:
                seen += list(member.only_clients or ())
            query = query.where(ClientRow.id.in_(seen))
        page = page_of(first, after, last, before)
        return read_page(info.context.agency_work(), CLIENT, query, ClientRow.slug, page, selection_of(info))
