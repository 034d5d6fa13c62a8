"""Fields of ``Client`` about templates and messages."""

from __future__ import annotations

from typing import Annotated

import sqlalchemy as sa
import strawberry

from fairlead.errors import NotFound
from fairlead.messaging.model import Template as TemplateRow
from fairlead.messaging.policy import get_policy
from fairlead_graphql.arguments import After, Before, First, Last
from fairlead_graphql.door import Cost
from fairlead_graphql.ids import by_id_or_name, from_global
from fairlead_graphql.listing import Connection, page_of, read_one, read_page
from fairlead_graphql.messaging import loaders
from fairlead_graphql.messaging.types import (
    Message,
    MessageCount,
    MessageState,
    MessagingPolicy,
    Template,
    TemplatePreview,
)
from fairlead_graphql.mutation import or_none
from fairlead_graphql.policy import client_field
from fairlead_graphql.selection import selection_of

OneJourney = Annotated[strawberry.ID | None, strawberry.argument(description="Only those of this journey.")]


@strawberry.type
class MessagingOfClient:
    """Mixed into ``Client``."""

    client_id: strawberry.Private[int]

    @client_field("messages:read", description="Templates by name, each in its newest version.")
    def templates(
        self,
        info: strawberry.Info,
        first: First = strawberry.UNSET,
        after: After = strawberry.UNSET,
        last: Last = strawberry.UNSET,
        before: Before = strawberry.UNSET,
    ) -> Connection[Template]:
        query = sa.select(TemplateRow).where(loaders.newest())
        page = page_of(first, after, last, before)
        work = info.context.work(self.client_id)
        return read_page(work, loaders.TEMPLATE, query, TemplateRow.name, page, selection_of(info))

    @client_field("messages:read", description="One version of a template by its id, or the newest by name; or null.")
    def template(
        self,
        info: strawberry.Info,
        id: Annotated[strawberry.ID | None, strawberry.argument(description="Id of the version.")] = strawberry.UNSET,
        name: Annotated[str | None, strawberry.argument(description="Name of the template.")] = strawberry.UNSET,
    ) -> Template | None:
        query = sa.select(TemplateRow).where(by_id_or_name(TemplateRow, "Template", id, name))
        if or_none(name) is not None:
            query = query.where(loaders.newest())
        return read_one(info.context.work(self.client_id), loaders.TEMPLATE, query, selection_of(info))

    @client_field(
        "profiles:read",
        description="A template as somebody would read it. The name is masked whoever asks: only `revealProfile` shows"
        " it, and leaves a trace.",
        directives=[Cost(weight=10)],
    )
    def preview_template(
        self,
        info: strawberry.Info,
        template_id: Annotated[strawberry.ID, strawberry.argument(description="The version of the template.")],
        profile_id: Annotated[strawberry.ID, strawberry.argument(description="The person.")],
    ) -> TemplatePreview:
        info.context.require("messages:read", self.client_id)
        work = info.context.work(self.client_id)
        template = work.session.get(TemplateRow, from_global("Template", template_id, path=("templateId",)))
        if template is None:
            raise NotFound("there is no such template", path=("templateId",))
        return loaders.preview(work, template, from_global("Profile", profile_id, path=("profileId",)))

    @client_field("messages:read", description="Messages, the newest first.")
    def messages(
        self,
        info: strawberry.Info,
        state: Annotated[
            MessageState | None, strawberry.argument(description="Only those in this state.")
        ] = strawberry.UNSET,
        channel: Annotated[str | None, strawberry.argument(description="Only this channel's.")] = strawberry.UNSET,
        profile_id: Annotated[
            strawberry.ID | None, strawberry.argument(description="Only those to this person; needs profiles:read.")
        ] = strawberry.UNSET,
        journey_id: OneJourney = strawberry.UNSET,
        first: First = strawberry.UNSET,
        after: After = strawberry.UNSET,
        last: Last = strawberry.UNSET,
        before: Before = strawberry.UNSET,
    ) -> Connection[Message]:
        profile, journey, chosen = or_none(profile_id), or_none(journey_id), or_none(state)
        if profile is not None:
            # Who got which message is personal, so it may not be found out by filtering either.
            info.context.require("profiles:read", self.client_id)
        return loaders.read_messages(
            info.context.work(self.client_id),
            page_of(first, after, last, before),
            selection_of(info),
            state=None if chosen is None else chosen.value,
            channel=or_none(channel),
            profile_id=None if profile is None else from_global("Profile", profile, path=("profileId",)),
            journey_id=None if journey is None else from_global("Journey", journey, path=("journeyId",)),
        )

    @client_field(
        "messages:read",
        description="How many messages there are by channel, state and reason.",
        directives=[Cost(weight=10, size=50)],
    )
    def message_counts(self, info: strawberry.Info, journey_id: OneJourney = strawberry.UNSET) -> list[MessageCount]:
        journey = or_none(journey_id)
        number = None if journey is None else from_global("Journey", journey, path=("journeyId",))
        return loaders.message_counts(info.context.work(self.client_id), number)

    @client_field("messages:read", description="What every message is held to just before it leaves.")
    def messaging_policy(self, info: strawberry.Info) -> MessagingPolicy:
        return loaders.shown_policy(get_policy(info.context.work(self.client_id)))
