"""Members of the agency, their roles at clients, and custom roles. All functions need agency-wide work.

Who may manage members at one client (``members:write`` there) gives roles at that client; roles at the agency need the
permission at the agency. Changes are made one at a time under a lock, so that of two admins who remove each other at
the same moment one stays.
"""

from __future__ import annotations

import re

import sqlalchemy as sa

from fairlead.clients.access import Access, access_of, require_cover, role_permissions
from fairlead.clients.model import Agency, ApiToken, Client, Member, Membership, Role
from fairlead.errors import Conflict, Forbidden, InvalidInput, NotFound
from fairlead.governance.audit import record
from fairlead.governance.permissions import PERMISSIONS, ROLES, Principal
from fairlead.storage.locks import lock
from fairlead.work import Work

ADMIN = "admin"
EMAIL = "member.email"
_EMAIL = re.compile(r"[^\s@]{1,64}@[^\s@.]+(\.[^\s@.]+)+")
_ROLE = re.compile(r"[a-z][a-z0-9_]{1,39}")


def add_member(work: Work, agency_id: int, name: str, email: str, *, role: str, client_id: int | None = None) -> Member:
    """A new member with a first role, at one client or (without one) at the agency.

    Who is a member at other clients only gets the role at this one besides, and keeps their name: a client's admin
    could neither see nor add them otherwise. Raises ``InvalidInput`` for a bad name or address, ``Conflict`` when the
    address has a member at that place already, ``Forbidden`` when the role holds more than the actor does.
    """
    _lock(work, agency_id, client_id)
    email = email.strip().lower()
    if not _EMAIL.fullmatch(email) or len(email) > 254 or not email.isprintable():
        raise InvalidInput("this is not an e-mail address", path=("email",))
    if not (0 < len(name.strip()) <= 80 and name.isprintable()):
        raise InvalidInput("a name has 1 to 80 printable characters", path=("name",))
    if work.session.get(Agency, agency_id) is None:
        raise NotFound("there is no such agency")
    blind = work.vault.blind(0, EMAIL, email)
    known = work.session.scalar(sa.select(Member.id).where(Member.agency_id == agency_id, Member.email_blind == blind))
    if known is not None:
        places = {membership.client_id for membership in memberships_of(work, known)}
        if client_id is None or places & {None, client_id}:
            raise Conflict(
                "a member with this address exists", path=("email",), next_step="give that member another role"
            )
        found = get_member(work, known)
        _grant(work, found, role, client_id)
        return found
    member = Member(
        agency_id=agency_id,
        name=name.strip(),
        email=work.vault.seal(0, EMAIL, email),
        email_blind=blind,
        state="active",
        created_at=work.now,
    )
    work.session.add(member)
    work.session.flush()
    record(work, "member.added", "member", member.id, None, {"state": "active"})
    _grant(work, member, role, client_id)
    return member


def get_member(work: Work, member_id: int) -> Member:
    """The member; raises ``NotFound``, also for a member of another agency than the actor's."""
    member = work.session.get(Member, member_id)
    if member is None or (isinstance(work.actor, Principal) and member.agency_id != work.actor.agency_id):
        raise NotFound("there is no such member")
    return member


def list_members(
    work: Work, agency_id: int, *, client_id: int | None = None, first: int = 20, after_id: int = 0
) -> list[Member]:
    """Members by id after ``after_id`` (keyset); with a client only those with a role there or at the agency."""
    work.actor.require("members:read", client_id)
    query = sa.select(Member).where(Member.agency_id == agency_id, Member.id > after_id).order_by(Member.id)
    if client_id is not None:
        inside = sa.select(Membership.member_id).where(
            sa.or_(Membership.client_id == client_id, Membership.client_id.is_(None))
        )
        query = query.where(Member.id.in_(inside))
    return list(work.session.scalars(query.limit(first)))


def memberships_of(work: Work, member_id: int) -> list[Membership]:
    """The member's roles, those at the agency first."""
    return list(
        work.session.scalars(
            sa.select(Membership)
            .where(Membership.member_id == member_id)
            .order_by(Membership.client_id.is_not(None), Membership.client_id, Membership.role)
        )
    )


def grant_role(work: Work, member_id: int, role: str, client_id: int | None = None) -> Membership:
    """Give a role besides those the member has. Giving it again changes nothing."""
    member = get_member(work, member_id)
    _lock(work, member.agency_id, client_id)
    return _grant(work, member, role, client_id)


