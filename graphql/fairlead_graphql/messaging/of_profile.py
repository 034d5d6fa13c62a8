"""Fields of ``Profile`` about messages."""

from __future__ import annotations

import strawberry

from fairlead_graphql.arguments import After, First
from fairlead_graphql.listing import Connection, batched, empty_connection, page_of
from fairlead_graphql.messaging.types import Message
from fairlead_graphql.policy import client_field
from fairlead_graphql.selection import selection_of


@strawberry.type
class MessagingOfProfile:
    """Mixed into ``Profile``."""

    client_id: strawberry.Private[int]

    @client_field("messages:read", on="Profile", description="Messages to the person, the newest first.")
    def messages(
        self, info: strawberry.Info, first: First = strawberry.UNSET, after: After = strawberry.UNSET
    ) -> Connection[Message]:
        from fairlead_graphql.messaging import loaders

        page, selection = page_of(first, after), selection_of(info)
        work = info.context.work(self.client_id)
        return batched(
            self,
            ("messages", first, after, id(selection)),
            lambda numbers: loaders.messages_by_profile(work, numbers, page, selection),
            empty_connection,
        )
