"""What a member may do: the permissions that their memberships give them, and whether one actor covers another.

The rule behind all grants: nobody gives away, takes away or borrows more than they hold themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import sqlalchemy as sa

from fairlead.clients.model import Membership, Role
from fairlead.errors import Forbidden
from fairlead.governance.permissions import PERMISSIONS, ROLES, Actor, Principal, System
from fairlead.storage.session import ScopedSession


@dataclass(frozen=True, slots=True)
class Access:
    """Permissions at every client and the agency (``everywhere``) and at single clients (``at``)."""

    everywhere: frozenset[str] = frozenset()
    at: Mapping[int, frozenset[str]] = field(default_factory=dict)

    def narrowed(self, permissions: Iterable[str] | None) -> Access:
        """Only these permissions of it; ``None`` leaves all."""
        if permissions is None:
            return self
        kept = frozenset(permissions)
        return Access(self.everywhere & kept, {client: held & kept for client, held in self.at.items() if held & kept})

    def within(self, clients: frozenset[int] | None) -> Access:
        """Only at these clients, so nothing at the agency; ``None`` leaves all."""
        if clients is None:
            return self
        held = {client: self.everywhere | self.at.get(client, frozenset()) for client in clients}
        return Access(frozenset(), {client: permissions for client, permissions in held.items() if permissions})


def role_permissions(session: ScopedSession, agency_id: int, names: Iterable[str]) -> dict[str, frozenset[str]]:
    """Permissions by role name, of built-in and custom roles; unknown names are left out."""
    wanted = set(names)
    known = {name: ROLES[name] for name in wanted & ROLES.keys()}
    custom = wanted - known.keys()
    if custom:
        rows = session.execute(
            sa.select(Role.name, Role.permissions).where(Role.agency_id == agency_id, Role.name.in_(custom))
        )
        # A permission that a later release took away grants nothing.
        known |= {name: frozenset(permissions) & PERMISSIONS for name, permissions in rows}
    return known


def access_of(session: ScopedSession, agency_id: int, member_id: int) -> Access:
    """What the member's memberships add up to; agency-wide session."""
    rows = session.execute(
        sa.select(Membership.client_id, Membership.role).where(Membership.member_id == member_id)
    ).all()
    roles = role_permissions(session, agency_id, {row.role for row in rows})
    everywhere: frozenset[str] = frozenset()
    at: dict[int, frozenset[str]] = {}
    for client_id, role in rows:
        held = roles.get(role, frozenset())
        if client_id is None:
            everywhere |= held
        else:
            at[client_id] = at.get(client_id, frozenset()) | held
    return Access(everywhere, at)


def require_cover(actor: Actor, access: Access, message: str) -> None:
    """Raise ``Forbidden`` unless ``actor`` holds everything in ``access`` at the same places."""
    if isinstance(actor, System):
        return
    covered = isinstance(actor, Principal) and (
        all(actor.may(permission) for permission in access.everywhere)
        and all(actor.may(permission, client) for client, held in access.at.items() for permission in held)
    )
    if not covered:
        raise Forbidden(message, next_step="ask an admin of the agency to do it")
