"""Changing templates, messages and the policy."""

from __future__ import annotations

from dataclasses import asdict

import sqlalchemy as sa
import strawberry
from pydantic import ValidationError

from fairlead.errors import InvalidInput, Refusals
from fairlead.messaging import content, service
from fairlead.messaging.model import Message as MessageRow
from fairlead.messaging.model import Template as TemplateRow
from fairlead.messaging.policy import Policy, get_policy, set_policy
from fairlead.messaging.templates import save_template as save
from fairlead.work import Work
from fairlead_graphql.audiences.rule_input import rule_json
from fairlead_graphql.background import nudge
from fairlead_graphql.context import Context
from fairlead_graphql.ids import from_global
from fairlead_graphql.inputs import client_slug, errors, idempotency_key, optional
from fairlead_graphql.listing import read_one
from fairlead_graphql.messaging.loaders import MESSAGE, TEMPLATE, shown_policy
from fairlead_graphql.messaging.types import CapPeriod, Message, MessagingPolicy, Template
from fairlead_graphql.mutation import Answer, UserError, client_mutation, done
from fairlead_graphql.policy import reached_with
from fairlead_graphql.rows import rows
from fairlead_graphql.selection import Selection

MOST_CAPS = 50


@strawberry.input(description="A new version of a template; the first one makes the template.")
class SaveTemplateInput:
    """Input of ``saveTemplate``."""

    client: str = client_slug()
    name: str = strawberry.field(description="Name of the template, 1 to 80 characters.")
    subject: str = strawberry.field(default="", description="Subject in Liquid.")
    text: str = strawberry.field(default="", description="Plain text in Liquid; this or html is needed.")
    html: str = strawberry.field(default="", description="HTML in Liquid; values are escaped.")
    idempotency_key: str | None = idempotency_key()


@strawberry.input(description="At most so many messages per person in a rolling period.")
class MessageCapInput:
    """A cap."""

    per: CapPeriod = strawberry.field(description="The period.")
    limit: int = strawberry.field(description="The most messages in it, 1 to 1000.")
    purpose: str | None = optional("Of this purpose; * (the default) for any.")
    channel: str | None = optional("Through this channel; * (the default) for any.")


@strawberry.input(description="The policy that every message is held to from now on. It replaces the one before.")
class SetMessagingPolicyInput:
    """Input of ``setMessagingPolicy``."""

    client: str = client_slug()
    quiet_from: int = strawberry.field(
        description="First minute of the quiet hours, in minutes of the day (0 to 1439) in the person's zone."
    )
    quiet_until: int = strawberry.field(
        description="First minute after the quiet hours; the same as quietFrom for none."
    )
    caps: list[MessageCapInput] = strawberry.field(description="Caps, at most 50; an empty list for none.")
    idempotency_key: str | None = idempotency_key()


@strawberry.input(description="What a person found out about a message whose fate nobody knew.")
class ResolveUnknownMessageInput:
    """Input of ``resolveUnknownMessage``."""

    client: str = client_slug()
    message_id: strawberry.ID = strawberry.field(description="The message; its state is UNKNOWN.")
    was_sent: bool = strawberry.field(description="True when it arrived; false to send it again.")
    idempotency_key: str | None = idempotency_key()


@strawberry.input(description="A message to take back.")
class CancelMessageInput:
    """Input of ``cancelMessage``."""

    client: str = client_slug()
    message_id: strawberry.ID = strawberry.field(description="The message; it has not left yet.")
    idempotency_key: str | None = idempotency_key()


@strawberry.input(description="The account whose failed messages are tried again.")
class RetryMessagesInput:
    """Input of ``retryMessages``."""

    client: str = client_slug()
    account_id: strawberry.ID = strawberry.field(description="The channel account.")
    idempotency_key: str | None = idempotency_key()


@reached_with("messages:write")
@strawberry.type(description="What a content rule asks a person to look at; it did not stop the template.")
class ContentWarning:
    """A finding of a content rule that is no error."""

    rule: str = strawberry.field(description="Name of the content rule.")
    field: str = strawberry.field(description="The part of the template: subject, text or html.")
    start: int = strawberry.field(description="Where it begins in that part's source, in characters.")
    end: int = strawberry.field(description="Where it ends, in characters.")
    severity: str = strawberry.field(description="warning or info.")
    message: str = strawberry.field(description="What is doubtful, for a person.")
    suggestion: str = strawberry.field(description="What would be better; may be empty.")


@reached_with("messages:write")
@strawberry.type(description="Answer of `saveTemplate`.")
class TemplatePayload:
    """Payload with a template."""

    template: Template | None = strawberry.field(description="The new version.")
    warnings: list[ContentWarning] | None = rows(
        content.MOST, "What the client's content rules find doubtful in it, at most 100."
    )
    errors: list[UserError] = errors()


@reached_with("messages:write")
@strawberry.type(description="Answer of `setMessagingPolicy`.")
class MessagingPolicyPayload:
    """Payload with the policy."""

    policy: MessagingPolicy | None = strawberry.field(description="The policy as it is now.")
    errors: list[UserError] = errors()


