"""Whose rows a session may touch. There is no default: a session without a scope can do nothing."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ClientScope:
    """Rows of one client."""

    client_id: int


@dataclass(frozen=True, slots=True)
class AgencyScope:
    """Rows of all clients; ``reason`` says what for, and shows in traces."""

    reason: str


Scope = ClientScope | AgencyScope


class ScopeViolation(Exception):
    """Code tried to reach outside its scope. A bug, never a user's mistake."""
