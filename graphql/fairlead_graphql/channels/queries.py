"""Fields of ``Client`` about its channel accounts."""

from __future__ import annotations

from typing import Annotated

import sqlalchemy as sa
import strawberry

from fairlead.channels.model import ChannelAccount as AccountRow
from fairlead_graphql.arguments import After, Before, First, Last
from fairlead_graphql.channels import loaders
from fairlead_graphql.channels.types import ChannelAccount
from fairlead_graphql.ids import from_global
from fairlead_graphql.listing import Connection, page_of, read_page
from fairlead_graphql.mutation import or_none
from fairlead_graphql.policy import client_field
from fairlead_graphql.selection import selection_of

OfChannel = Annotated[str | None, strawberry.argument(description="Only accounts of this channel.")]
InState = Annotated[str | None, strawberry.argument(description="Only accounts in this state.")]
AccountId = Annotated[strawberry.ID, strawberry.argument(description="Global id of the account.")]


@strawberry.type
class ChannelsOfClient:
    """Mixed into ``Client``."""

    client_id: strawberry.Private[int]

    @client_field("channels:read", description="Accounts on platforms, the oldest first, disconnected ones too.")
    def channel_accounts(
        self,
        info: strawberry.Info,
        channel: OfChannel = strawberry.UNSET,
        state: InState = strawberry.UNSET,
        first: First = strawberry.UNSET,
        after: After = strawberry.UNSET,
        last: Last = strawberry.UNSET,
        before: Before = strawberry.UNSET,
    ) -> Connection[ChannelAccount]:
        query = sa.select(AccountRow)
        if or_none(channel) is not None:
            query = query.where(AccountRow.channel == channel)
        if or_none(state) is not None:
            query = query.where(AccountRow.state == state)
        page, work = page_of(first, after, last, before), info.context.work(self.client_id)
        return read_page(work, loaders.ACCOUNT, query, AccountRow.id, page, selection_of(info))

    @client_field("channels:read", description="One account by id; null when there is none.")
    def channel_account(self, info: strawberry.Info, id: AccountId) -> ChannelAccount | None:
        work = info.context.work(self.client_id)
        return loaders.read_account(work, from_global("ChannelAccount", id), selection_of(info))
