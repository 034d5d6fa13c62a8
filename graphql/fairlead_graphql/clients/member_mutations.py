"""Changing who may do what: members, their roles, custom roles."""

from __future__ import annotations

import strawberry

from fairlead.clients import members as service
from fairlead.clients.model import Member as MemberRow
from fairlead.errors import NotFound
from fairlead.governance.permissions import Principal
from fairlead.work import Work
from fairlead_graphql.clients.access_loaders import member_plan, members_query
from fairlead_graphql.clients.access_types import Member, Role
from fairlead_graphql.clients.agency import role
from fairlead_graphql.context import Context
from fairlead_graphql.ids import from_global
from fairlead_graphql.inputs import errors, idempotency_key, optional
from fairlead_graphql.listing import read_one
from fairlead_graphql.mutation import Answer, UserError, agency_mutation, done, place_mutation
from fairlead_graphql.policy import reached_with
from fairlead_graphql.selection import Selection

PLACE = "Slug of the client where it holds; left out or null for the agency and all its clients."


@strawberry.input(description="A member to add, with a first role.")
class AddMemberInput:
    """Input of ``addMember``."""

    client: str | None = optional(PLACE)
    name: str = strawberry.field(description="Name, 1 to 80 characters.")
    email: str = strawberry.field(description="E-mail address; one member each.")
    role: str = strawberry.field(description="Name of the role; it cannot hold more than you do.")
    idempotency_key: str | None = idempotency_key()


@strawberry.input(description="A member's role at one place.")
class MemberRoleInput:
    """Input of ``grantRole``, ``setMemberRole`` and ``revokeRole``."""

    client: str | None = optional(PLACE)
    member_id: strawberry.ID = strawberry.field(description="Global id of the member.")
    role: str = strawberry.field(description="Name of the role; it cannot hold more than you do.")
    idempotency_key: str | None = idempotency_key()


@strawberry.input(description="A member.")
class MemberInput:
    """Input of ``disableMember``, ``enableMember`` and ``removeMember``."""

    member_id: strawberry.ID = strawberry.field(description="Global id of the member.")
    idempotency_key: str | None = idempotency_key()


@strawberry.input(description="A custom role to make or change.")
class DefineRoleInput:
    """Input of ``defineRole``."""

    name: str = strawberry.field(description="Name: 2 to 40 of a-z, 0-9 and _.")
    permissions: list[str] = strawberry.field(description="What it permits, no more than you hold.")
    idempotency_key: str | None = idempotency_key()


@strawberry.input(description="A custom role to remove.")
class RemoveRoleInput:
    """Input of ``removeRole``."""

    name: str = strawberry.field(description="Name of a custom role that nobody has any more.")
    idempotency_key: str | None = idempotency_key()


@reached_with("members:write")
@strawberry.type(description="Answer of a mutation that changes a member.")
class MemberPayload:
    """Payload with a member."""

    member: Member | None = strawberry.field(
        description="The member as they are now; null for one without a role left at the client."
    )
    errors: list[UserError] = errors()


@reached_with("members:write")
@strawberry.type(description="Answer of a mutation that changes a role.")
class RolePayload:
    """Payload with a role."""

    role: Role | None = strawberry.field(description="The role as it is now, or as it was before it was removed.")
    errors: list[UserError] = errors()


def _member(context: Context, client_id: int | None, answer: Answer, selection: Selection) -> MemberPayload:
    query = members_query(context.member.agency_id, client_id).where(MemberRow.id == answer["member"])
    plan = member_plan(client_id)
    return done(MemberPayload, member=read_one(context.agency_work(), plan, query, selection.below("member")))


def _role(_context: Context, _client: int | None, answer: Answer, _selection: Selection) -> RolePayload:
    return done(RolePayload, role=role(answer["role"], frozenset(answer["permissions"])))


def _agency(work: Work) -> int:
    assert isinstance(work.actor, Principal)
    return work.actor.agency_id


def _seen(work: Work, member_id: str, client_id: int | None) -> int:
    """The member's number, if they exist for who manages that place: of other clients' members nothing is told."""
    number = from_global("Member", member_id, path=("memberId",))
    query = members_query(_agency(work), client_id).with_only_columns(MemberRow.id)
    if work.session.scalar(query.where(MemberRow.id == number)) is None:
        raise NotFound("there is no such member", path=("memberId",))
    return number


@strawberry.type
class MembersMutation:
    """Mixed into ``Mutation``."""

    @place_mutation(
        "members:write",
        payload=MemberPayload,
        present=_member,
        description="Add a member with a first role, at a client or at the agency. They need a token to ask with."
        " Who is a member at another client keeps the name they have.",
    )
    def add_member(work: Work, given: AddMemberInput, client_id: int | None) -> Answer:
        made = service.add_member(work, _agency(work), given.name, given.email, role=given.role, client_id=client_id)
        return {"member": made.id}

    @place_mutation(
        "members:write",
        payload=MemberPayload,
        present=_member,
        description="Give a member a role besides those they have.",
    )
    def grant_role(work: Work, given: MemberRoleInput, client_id: int | None) -> Answer:
        number = _seen(work, given.member_id, client_id)
        service.grant_role(work, number, given.role, client_id)
        return {"member": number}

    @place_mutation(
        "members:write",
        payload=MemberPayload,
        present=_member,
        description="Make a role the only one a member has at that place.",
    )
    def set_member_role(work: Work, given: MemberRoleInput, client_id: int | None) -> Answer:
        number = _seen(work, given.member_id, client_id)
        service.set_role(work, number, given.role, client_id)
        return {"member": number}

    @place_mutation(
        "members:write",
        payload=MemberPayload,
        present=_member,
        description="Take a role away; it holds from the member's next request on.",
    )
    def revoke_role(work: Work, given: MemberRoleInput, client_id: int | None) -> Answer:
        number = _seen(work, given.member_id, client_id)
        service.revoke_role(work, number, given.role, client_id)
        return {"member": number}

    @agency_mutation(
        "members:write",
        payload=MemberPayload,
        present=_member,
        description="Keep a member out from the next request on; enabling gives everything back.",
    )
    def disable_member(work: Work, given: MemberInput) -> Answer:
        return {"member": service.disable_member(work, _seen(work, given.member_id, None)).id}

    @agency_mutation(
        "members:write", payload=MemberPayload, present=_member, description="Let a disabled member in again."
    )
    def enable_member(work: Work, given: MemberInput) -> Answer:
        return {"member": service.enable_member(work, _seen(work, given.member_id, None)).id}

    @agency_mutation(
        "members:write",
        payload=MemberPayload,
        present=_member,
        description="Take all roles and tokens away for good and erase name and address.",
    )
    def remove_member(work: Work, given: MemberInput) -> Answer:
        number = _seen(work, given.member_id, None)
        service.remove_member(work, number)
        return {"member": number}

    @agency_mutation(
        "members:write",
        payload=RolePayload,
        present=_role,
        description="Make or change a custom role. Who has it gains or loses the difference at once.",
    )
    def define_role(work: Work, given: DefineRoleInput) -> Answer:
        made = service.define_role(work, _agency(work), given.name, frozenset(given.permissions))
        return {"role": made.name, "permissions": list(made.permissions)}

    @agency_mutation(
        "members:write", payload=RolePayload, present=_role, description="Remove a custom role that nobody has."
    )
    def remove_role(work: Work, given: RemoveRoleInput) -> Answer:
        permissions = service.list_roles(work, _agency(work)).get(given.name, frozenset())
        service.remove_role(work, _agency(work), given.name)
        return {"role": given.name, "permissions": sorted(permissions)}
