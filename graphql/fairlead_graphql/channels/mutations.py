"""Connecting accounts, changing and pausing them, checking them, fetching what is new."""

from __future__ import annotations

import strawberry
from strawberry.scalars import JSON

from fairlead.channels import service
from fairlead.errors import InvalidInput
from fairlead.work import Work
from fairlead_graphql.channels.jobs import check_once, start_sync
from fairlead_graphql.channels.loaders import read_account
from fairlead_graphql.channels.types import ChannelAccount
from fairlead_graphql.context import Context
from fairlead_graphql.governance.mutations import JobPayload, job_payload
from fairlead_graphql.ids import from_global
from fairlead_graphql.inputs import client_slug, errors, idempotency_key, optional
from fairlead_graphql.mutation import Answer, UserError, client_mutation, done, or_none, outside_mutation
from fairlead_graphql.policy import reached_with
from fairlead_graphql.selection import Selection

ACCOUNT_TYPE = "shop, official_account, mini_program, mailbox, sms, ads, till, crm or other."
LEVEL = "What the platform lets us do: read, write or manage."
FORM = "The whole settings form, as the JSON Schema of the channel says."


@strawberry.input(description="An account to connect.")
class ConnectChannelAccountInput:
    """Input of ``connectChannelAccount``."""

    client: str = client_slug()
    channel: str = strawberry.field(description="Name of a channel that is on for the client.")
    name: str = strawberry.field(description="Name of the account, unique within the channel.")
    settings: JSON | None = optional(FORM)
    platform: str = strawberry.field(default="", description="The platform, as people call it; the channel if empty.")
    account_type: str = strawberry.field(default="other", description=ACCOUNT_TYPE)
    permission_level: str = strawberry.field(default="read", description=LEVEL)
    owner: str = strawberry.field(default="", description="Who looks after it.")
    note: str = strawberry.field(default="", description="Anything worth knowing, at most 2000 characters.")
    planned: bool = strawberry.field(
        default=False, description="Whether it is only noted for later; its settings may then be incomplete."
    )
    idempotency_key: str | None = idempotency_key()


@strawberry.input(description="What to change about an account; what is left out stays.")
class UpdateChannelAccountInput:
    """Input of ``updateChannelAccount``."""

    client: str = client_slug()
    account_id: strawberry.ID = strawberry.field(description="Global id of the account.")
    settings: JSON | None = optional(
        f'{FORM} A secret that is left out or `{{"set": true}}` stays, unless a field marked as an address changes; '
        "null removes it."
    )
    name: str | None = optional("Name of the account, unique within the channel.")
    platform: str | None = optional("The platform, as people call it.")
    account_type: str | None = optional(ACCOUNT_TYPE)
    permission_level: str | None = optional(LEVEL)
    owner: str | None = optional("Who looks after it.")
    note: str | None = optional("Anything worth knowing, at most 2000 characters.")
    idempotency_key: str | None = idempotency_key()


@strawberry.input(description="An account.")
class ChannelAccountInput:
    """Input of the mutations that take nothing but an account."""

    client: str = client_slug()
    account_id: strawberry.ID = strawberry.field(description="Global id of the account.")
    idempotency_key: str | None = idempotency_key()


@reached_with("channels:read")
@strawberry.type(description="Answer of a mutation that changes an account.")
class ChannelAccountPayload:
    """Payload with an account."""

    account: ChannelAccount | None = strawberry.field(description="The account as it is now.")
    errors: list[UserError] = errors()


def _account(context: Context, client_id: int | None, answer: Answer, selection: Selection) -> ChannelAccountPayload:
    assert client_id is not None
    found = read_account(context.work(client_id), answer["account"], selection.below("account"))
    return done(ChannelAccountPayload, account=found)


def _number(account_id: str) -> int:
    return from_global("ChannelAccount", account_id, path=("accountId",))


def _form(settings: object) -> dict[str, object] | None:
    if settings is not None and not isinstance(settings, dict):
        raise InvalidInput("settings are an object", path=("settings",))
    return settings


@strawberry.type
class ChannelsMutation:
    """Mixed into ``Mutation``."""

    @client_mutation(
        "channels:write",
        payload=ChannelAccountPayload,
        present=_account,
        description="Connect an account of a channel that is on. Check it afterwards: connecting calls nobody.",
    )
    def connect_channel_account(work: Work, given: ConnectChannelAccountInput) -> Answer:
        made = service.connect_account(
            work,
            given.channel,
            given.name,
            _form(or_none(given.settings)),
            platform=given.platform,
            account_type=given.account_type,
            permission_level=given.permission_level,
            owner=given.owner,
            note=given.note,
            planned=given.planned,
        )
        return {"account": made.id}

    @client_mutation(
        "channels:write",
        payload=ChannelAccountPayload,
        present=_account,
        description="Change an account. New settings give a failed account another chance.",
    )
    def update_channel_account(work: Work, given: UpdateChannelAccountInput) -> Answer:
        changed = service.update_account(
            work,
            _number(given.account_id),
            settings=_form(or_none(given.settings)),
            name=or_none(given.name),
            platform=or_none(given.platform),
            account_type=or_none(given.account_type),
            permission_level=or_none(given.permission_level),
            owner=or_none(given.owner),
            note=or_none(given.note),
        )
        return {"account": changed.id}

    @client_mutation(
        "channels:write",
        payload=ChannelAccountPayload,
        present=_account,
        description="Stop using an account for a while: nothing is sent or fetched until it is resumed.",
    )
    def pause_channel_account(work: Work, given: ChannelAccountInput) -> Answer:
        return {"account": service.pause_account(work, _number(given.account_id)).id}

    @client_mutation(
        "channels:write",
        payload=ChannelAccountPayload,
        present=_account,
        description="Use a planned, paused or failed account again. Its settings must be complete.",
    )
    def resume_channel_account(work: Work, given: ChannelAccountInput) -> Answer:
        return {"account": service.resume_account(work, _number(given.account_id)).id}

    @client_mutation(
        "channels:write",
        payload=ChannelAccountPayload,
        present=_account,
        description="End the use of an account and throw its secrets away. What came in through it stays.",
    )
    def disconnect_channel_account(work: Work, given: ChannelAccountInput) -> Answer:
        return {"account": service.disconnect_account(work, _number(given.account_id)).id}

    @outside_mutation(
        "channels:write",
        payload=ChannelAccountPayload,
        present=_account,
        description="Ask the platform whether the account works now; the answer is written to the account.",
    )
    def check_channel_account(context: Context, client_id: int, given: ChannelAccountInput) -> Answer:
        return check_once(context, client_id, _number(given.account_id), given)

    @outside_mutation(
        "channels:write",
        payload=JobPayload,
        present=job_payload,
        description="Fetch what is new on the platform, as a job in the background.",
    )
    def sync_channel_account(context: Context, client_id: int, given: ChannelAccountInput) -> Answer:
        return start_sync(context, client_id, _number(given.account_id), given)
