"""Who may do what: members with their roles, roles, API tokens."""

from __future__ import annotations

import datetime as dt

import strawberry

from fairlead_graphql.paging import MOST
from fairlead_graphql.policy import reached_with
from fairlead_graphql.rows import rows
from fairlead_graphql.scalars import Node


@reached_with("members:read")
@strawberry.type(description="A role that a member has, at one client or at the agency.")
class Membership:
    """A membership."""

    role: str = strawberry.field(description="Name of the role.")
    client: str | None = strawberry.field(description="Slug of the client; null for the agency and all its clients.")
    since: dt.datetime = strawberry.field(description="When it was given.")


@reached_with("members:read")
@strawberry.type(description="A person or machine that may hold tokens.")
class Member(Node):
    """A member."""

    name: str = strawberry.field(description="Name of the member.")
    email: str = strawberry.field(description="E-mail address with most of it hidden.")
    state: str = strawberry.field(description="active, or disabled or removed when no token of theirs is accepted.")
    created_at: dt.datetime = strawberry.field(description="When the member was added.")
    memberships: list[Membership] = rows(
        MOST, "Roles, those at the agency first. Seen from one client: only those there and at the agency."
    )


@reached_with("members:read")
@strawberry.type(description="A name for a set of permissions.")
class Role:
    """A role."""

    name: str = strawberry.field(description="Name of the role.")
    permissions: list[str] = strawberry.field(description="What it permits.")
    is_built_in: bool = strawberry.field(description="Whether it is one of the four that cannot be changed.")


@reached_with("members:read")
@strawberry.type(description="A credential of a member. Only its hash is kept, so nobody can read it again.")
class ApiToken(Node):
    """A token."""

    name: str = strawberry.field(description="What it is for.")
    hint: str = strawberry.field(description="Its beginning and end, to tell it from others.")
    member_id: strawberry.ID = strawberry.field(description="Global id of the member who holds it.")
    member_name: str = strawberry.field(description="Name of that member.")
    clients: list[str] | None = strawberry.field(description="Slugs of the clients it is narrowed to; null for all.")
    permissions: list[str] | None = strawberry.field(
        description="Permissions it is narrowed to; null for all of the member's."
    )
    state: str = strawberry.field(description="active, expired or revoked.")
    created_at: dt.datetime = strawberry.field(description="When it was issued.")
    expires_at: dt.datetime = strawberry.field(description="When it ends by itself.")
    revoked_at: dt.datetime | None = strawberry.field(description="When it was revoked; null if it was not.")
    last_used_at: dt.datetime | None = strawberry.field(description="When it was last used, to the minute.")
    replaced_by: strawberry.ID | None = strawberry.field(description="Global id of the token it was rotated to.")