@reached_with("messages:write")
@strawberry.type(description="Answer of a mutation that changes a message.")
class MessagePayload:
    """Payload with a message."""

    message: Message | None = strawberry.field(description="The message as it is now.")
    errors: list[UserError] = errors()


@reached_with("messages:write")
@strawberry.type(description="Answer of `retryMessages`.")
class RetryMessagesPayload:
    """Payload with a number."""

    queued: int | None = strawberry.field(description="How many messages wait again; call again while it is not 0.")
    errors: list[UserError] = errors()


def _show_template(context: Context, client_id: int | None, answer: Answer, selection: Selection) -> TemplatePayload:
    assert client_id is not None
    query = sa.select(TemplateRow).where(TemplateRow.id == answer["template"])
    found = read_one(context.work(client_id), TEMPLATE, query, selection.below("template"))
    return done(TemplatePayload, template=found, warnings=[ContentWarning(**warning) for warning in answer["warnings"]])


def _show_policy(
    context: Context, client_id: int | None, _answer: Answer, _selection: Selection
) -> MessagingPolicyPayload:
    assert client_id is not None
    policy = shown_policy(get_policy(context.work(client_id)))
    return done(MessagingPolicyPayload, policy=policy)


def _show_message(context: Context, client_id: int | None, answer: Answer, selection: Selection) -> MessagePayload:
    assert client_id is not None
    query = sa.select(MessageRow).where(MessageRow.id == answer["message"])
    found = read_one(context.work(client_id), MESSAGE, query, selection.below("message"))
    return done(MessagePayload, message=found)


def _show_queued(context: Context, client_id: int | None, answer: Answer, selection: Selection) -> MessagePayload:
    assert client_id is not None
    nudge(context, client_id)
    return _show_message(context, client_id, answer, selection)


def _show_retried(
    context: Context, client_id: int | None, answer: Answer, _selection: Selection
) -> RetryMessagesPayload:
    assert client_id is not None
    nudge(context, client_id)
    return done(RetryMessagesPayload, queued=answer["queued"])


@strawberry.type
class MessagingMutation:
    """Mixed into ``Mutation``."""

    @client_mutation(
        "messages:write",
        payload=TemplatePayload,
        present=_show_template,
        description="Save a new version of a template. Messages that are queued already keep theirs. What a content "
        "rule of the client calls an error refuses it.",
    )
    def save_template(work: Work, given: SaveTemplateInput) -> Answer:
        saved = save(work, given.name, subject=given.subject, text=given.text, html=given.html)
        remarks = content.remarks_on(work, {"subject": saved.subject, "text": saved.text, "html": saved.html})
        warnings = [{"rule": one.rule, "field": one.field, **asdict(one.finding)} for one in remarks[: content.MOST]]
        return {"template": saved.id, "warnings": warnings}

    @client_mutation(
        "messages:write",
        payload=MessagingPolicyPayload,
        present=_show_policy,
        description="Replace the policy. It holds for every message that has not been claimed yet.",
    )
    def set_messaging_policy(work: Work, given: SetMessagingPolicyInput) -> Answer:
        if len(given.caps) > MOST_CAPS:
            raise InvalidInput(f"a policy has at most {MOST_CAPS} caps", path=("caps",), next_step="give fewer")
        caps = [rule_json(cap) for cap in given.caps]
        data = {"quiet_from": given.quiet_from, "quiet_until": given.quiet_until, "caps": caps}
        try:
            policy = Policy.model_validate(data)
        except ValidationError as error:
            found = error.errors(include_url=False, include_input=False, include_context=False)
            raise Refusals(InvalidInput(part["msg"], path=part["loc"]) for part in found) from None
        set_policy(work, policy)
        return {"client": work.client_id}

    @client_mutation(
        "messages:write",
        payload=MessagePayload,
        present=_show_queued,
        description="Settle a message whose fate nobody knew: it arrived, or it is sent again.",
    )
    def resolve_unknown_message(work: Work, given: ResolveUnknownMessageInput) -> Answer:
        number = from_global("Message", given.message_id, path=("messageId",))
        return {"message": service.resolve_unknown(work, number, was_sent=given.was_sent).id}

    @client_mutation(
        "messages:write",
        payload=MessagePayload,
        present=_show_message,
        description="Take back a message that has not left yet.",
    )
    def cancel_message(work: Work, given: CancelMessageInput) -> Answer:
        number = from_global("Message", given.message_id, path=("messageId",))
        return {"message": service.cancel_message(work, number).id}

    @client_mutation(
        "messages:write",
        payload=RetryMessagesPayload,
        present=_show_retried,
        description="Queue again the messages of an account that failed too often, such as after an outage; at most "
        "5000 in one call.",
    )
    def retry_messages(work: Work, given: RetryMessagesInput) -> Answer:
        number = from_global("ChannelAccount", given.account_id, path=("accountId",))
        return {"queued": service.retry_failed(work, number)}
