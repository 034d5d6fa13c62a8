"""One unit of work: a session in its scope, and everything a service may need besides.

Services are functions ``verb_noun(work, …)``. They never open sessions, read the clock or look for keys themselves, so
the same code runs under a request, a worker, a simulation on virtual time and a test.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fairlead.governance.permissions import Actor, System
from fairlead.storage.session import ScopedSession

if TYPE_CHECKING:
    from fairlead.plugins.client_set import ClientPlugins
    from fairlead.plugins.events import DomainEvent
    from fairlead.storage.crypto import Vault


def utc_now() -> dt.datetime:
    """The wall clock, cut to milliseconds as the database keeps it."""
    now = dt.datetime.now(dt.UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


@dataclass(slots=True)
class Work:
    """``now`` is fixed for the whole unit; ``events`` are handed to plugins after the commit."""

    session: ScopedSession
    vault: Vault
    plugins: ClientPlugins
    actor: Actor = field(default_factory=lambda: System("core"))
    now: dt.datetime = field(default_factory=utc_now)
    request_id: str = ""
    public_url: str = ""
    events: list[DomainEvent] = field(default_factory=list)
    after_commit: list[Callable[[], None]] = field(default_factory=list)

    @property
    def client_id(self) -> int:
        """The client this work is for."""
        return self.session.client_id
