"""How templates and messages are read, in sets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from fairlead.clients.service import get_client
from fairlead.customers.identifiers import mask_name
from fairlead.customers.model import Profile
from fairlead.errors import NotFound
from fairlead.journeys.model import Enrolment
from fairlead.messaging.model import Message, MessageHistory, MessageReceipt, Template
from fairlead.messaging.personal import person_values
from fairlead.messaging.policy import Policy
from fairlead.messaging.service import count_by_state
from fairlead.messaging.templates import render
from fairlead.work import Work
from fairlead_graphql.customers.loaders import PROFILE
from fairlead_graphql.customers.types import Profile as ProfileType
from fairlead_graphql.ids import to_global
from fairlead_graphql.listing import Children, Column, Connection, Page, Plan, read_by, read_page
from fairlead_graphql.messaging import types
from fairlead_graphql.nesting import read_under
from fairlead_graphql.nodes import node_type
from fairlead_graphql.selection import Selection

MOST_NESTED = 100

TEMPLATE = Plan(
    types.Template,
    Template.id,
    {
        "name": Column((Template.name,)),
        "number": Column((Template.number,)),
        "subject": Column((Template.subject,)),
        "text": Column((Template.text,)),
        "html": Column((Template.html,)),
        "createdAt": Column((Template.created_at,)),
    },
)


def newest() -> sa.ColumnElement[bool]:
    """The condition that holds for the version of each template that is in use."""
    other = aliased(Template)
    later = sa.select(other.id).where(other.name == Template.name, other.number > Template.number)
    return ~sa.exists(later.correlate(Template))


def preview(work: Work, template: Template, profile_id: int) -> types.TemplatePreview:
    """The template as this person would read it, with nothing in it that identifies them or acts for them."""
    active = sa.select(Profile.id).where(Profile.id == profile_id, Profile.state == "active")
    if work.session.scalar(active) is None:
        raise NotFound("there is no such profile", path=("profileId",))
    values = dict(person_values(work, {profile_id})[profile_id])
    name = values["profile"]["name"]
    values["profile"] = {**values["profile"], "name": mask_name(name) if name else ""}
    client = get_client(work.session, work.client_id)
    found = render(
        template,
        {
            **values,
            # A real link would withdraw the person's consent when somebody who looks at the preview follows it.
            "unsubscribe_url": f"{work.public_url}/u/preview",
            "client": {"name": client.name, "slug": client.slug},
        },
    )
    return types.TemplatePreview(subject=found.subject, text=found.text, html=found.html)


# -- messages -------------------------------------------------------------------------------------------------------


def _latest(entity: Any, key: Any, messages: Sequence[int]) -> sa.Subquery:
    place = sa.func.row_number().over(partition_by=entity.message_id, order_by=key.desc()).label("place")
    return sa.select(entity, place).where(entity.message_id.in_(messages)).subquery()


def history_by_message(
    work: Work, messages: Sequence[int], _selection: Selection
) -> dict[int, list[types.MessageChange]]:
    """The latest changes of state per message, in order."""
    ranked = _latest(MessageHistory, MessageHistory.number, messages)
    rows = work.session.execute(
        sa.select(ranked.c.message_id, ranked.c.number, ranked.c.state, ranked.c.reason, ranked.c.at)
        .where(ranked.c.place <= MOST_NESTED)
        .order_by(ranked.c.message_id, ranked.c.number)
    )
    found: dict[int, list[types.MessageChange]] = {}
    for message, number, state, reason, at in rows:
        change = types.MessageChange(number=number, state=types.MessageState(state), reason=reason, at=at)
        found.setdefault(message, []).append(change)
    return found


def receipts_by_message(
    work: Work, messages: Sequence[int], _selection: Selection
) -> dict[int, list[types.MessageReceipt]]:
    """The latest receipts per message, in order."""
    ranked = _latest(MessageReceipt, MessageReceipt.at, messages)
    rows = work.session.execute(
        sa.select(ranked.c.message_id, ranked.c.state, ranked.c.at, ranked.c.detail)
        .where(ranked.c.place <= MOST_NESTED)
        .order_by(ranked.c.message_id, ranked.c.at, ranked.c.id)
    )
    found: dict[int, list[types.MessageReceipt]] = {}
    for message, state, at, detail in rows:
        found.setdefault(message, []).append(types.MessageReceipt(state=state, at=at, detail=detail))
    return found


def _template_by_message(work: Work, messages: Sequence[int], selection: Selection) -> dict[int, types.Template]:
    query = sa.select(Template).join(Message, Message.template_id == Template.id).where(Message.id.in_(messages))
    return {number: found[0] for number, found in read_by(work, TEMPLATE, query, Message.id, selection).items()}


def profiles_by_message(work: Work, messages: Sequence[int], selection: Selection) -> dict[int, ProfileType]:
    """The person of each message; those who were erased are left out."""
    query = (
        sa.select(Profile)
        .join(Message, sa.and_(Message.client_id == Profile.client_id, Message.profile_id == Profile.id))
        .where(Message.id.in_(messages), Profile.state != "erased")
    )
    return {number: found[0] for number, found in read_by(work, PROFILE, query, Message.id, selection).items()}


def _enrolment_id(_work: Work, number: int | None) -> Any:
    return None if number is None else to_global("Enrolment", number)


MESSAGE = Plan(
    types.Message,
    Message.id,
    {
        "channel": Column((Message.channel,)),
        "accountId": Column((Message.account_id,), lambda _work, number: to_global("ChannelAccount", number)),
        "purpose": Column((Message.purpose,)),
        "state": Column((Message.state,), lambda _work, state: types.MessageState(state)),
        "reason": Column((Message.reason,)),
        "dueAt": Column((Message.due_at,)),
        "attempts": Column((Message.attempts,)),
        "createdAt": Column((Message.created_at,)),
        "sentAt": Column((Message.sent_at,)),
        "enrolmentId": Column((Message.enrolment_id,), _enrolment_id),
        "nodeId": Column((Message.node,)),
    },
    {
        "template": Children(_template_by_message, lambda: None),
        "history": Children(history_by_message),
        "receipts": Children(receipts_by_message),
    },
    {"clientId": Message.client_id},
)


def read_messages(
    work: Work,
    page: Page,
    selection: Selection,
    *,
    state: str | None = None,
    channel: str | None = None,
    profile_id: int | None = None,
    journey_id: int | None = None,
) -> Connection[types.Message]:
    """A page of messages, the newest first."""
    query = sa.select(Message)
    for column, value in ((Message.state, state), (Message.channel, channel), (Message.profile_id, profile_id)):
        if value is not None:
            query = query.where(column == value)
    if journey_id is not None:
        # As a condition and not a join, so that the criteria of the client stay simple for the planner.
        query = query.where(Message.enrolment_id.in_(sa.select(Enrolment.id).where(Enrolment.journey_id == journey_id)))
    return read_page(work, MESSAGE, query, Message.id, page, selection, descending=True)


def messages_by_profile(
    work: Work, profiles: Sequence[int], page: Page, selection: Selection
) -> dict[int, Connection[types.Message]]:
    """A page of messages per profile, the newest first."""
    query, parent, key = sa.select(Message), Message.profile_id, Message.id
    return read_under(work, MESSAGE, query, parent, profiles, key, page, selection, descending=True)


def message_counts(work: Work, journey_id: int | None) -> list[types.MessageCount]:
    """Messages by channel, state and reason."""
    return [
        types.MessageCount(channel=channel, state=types.MessageState(state), reason=reason, count=count)
        for channel, state, reason, count in count_by_state(work, journey_id)
    ]


def shown_policy(policy: Policy) -> types.MessagingPolicy:
    """A policy as the API shows it."""
    return types.MessagingPolicy(
        quiet_from=policy.quiet_from,
        quiet_until=policy.quiet_until,
        caps=[
            types.MessageCap(per=types.CapPeriod(cap.per), limit=cap.limit, purpose=cap.purpose, channel=cap.channel)
            for cap in policy.caps
        ],
    )


node_type(TEMPLATE, "messages:read")
node_type(MESSAGE, "messages:read")