def set_role(work: Work, member_id: int, role: str, client_id: int | None = None) -> Membership:
    """Make ``role`` the member's only role at the client or at the agency."""
    member = get_member(work, member_id)
    _lock(work, member.agency_id, client_id)
    given = _grant(work, member, role, client_id)
    for other in _at_place(work, member_id, client_id):
        if other.role != role:
            _revoke(work, member, other)
    return given


def revoke_role(work: Work, member_id: int, role: str, client_id: int | None = None) -> None:
    """Take a role away. Raises ``Conflict`` for the agency's last admin, ``NotFound`` when the member lacks it."""
    member = get_member(work, member_id)
    _lock(work, member.agency_id, client_id)
    for membership in _at_place(work, member_id, client_id):
        if membership.role == role:
            _revoke(work, member, membership)
            return
    raise NotFound("the member does not have this role here", path=("role",))


def disable_member(work: Work, member_id: int) -> Member:
    """Keep the member out from the next request on; their tokens stay, so that enabling gives everything back."""
    member = get_member(work, member_id)
    _lock(work, member.agency_id, None)
    _require_cover_of(work, member)
    if member.state == "active":
        _keep_an_admin(work, member, "disabled")
        member.state = "disabled"
        record(work, "member.disabled", "member", member.id, {"state": "active"}, {"state": "disabled"})
    return member


def enable_member(work: Work, member_id: int) -> Member:
    """Let a disabled member in again. Raises ``Conflict`` for one that was removed."""
    member = get_member(work, member_id)
    _lock(work, member.agency_id, None)
    _require_cover_of(work, member)
    if member.state == "removed":
        raise Conflict("the member was removed", next_step="add the person as a new member")
    if member.state == "disabled":
        member.state = "active"
        record(work, "member.enabled", "member", member.id, {"state": "disabled"}, {"state": "active"})
    return member


def remove_member(work: Work, member_id: int) -> None:
    """Take all roles away, revoke all tokens and keep the member out for good.

    The row stays, since the audit log names it by id; name and address are erased.
    """
    member = get_member(work, member_id)
    _lock(work, member.agency_id, None)
    _require_cover_of(work, member)
    _keep_an_admin(work, member, "removed")
    for membership in memberships_of(work, member_id):
        work.session.delete(membership)
    work.session.execute(
        sa.update(ApiToken)
        .where(ApiToken.member_id == member_id, ApiToken.revoked_at.is_(None))
        .values(revoked_at=work.now)
        .execution_options(synchronize_session="fetch")
    )
    gone = f"removed-{member.id}"
    member.state, member.name = "removed", "removed"
    member.email = work.vault.seal(0, EMAIL, gone)
    member.email_blind = work.vault.blind(0, EMAIL, gone)
    record(work, "member.removed", "member", member.id, {"state": "active"}, {"state": "removed"})


# -- custom roles ---------------------------------------------------------------------------------------------------


def define_role(work: Work, agency_id: int, name: str, permissions: frozenset[str]) -> Role:
    """Make or change a custom role. Who has it gains or loses the difference at once."""
    _lock(work, agency_id, None)
    if not _ROLE.fullmatch(name) or name in ROLES:
        raise InvalidInput("a role name has 2 to 40 of a-z, 0-9 and _, and is not a built-in role", path=("name",))
    unknown = sorted(permissions - PERMISSIONS)
    if unknown or not permissions:
        raise InvalidInput(
            f"no such permission: {', '.join(unknown)[:200]}" if unknown else "a role needs a permission",
            path=("permissions",),
            next_step="the permissions are listed by `fairlead member permissions`",
        )
    role = work.session.scalars(sa.select(Role).where(Role.agency_id == agency_id, Role.name == name)).one_or_none()
    before = sorted(role.permissions) if role is not None else None
    require_cover(work.actor, Access(permissions | frozenset(before or ())), "the role holds more than you do")
    if role is None:
        role = Role(agency_id=agency_id, name=name, permissions=[], created_at=work.now)
        work.session.add(role)
    role.permissions = sorted(permissions)
    work.session.flush()
    if role.permissions != before:
        record(
            work,
            "role.defined",
            "role",
            role.id,
            None if before is None else {"role": name, "permissions": before},
            {"role": name, "permissions": role.permissions},
        )
    return role


