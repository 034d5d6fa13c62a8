"""What can be permitted, the four built-in roles, and who is asking.

A permission is ``resource:action``. A role is a set of them; a membership gives a member a role at one client or at the
whole agency; a token can only narrow what its member may. Nobody being there is a type that may do nothing, never
``None``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from fairlead.errors import Forbidden, NotFound, Unauthenticated

AGENCY_PERMISSIONS = frozenset({"agency:read", "clients:write", "members:read", "members:write", "tokens:write"})
READS = frozenset(
    {
        "client:read",
        "plugins:read",
        "channels:read",
        "profiles:read",
        "segments:read",
        "journeys:read",
        "messages:read",
        "insights:read",
        "jobs:read",
    }
)
CLIENT_PERMISSIONS = READS | {
    "plugins:write",
    "channels:write",
    "profiles:write",
    "profiles:reveal",
    "imports:write",
    "segments:write",
    "journeys:write",
    "journeys:activate",
    "messages:write",
    "insights:write",
    "jobs:write",
    "audit:read",
    "approvals:decide",
}
PERMISSIONS = AGENCY_PERMISSIONS | CLIENT_PERMISSIONS

ROLES: Mapping[str, frozenset[str]] = {
    "admin": PERMISSIONS,
    "operator": READS
    | {
        "channels:write",
        "profiles:write",
        "imports:write",
        "segments:write",
        "journeys:write",
        "journeys:activate",
        "messages:write",
        "insights:write",
        "jobs:write",
    },
    "analyst": READS | {"segments:write", "insights:write"},
    "approver": READS | {"journeys:activate", "approvals:decide", "audit:read"},
}


@dataclass(frozen=True, slots=True)
class Anonymous:
    """Nobody we know. May do nothing."""

    @property
    def actor(self) -> str:
        """How the audit log would call them."""
        return "anonymous"

    @property
    def key(self) -> str:
        """One key for all strangers, so that together they hold no more than one caller."""
        return self.actor

    def sees(self, client_id: int) -> bool:
        """Nothing."""
        return False

    def may(self, permission: str, client_id: int | None = None) -> bool:
        """Never."""
        return False

    def require(self, permission: str, client_id: int | None = None) -> None:
        """Refuse."""
        raise Unauthenticated("a token is needed", next_step="send `Authorization: Bearer <token>`")


@dataclass(frozen=True, slots=True)
class Principal:
    """A member asking with a token. ``everywhere`` holds at every client, ``at`` at single ones."""

    member_id: int
    token_id: int
    agency_id: int
    name: str
    everywhere: frozenset[str] = frozenset()
    at: Mapping[int, frozenset[str]] = field(default_factory=dict)
    only_clients: frozenset[int] | None = None

    @property
    def actor(self) -> str:
        """How the audit log calls them."""
        return f"member:{self.member_id}/token:{self.token_id}"

    @property
    def key(self) -> str:
        """Tells callers apart for fair sharing; an id, no name."""
        return self.actor

    def sees(self, client_id: int) -> bool:
        """Whether the client exists for them at all."""
        if self.only_clients is not None and client_id not in self.only_clients:
            return False
        return bool(self.at.get(client_id)) or bool(self.everywhere & CLIENT_PERMISSIONS)

    def may(self, permission: str, client_id: int | None = None) -> bool:
        """Whether they may do it, at a client or (without one) at the agency."""
        if client_id is None:
            return self.only_clients is None and permission in self.everywhere
        if self.only_clients is not None and client_id not in self.only_clients:
            return False
        return permission in self.everywhere or permission in self.at.get(client_id, frozenset())

    def require(self, permission: str, client_id: int | None = None) -> None:
        """Raise unless they may: not found where the client does not exist for them, forbidden otherwise."""
        if self.may(permission, client_id):
            return
        if client_id is not None and not self.sees(client_id):
            raise NotFound("there is no such client for you")
        raise Forbidden(
            f"this needs the permission {permission}", next_step="ask an admin of the agency for a role with it"
        )


@dataclass(frozen=True, slots=True)
class System:
    """The program itself: a worker, a migration, a person at the command line of the server."""

    name: str

    @property
    def actor(self) -> str:
        """How the audit log calls it."""
        return f"system:{self.name}"

    def sees(self, client_id: int) -> bool:
        """Every client."""
        return True

    def may(self, permission: str, client_id: int | None = None) -> bool:
        """Always; whoever can start the program owns the database anyway."""
        return True

    def require(self, permission: str, client_id: int | None = None) -> None:
        """Nothing to refuse."""


Actor = Anonymous | Principal | System
