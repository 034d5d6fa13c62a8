"""What every resolver gets: who asks, and the reading session of the client that is being read.

An operation holds one session at a time, whatever number of clients it goes over: with one each, an operation over
more clients than there are connections would wait for itself, and everybody else for it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

from fairlead.clients.service import ClientRef
from fairlead.errors import NotFound, Unauthenticated
from fairlead.governance.permissions import Anonymous, Principal
from fairlead.runtime import Fairlead
from fairlead.work import Work
from fairlead_graphql.door.principal import Anonymous as Stranger
from fairlead_graphql.interruption import stopped_at_deadline

if TYPE_CHECKING:
    import strawberry

    Info = strawberry.Info["Context", None]

T = TypeVar("T")


class Context:
    """Used as a context manager: what it opened is closed with the operation. One thread uses it at a time."""

    def __init__(self, runtime: Fairlead, principal: Principal | Stranger, request_id: str = "") -> None:
        self.runtime = runtime
        self.principal = principal
        self.request_id = request_id
        self.shown_once: dict[int, str] = {}
        """Secrets that a mutation of this operation made, by row: shown in its payload and kept nowhere."""
        self._open = ExitStack()
        self._place: int | None = None
        self._work: Work | None = None

    @property
    def actor(self) -> Principal | Anonymous:
        """The caller as the services know them."""
        return Anonymous() if isinstance(self.principal, Stranger) else self.principal

    @property
    def member(self) -> Principal:
        """The caller, who is known: everything but the public list is refused to strangers before it gets here."""
        if isinstance(self.principal, Stranger):
            raise Unauthenticated("a token is needed", next_step="send `Authorization: Bearer <token>`")
        return self.principal

    def client(self, client: int | str, permission: str) -> ClientRef:
        """The client by slug or number, if the caller has the permission there.

        Raises ``NotFound`` where it does not exist for them.
        """
        found = self.runtime.client(client)
        if found.agency_id != self.member.agency_id:
            raise NotFound("there is no such client for you")
        self.member.require(permission, found.id)
        return found

    def require(self, permission: str, client_id: int | None = None) -> None:
        """Raise unless the caller has the permission, at the client or (without one) at the agency."""
        self.member.require(permission, client_id)

    def work(self, client_id: int) -> Work:
        """The reading session of one client: good until another client's, or the agency's, is asked for."""
        return self._reading(client_id)

    def agency_work(self) -> Work:
        """The reading session over all clients, for what belongs to the agency itself; good as long as :meth:`work`."""
        return self._reading(None)

    def fresh(self) -> None:
        """Close what is open, so that the next read sees what a mutation has just committed."""
        self._work = None
        self._open.close()

    def change(self, client_id: int, function: Callable[[Work], T]) -> T:
        """Call ``function(work)`` in writing work of a client, as the caller; again when the database was busy.

        Nothing is committed once the time of the request is over: its caller was told so. Raises ``Unavailable`` then.
        """
        self.fresh()
        return self.runtime.run(client_id, _in_time(function), actor=self.member, request_id=self.request_id)

    def change_agency(self, reason: str, function: Callable[[Work], T]) -> T:
        """:meth:`change` in agency-wide work; ``reason`` says what for."""
        self.fresh()
        return self.runtime.run_agency(reason, _in_time(function), actor=self.member, request_id=self.request_id)

    def _reading(self, place: int | None) -> Work:
        if self._work is None or self._place != place:
            self.fresh()
            opened = (
                self.runtime.agency_reading("answer a query", self.actor, self.request_id)
                if place is None
                else self.runtime.reading(place, actor=self.actor, request_id=self.request_id)
            )
            work = self._open.enter_context(opened)
            self._open.enter_context(stopped_at_deadline(work.session))
            self._work, self._place = work, place
        return self._work

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()


def _in_time(function: Callable[[Work], T]) -> Callable[[Work], T]:
    def run(work: Work) -> T:
        with stopped_at_deadline(work.session, writes=True):
            return function(work)

    return run