def list_roles(work: Work, agency_id: int) -> dict[str, frozenset[str]]:
    """All roles with their permissions: the built-in ones, then the custom ones by name."""
    custom = work.session.execute(
        sa.select(Role.name, Role.permissions).where(Role.agency_id == agency_id).order_by(Role.name)
    )
    return {**ROLES, **{name: frozenset(permissions) & PERMISSIONS for name, permissions in custom}}


def remove_role(work: Work, agency_id: int, name: str) -> None:
    """Remove a custom role that nobody has. Raises ``Conflict`` while somebody has it."""
    _lock(work, agency_id, None)
    role = work.session.scalars(sa.select(Role).where(Role.agency_id == agency_id, Role.name == name)).one_or_none()
    if role is None:
        raise NotFound("there is no such custom role", path=("name",))
    used = work.session.scalar(
        sa.select(sa.func.count())
        .select_from(Membership)
        .join(Member, Member.id == Membership.member_id)
        .where(Membership.role == name, Member.agency_id == agency_id)
    )
    if used:
        raise Conflict(f"{used} memberships use this role", next_step="give those members another role first")
    work.session.delete(role)
    record(work, "role.removed", "role", role.id, {"role": name, "permissions": sorted(role.permissions)}, None)


# -- inside ---------------------------------------------------------------------------------------------------------


def _lock(work: Work, agency_id: int, client_id: int | None) -> None:
    work.actor.require("members:write", client_id)
    if isinstance(work.actor, Principal) and work.actor.agency_id != agency_id:
        raise NotFound("there is no such agency")
    lock(work.session, f"members/{agency_id}")


def _grant(work: Work, member: Member, role: str, client_id: int | None) -> Membership:
    _cover_role(work, member.agency_id, role, client_id, "the role holds more than you do")
    if client_id is not None:
        owner = work.session.scalar(sa.select(Client.agency_id).where(Client.id == client_id))
        if owner != member.agency_id:
            raise NotFound("there is no such client", path=("clientId",))
    for membership in _at_place(work, member.id, client_id):
        if membership.role == role:
            return membership
    membership = Membership(member_id=member.id, client_id=client_id, role=role, created_at=work.now)
    work.session.add(membership)
    work.session.flush()
    record(
        work, "member.role_granted", "member", member.id, None, {"role": role, "client": client_id}, client_id=client_id
    )
    return membership


def _revoke(work: Work, member: Member, membership: Membership) -> None:
    role, client_id = membership.role, membership.client_id
    _cover_role(work, member.agency_id, role, client_id, "you cannot take away more than you hold")
    if role == ADMIN and client_id is None:
        _keep_an_admin(work, member, "left without the role")
    work.session.delete(membership)
    record(
        work, "member.role_revoked", "member", member.id, {"role": role, "client": client_id}, None, client_id=client_id
    )


def _cover_role(work: Work, agency_id: int, role: str, client_id: int | None, message: str) -> None:
    held = role_permissions(work.session, agency_id, [role]).get(role)
    if held is None:
        raise InvalidInput("there is no such role", path=("role",), next_step="`fairlead member roles` lists them")
    require_cover(work.actor, Access(held) if client_id is None else Access(at={client_id: held}), message)


def _require_cover_of(work: Work, member: Member) -> None:
    if isinstance(work.actor, Principal) and work.actor.member_id == member.id and work.actor.only_clients is not None:
        raise Forbidden("this token is narrowed to single clients")
    require_cover(work.actor, access_of(work.session, member.agency_id, member.id), "the member holds more than you do")


def _at_place(work: Work, member_id: int, client_id: int | None) -> list[Membership]:
    here = Membership.client_id.is_(None) if client_id is None else Membership.client_id == client_id
    return list(work.session.scalars(sa.select(Membership).where(Membership.member_id == member_id, here)))


def _keep_an_admin(work: Work, member: Member, what: str) -> None:
    admins = work.session.scalars(
        sa.select(Member.id)
        .join(Membership, Membership.member_id == Member.id)
        .where(
            Member.agency_id == member.agency_id,
            Member.state == "active",
            Membership.role == ADMIN,
            Membership.client_id.is_(None),
        )
        .distinct()
    ).all()
    if list(admins) == [member.id]:
        raise Conflict(f"the agency's last admin cannot be {what}", next_step="make another member an admin first")
