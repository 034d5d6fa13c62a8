"""Fields of ``Client`` about its customers."""

from __future__ import annotations

from typing import Annotated

import sqlalchemy as sa
import strawberry

from fairlead.customers.identifiers import normalise
from fairlead.customers.model import Identity as IdentityRow
from fairlead.customers.model import Profile as ProfileRow
from fairlead.customers.model import ProfileMerge as MergeRow
from fairlead.errors import InvalidInput
from fairlead_graphql.arguments import After, Before, First, Last
from fairlead_graphql.customers import loaders
from fairlead_graphql.customers.types import Order, Profile, ProfileMerge
from fairlead_graphql.ids import from_global
from fairlead_graphql.listing import Connection, page_of, read_one, read_page
from fairlead_graphql.policy import client_field
from fairlead_graphql.selection import selection_of


@strawberry.input(description="An identity to find a person by.")
class IdentityInput:
    """Kind and value."""

    kind: str = strawberry.field(description="Such as phone, email or wechat_openid.")
    value: str = strawberry.field(description="The value in any usual spelling.")
    scope: str = strawberry.field(default="", description="The app or shop it is valid in.")


ProfileId = Annotated[strawberry.ID, strawberry.argument(description="Global id of the profile.")]
ByIdentity = Annotated[IdentityInput, strawberry.argument(description="The identity.")]


@strawberry.type
class CustomersOfClient:
    """Mixed into ``Client``."""

    client_id: strawberry.Private[int]

    @client_field("profiles:read", description="Profiles that are active, the oldest first.")
    def profiles(
        self,
        info: strawberry.Info,
        first: First = strawberry.UNSET,
        after: After = strawberry.UNSET,
        last: Last = strawberry.UNSET,
        before: Before = strawberry.UNSET,
    ) -> Connection[Profile]:
        query = sa.select(ProfileRow).where(ProfileRow.state == "active")
        page = page_of(first, after, last, before)
        work = info.context.work(self.client_id)
        return read_page(work, loaders.PROFILE, query, ProfileRow.id, page, selection_of(info))

    @client_field("profiles:read", description="One profile by id; null when there is none.")
    def profile(self, info: strawberry.Info, id: ProfileId) -> Profile | None:
        query = sa.select(ProfileRow).where(ProfileRow.id == from_global("Profile", id), ProfileRow.state != "erased")
        return read_one(info.context.work(self.client_id), loaders.PROFILE, query, selection_of(info))

    @client_field(
        "profiles:reveal", description="The profile with an identity. Needs the right to reveal: it confirms a guess."
    )
    def profile_by_identity(self, info: strawberry.Info, identity: ByIdentity) -> Profile | None:
        value = normalise(identity.kind, identity.value)
        if value is None:
            raise InvalidInput(f"this is no {identity.kind}", path=("identity", "value"))
        work = info.context.work(self.client_id)
        blind = work.vault.blind(self.client_id, identity.kind, value)
        query = (
            sa.select(ProfileRow)
            .join(
                IdentityRow,
                sa.and_(IdentityRow.client_id == ProfileRow.client_id, IdentityRow.profile_id == ProfileRow.id),
            )
            .where(
                IdentityRow.kind == identity.kind,
                IdentityRow.scope == identity.scope,
                IdentityRow.blind == blind,
                ProfileRow.state == "active",
            )
        )
        return read_one(work, loaders.PROFILE, query, selection_of(info))

    @client_field(
        "profiles:read", description="Profiles that became one, the newest first; those parted again included."
    )
    def merges(
        self,
        info: strawberry.Info,
        first: First = strawberry.UNSET,
        after: After = strawberry.UNSET,
        last: Last = strawberry.UNSET,
        before: Before = strawberry.UNSET,
    ) -> Connection[ProfileMerge]:
        page, work = page_of(first, after, last, before), info.context.work(self.client_id)
        query = sa.select(MergeRow)
        return read_page(work, loaders.MERGE, query, MergeRow.id, page, selection_of(info), descending=True)

    @client_field("profiles:read", description="All orders, the newest first.")
    def orders(
        self,
        info: strawberry.Info,
        first: First = strawberry.UNSET,
        after: After = strawberry.UNSET,
        last: Last = strawberry.UNSET,
        before: Before = strawberry.UNSET,
    ) -> Connection[Order]:
        work = info.context.work(self.client_id)
        return loaders.read_orders(work, page_of(first, after, last, before), selection_of(info))
