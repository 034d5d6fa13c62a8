"""Making and changing clients."""

from __future__ import annotations

import sqlalchemy as sa
import strawberry

from fairlead.clients import service
from fairlead.clients.model import Client as ClientRow
from fairlead.governance.permissions import Principal
from fairlead.work import Work
from fairlead_graphql.clients.loaders import CLIENT
from fairlead_graphql.clients.types import Client
from fairlead_graphql.context import Context
from fairlead_graphql.inputs import client_slug, errors, idempotency_key, optional
from fairlead_graphql.listing import read_one
from fairlead_graphql.mutation import Answer, UserError, agency_mutation, client_mutation, done, or_none
from fairlead_graphql.policy import reached_with
from fairlead_graphql.selection import Selection


@strawberry.input(description="A client to make.")
class CreateClientInput:
    """Input of ``createClient``."""

    slug: str = strawberry.field(
        description="Name in addresses and arguments: 1 to 50 of a-z, 0-9 and -. It never changes."
    )
    name: str = strawberry.field(description="Name for people, 1 to 80 characters.")
    zone: str = strawberry.field(default="Asia/Shanghai", description="IANA time zone in which its days begin.")
    currency: str = strawberry.field(default="CNY", description="ISO 4217 code of its money.")
    idempotency_key: str | None = idempotency_key()


@strawberry.input(description="What to change about a client; what is left out stays.")
class UpdateClientInput:
    """Input of ``updateClient``."""

    client: str = client_slug()
    name: str | None = optional("Name for people, 1 to 80 characters.")
    zone: str | None = optional("IANA time zone in which its days begin.")
    currency: str | None = optional("ISO 4217 code of its money.")
    idempotency_key: str | None = idempotency_key()


@strawberry.input(description="A client to archive or restore.")
class ClientInput:
    """Input of ``archiveClient`` and ``restoreClient``."""

    client: str = client_slug()
    idempotency_key: str | None = idempotency_key()


@reached_with("clients:write")
@strawberry.type(description="Answer of a mutation that changes a client.")
class ClientPayload:
    """Payload with a client."""

    client: Client | None = strawberry.field(description="The client as it is now.")
    errors: list[UserError] = errors()


def _client(context: Context, _client_id: int | None, answer: Answer, selection: Selection) -> ClientPayload:
    query = sa.select(ClientRow).where(ClientRow.id == answer["client"])
    found = read_one(context.agency_work(), CLIENT, query, selection.below("client"))
    return done(ClientPayload, client=found)


@strawberry.type
class ClientsMutation:
    """Mixed into ``Mutation``."""

    @agency_mutation(
        "clients:write",
        payload=ClientPayload,
        present=_client,
        description="Make a client. It begins without customers and with every plugin off.",
    )
    def create_client(work: Work, given: CreateClientInput) -> Answer:
        assert isinstance(work.actor, Principal)
        made = service.create_client(
            work, work.actor.agency_id, given.slug, given.name, zone=given.zone, currency=given.currency
        )
        return {"client": made.id}

    @client_mutation(
        "clients:write",
        payload=ClientPayload,
        present=_client,
        description="Change a client's name, zone or currency.",
    )
    def update_client(work: Work, given: UpdateClientInput) -> Answer:
        changed = service.update_client(
            work,
            work.client_id,
            name=or_none(given.name),
            zone=or_none(given.zone),
            currency=or_none(given.currency),
        )
        return {"client": changed.id}

    @agency_mutation(
        "clients:write",
        payload=ClientPayload,
        present=_client,
        description="Stop all work for a client and keep its data. Its members can still read.",
    )
    def archive_client(work: Work, given: ClientInput, context: Context) -> Answer:
        client = context.client(given.client, "clients:write")
        return {"client": service.archive_client(work, client.id).id}

    @agency_mutation(
        "clients:write",
        payload=ClientPayload,
        present=_client,
        description="Make an archived client active again.",
    )
    def restore_client(work: Work, given: ClientInput, context: Context) -> Answer:
        client = context.client(given.client, "clients:write")
        return {"client": service.restore_client(work, client.id).id}
