"""How members, roles and tokens are read, in agency-wide work: a query names what the caller may see of them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from fairlead.clients.members import EMAIL
from fairlead.clients.model import ApiToken, Client, Member, Membership
from fairlead.customers.identifiers import mask
from fairlead.storage.types import Sealed
from fairlead.work import Work
from fairlead_graphql.clients import access_types as types
from fairlead_graphql.context import Context
from fairlead_graphql.ids import to_global
from fairlead_graphql.listing import Children, Column, Plan, read_all
from fairlead_graphql.nodes import node_loader
from fairlead_graphql.selection import Selection


def _masked(work: Work, email: Sealed) -> str:
    return mask("email", work.vault.open(0, EMAIL, email))


def member_plan(client_id: int | None) -> Plan:
    """How members are read as the agency or (with a client) as that client sees them."""

    def memberships(work: Work, members: Sequence[int], _selection: Selection) -> dict[int, list[types.Membership]]:
        query = (
            sa.select(Membership.member_id, Membership.role, Client.slug, Membership.created_at)
            .outerjoin(Client, Client.id == Membership.client_id)
            .where(Membership.member_id.in_(members))
            .order_by(Membership.client_id.is_not(None), Client.slug, Membership.role)
        )
        if client_id is not None:
            query = query.where(sa.or_(Membership.client_id == client_id, Membership.client_id.is_(None)))
        groups: dict[int, list[types.Membership]] = {}
        for member, role, slug, since in work.session.execute(query):
            groups.setdefault(member, []).append(types.Membership(role=role, client=slug, since=since))
        return groups

    return Plan(
        types.Member,
        Member.id,
        {
            "name": Column((Member.name,)),
            "email": Column((Member.email,), _masked),
            "state": Column((Member.state,)),
            "createdAt": Column((Member.created_at,)),
        },
        {"memberships": Children(memberships)},
    )


def members_query(agency_id: int, client_id: int | None) -> sa.Select[Any]:
    """Members of the agency; with a client only those with a role there or at the agency."""
    query = sa.select(Member).where(Member.agency_id == agency_id)
    if client_id is None:
        return query
    inside = sa.select(Membership.member_id).where(
        sa.or_(Membership.client_id == client_id, Membership.client_id.is_(None))
    )
    return query.where(Member.id.in_(inside))


def _token_state(work: Work, revoked_at: dt.datetime | None, expires_at: dt.datetime) -> str:
    if revoked_at is not None:
        return "revoked"
    return "active" if expires_at > work.now else "expired"


def _clients_by_token(work: Work, tokens: Sequence[int], _selection: Selection) -> dict[int, list[str]]:
    scopes = {
        number: client_ids
        for number, client_ids in work.session.execute(
            sa.select(ApiToken.id, ApiToken.client_ids).where(ApiToken.id.in_(tokens))
        )
        if client_ids is not None
    }
    wanted = {client for client_ids in scopes.values() for client in client_ids}
    rows = work.session.execute(sa.select(Client.id, Client.slug).where(Client.id.in_(wanted)))
    slugs = {row.id: row.slug for row in rows}
    return {token: sorted(slugs[client] for client in ids if client in slugs) for token, ids in scopes.items()}


TOKEN = Plan(
    types.ApiToken,
    ApiToken.id,
    {
        "name": Column((ApiToken.name,)),
        "hint": Column((ApiToken.hint,)),
        "memberId": Column((ApiToken.member_id,), lambda _work, number: to_global("Member", number)),
        "memberName": Column((Member.name,)),
        "permissions": Column((ApiToken.permissions,)),
        "state": Column((ApiToken.revoked_at, ApiToken.expires_at), _token_state),
        "createdAt": Column((ApiToken.created_at,)),
        "expiresAt": Column((ApiToken.expires_at,)),
        "revokedAt": Column((ApiToken.revoked_at,)),
        "lastUsedAt": Column((ApiToken.last_used_at,)),
        "replacedBy": Column(
            (ApiToken.replaced_by,), lambda _work, number: None if number is None else to_global("ApiToken", number)
        ),
    },
    {"clients": Children(_clients_by_token, lambda: None)},
)


def tokens_query(agency_id: int) -> sa.Select[Any]:
    """Tokens of the agency's members."""
    return sa.select(ApiToken).join(Member, Member.id == ApiToken.member_id).where(Member.agency_id == agency_id)


def _load_members(context: Context, numbers: Sequence[int], selection: Selection) -> dict[int, Any]:
    context.require("members:read")
    query = members_query(context.member.agency_id, None).where(Member.id.in_(numbers))
    items = read_all(context.agency_work(), member_plan(None), query, selection)
    return {item.__dict__["_number"]: item for item in items}


def _load_tokens(context: Context, numbers: Sequence[int], selection: Selection) -> dict[int, Any]:
    context.require("members:read")
    query = tokens_query(context.member.agency_id).where(ApiToken.id.in_(numbers))
    items = read_all(context.agency_work(), TOKEN, query, selection)
    return {item.__dict__["_number"]: item for item in items}


node_loader("Member", _load_members)
node_loader("ApiToken", _load_tokens)
