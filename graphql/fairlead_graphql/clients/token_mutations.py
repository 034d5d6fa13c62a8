"""Issuing, rotating and revoking API tokens. A secret is in one answer and nowhere else."""

from __future__ import annotations

from collections.abc import Sequence

import strawberry

from fairlead.clients import tokens as service
from fairlead.clients.model import ApiToken as TokenRow
from fairlead.errors import Conflict
from fairlead.work import Work
from fairlead_graphql.clients.access_loaders import TOKEN, tokens_query
from fairlead_graphql.clients.access_types import ApiToken
from fairlead_graphql.context import Context
from fairlead_graphql.ids import from_global
from fairlead_graphql.inputs import errors, idempotency_key, optional
from fairlead_graphql.listing import read_one
from fairlead_graphql.mutation import Answer, UserError, agency_mutation, done, or_none, user_errors
from fairlead_graphql.policy import MEMBER, reached_with
from fairlead_graphql.selection import Selection


@strawberry.input(description="A token to issue.")
class IssueTokenInput:
    """Input of ``issueToken``."""

    member_id: strawberry.ID = strawberry.field(description="Global id of the member who will hold it.")
    name: str = strawberry.field(description="What it is for, 1 to 80 characters.")
    clients: list[str] | None = optional("Slugs of the clients to narrow it to; all of the member's if left out.")
    permissions: list[str] | None = optional("Permissions to narrow it to; all of the member's if left out.")
    days: int = strawberry.field(default=service.DEFAULT_DAYS, description="How long it lives, 1 to 400 days.")
    idempotency_key: str | None = idempotency_key()


@strawberry.input(description="A token to rotate.")
class RotateTokenInput:
    """Input of ``rotateToken``."""

    token_id: strawberry.ID = strawberry.field(description="Global id of the token.")
    grace_minutes: int = strawberry.field(
        default=0, description="How long the old one stays valid, 0 to 10080 minutes."
    )
    days: int | None = optional(
        "How long the new one lives, 1 to 400 days; as long as the old one was meant to if left out. Without "
        "`tokens:write` it ends no later than the old one was to end."
    )
    idempotency_key: str | None = idempotency_key()


@strawberry.input(description="A token to end.")
class RevokeTokenInput:
    """Input of ``revokeToken``."""

    token_id: strawberry.ID = strawberry.field(description="Global id of the token.")
    idempotency_key: str | None = idempotency_key()


@reached_with("tokens:write")
@strawberry.type(description="Answer of a mutation that makes a token.")
class IssuedTokenPayload:
    """Payload with a fresh token."""

    token: ApiToken | None = strawberry.field(description="The new token.")
    secret: str | None = strawberry.field(
        description="What to send as `Authorization: Bearer`. Shown this once: it is kept nowhere. When the same "
        "idempotency key is used again it is null, with a CONFLICT in `errors` and the token it made."
    )
    errors: list[UserError] = errors()


@reached_with("tokens:write")
@strawberry.type(description="Answer of `revokeToken`.")
class TokenPayload:
    """Payload with a token."""

    token: ApiToken | None = strawberry.field(description="The token as it is now; null for the one you asked with.")
    errors: list[UserError] = errors()


def _issued(context: Context, _client: int | None, answer: Answer, selection: Selection) -> IssuedTokenPayload:
    payload: IssuedTokenPayload = done(
        IssuedTokenPayload,
        token=_read(context, answer, selection),
        secret=context.shown_once.pop(answer["token"], None),
    )
    if payload.secret is None:
        payload.errors = user_errors(
            Conflict(
                "the secret was shown already, in the first answer to this idempotency key",
                path=("idempotencyKey",),
                next_step="rotate the token if that answer is lost",
            )
        )
    return payload


def _revoked(context: Context, _client: int | None, answer: Answer, selection: Selection) -> TokenPayload:
    found = None if answer["token"] == context.member.token_id else _read(context, answer, selection)
    payload: TokenPayload = done(TokenPayload, token=found)
    return payload


def _read(context: Context, answer: Answer, selection: Selection) -> ApiToken | None:
    query = tokens_query(context.member.agency_id).where(TokenRow.id == answer["token"])
    found: ApiToken | None = read_one(context.agency_work(), TOKEN, query, selection.below("token"))
    return found


def _client_ids(context: Context, slugs: Sequence[str] | None) -> list[int] | None:
    return None if slugs is None else [context.client(slug, "client:read").id for slug in slugs]


@strawberry.type
class TokensMutation:
    """Mixed into ``Mutation``."""

    @agency_mutation(
        "tokens:write",
        payload=IssuedTokenPayload,
        present=_issued,
        description="Issue a token for a member; it can do no more than you. Its secret is shown once.",
    )
    def issue_token(work: Work, given: IssueTokenInput, context: Context) -> Answer:
        issued = service.issue_token(
            work,
            from_global("Member", given.member_id, path=("memberId",)),
            given.name,
            client_ids=_client_ids(context, or_none(given.clients)),
            permissions=or_none(given.permissions),
            days=given.days,
        )
        context.shown_once[issued.token.id] = issued.secret
        return {"token": issued.token.id}

    @agency_mutation(
        MEMBER,
        payload=IssuedTokenPayload,
        present=_issued,
        description="Replace a token by a new one with the same scope. Anybody may rotate the token they ask with; "
        "others need `tokens:write`.",
    )
    def rotate_token(work: Work, given: RotateTokenInput, context: Context) -> Answer:
        issued = service.rotate_token(
            work,
            from_global("ApiToken", given.token_id, path=("tokenId",)),
            grace_minutes=given.grace_minutes,
            days=or_none(given.days),
        )
        context.shown_once[issued.token.id] = issued.secret
        return {"token": issued.token.id}

    @agency_mutation(
        MEMBER,
        payload=TokenPayload,
        present=_revoked,
        description="End a token now. Anybody may revoke the token they ask with; others need `tokens:write`. A token "
        "it was rotated to (`replacedBy`) stays valid: revoke that one too when both may be in wrong hands.",
    )
    def revoke_token(work: Work, given: RevokeTokenInput) -> Answer:
        return {"token": service.revoke_token(work, from_global("ApiToken", given.token_id, path=("tokenId",))).id}
