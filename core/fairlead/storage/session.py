"""The session that cannot leave its scope.

Every ORM statement gets the client as a criterion, every flush is checked row by row, and a statement on a bare table
is refused unless it says so with the execution option ``bare`` (which a test allows in a short list of modules only).
PostgreSQL's row-level security is the second lock, set at the beginning of each transaction.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.orm import (
    FromStatement,
    ORMExecuteState,
    Session,
    SessionTransaction,
    UOWTransaction,
    with_loader_criteria,
)

from fairlead.storage import ids
from fairlead.storage.base import AgencyOnly, Shared, Tenant
from fairlead.storage.scope import AgencyScope, ClientScope, Scope, ScopeViolation

BARE = {"bare": True}


class ScopedSession(Session):
    """A session bound to one :data:`~fairlead.storage.scope.Scope` for its whole life."""

    def __init__(self, *args: Any, scope: Scope, **kwargs: Any) -> None:
        if not isinstance(scope, ClientScope | AgencyScope):
            raise ScopeViolation("a session needs a scope")
        super().__init__(*args, **kwargs)
        self.scope: Scope = scope

    @property
    def client_id(self) -> int:
        """The client of a client-scoped session; raises :class:`ScopeViolation` in an agency-wide one."""
        if isinstance(self.scope, ClientScope):
            return self.scope.client_id
        raise ScopeViolation("this work needs one client")

    @property
    def is_postgresql(self) -> bool:
        """Whether the session talks to PostgreSQL."""
        return self.get_bind().dialect.name == "postgresql"

    def interrupter(self) -> Callable[[], None]:
        """A function that ends the statement in progress, for another thread to call; it never raises."""
        raw: Any = self.connection().connection.driver_connection
        stop = raw.cancel_safe if self.is_postgresql else raw.interrupt

        def interrupt() -> None:
            with contextlib.suppress(Exception):
                stop()

        return interrupt

    def bulk_save_objects(self, *_args: Any, **_kwargs: Any) -> None:
        """Refused, like the other two: these go past every check. Use :mod:`fairlead.storage.bulk`."""
        raise ScopeViolation("the session's own bulk methods do not stay in their client: use fairlead.storage.bulk")

    bulk_insert_mappings = bulk_update_mappings = bulk_save_objects

    def bare(self, statement: Any, parameters: Any = None, **options: Any) -> Any:
        """Execute a statement that the tenant criteria do not reach. The module must be on the reviewed list."""
        return self.execute(statement, parameters, execution_options=BARE | options)


@event.listens_for(ScopedSession, "after_begin")
def _enter_scope(session: ScopedSession, _transaction: SessionTransaction, connection: sa.Connection) -> None:
    if connection.dialect.name != "postgresql":
        return
    client = str(session.scope.client_id) if isinstance(session.scope, ClientScope) else ""
    everyone = "on" if isinstance(session.scope, AgencyScope) else ""
    connection.execute(
        sa.text(
            "SELECT set_config('role', 'fairlead_app', true), set_config('fairlead.client', :client, true),"
            " set_config('fairlead.all', :everyone, true)"
        ),
        {"client": client, "everyone": everyone},
    )


@event.listens_for(ScopedSession, "do_orm_execute")
def _stay_in_scope(state: ORMExecuteState) -> None:
    session = state.session
    assert isinstance(session, ScopedSession)
    if state.execution_options.get("bare"):
        return
    if not state.is_orm_statement or isinstance(state.statement, FromStatement):
        raise ScopeViolation("a statement on a bare table: use ORM entities, or session.bare() in a reviewed module")
    if isinstance(session.scope, AgencyScope):
        return
    client_id = session.scope.client_id
    mapper = state.bind_mapper
    if mapper is not None:
        _require_own(mapper.class_)
    if state.is_insert:
        _stamp_rows(state, client_id)
        return
    if state.is_update:
        _keep_clients(state)
    state.statement = state.statement.options(*_criteria(client_id))


@functools.lru_cache(maxsize=4096)
def _criteria(client_id: int) -> tuple[Any, ...]:
    """What every statement of a client is held to. Kept, since making it anew costs more than most statements."""
    from fairlead.clients.model import Client

    return (
        with_loader_criteria(Tenant, lambda cls: cls.client_id == client_id, include_aliases=True),
        with_loader_criteria(Client, lambda cls: cls.id == client_id, include_aliases=True),
        # One that stands alone is refused; joined or in a subquery it has no rows, as row-level security has it.
        with_loader_criteria(AgencyOnly, lambda _cls: sa.false(), include_aliases=True),
    )


def _require_own(entity: type[Any]) -> None:
    """Refuse an entity that is not for the work of a client."""
    from fairlead.clients.model import Client

    if not issubclass(entity, (Tenant, Shared, Client)):
        raise ScopeViolation(f"{entity.__name__} belongs to no client: this is for agency-wide work")


def _stamp_rows(state: ORMExecuteState, client_id: int) -> None:
    mapper = state.bind_mapper
    if mapper is None or not issubclass(mapper.class_, Tenant):
        return
    rows: Any = state.parameters
    if rows is None:
        raise ScopeViolation("an insert of ORM entities needs its rows as parameters")
    for row in rows if isinstance(rows, list) else [rows]:
        if row.setdefault("client_id", client_id) != client_id:
            raise ScopeViolation("a row of another client")


def _keep_clients(state: ORMExecuteState) -> None:
    """Refuse what would move rows to another client, and updates by primary key, which no criteria reach."""
    statement: Any = state.statement
    if any(getattr(column, "key", column) == "client_id" for column in statement._values or ()):
        raise ScopeViolation("a row keeps its client")
    if state.parameters:
        raise ScopeViolation("an update by primary key does not stay in its client: use bulk.update()")


@event.listens_for(ScopedSession, "before_flush")
def _check_rows(session: ScopedSession, _context: UOWTransaction, _instances: object) -> None:
    scope = session.scope
    fresh = [row for row in session.new if getattr(row, "id", 0) is None and hasattr(type(row), "id")]
    if fresh:
        for row, id_ in zip(fresh, ids.reserve(session.connection(), len(fresh)).tolist(), strict=True):
            row.id = id_
    if isinstance(scope, AgencyScope):
        for row in session.new:
            if isinstance(row, Tenant) and row.client_id is None:
                raise ScopeViolation("a row without a client")
        return
    for row in (*session.new, *session.dirty, *session.deleted):
        _require_own(type(row))
    for row in session.new:
        if isinstance(row, Tenant):
            if row.client_id is None:
                row.client_id = scope.client_id
            elif row.client_id != scope.client_id:
                raise ScopeViolation("a row of another client")
    for row in (*session.dirty, *session.deleted):
        if isinstance(row, Tenant):
            history = sa.inspect(row).attrs.client_id.history
            if row.client_id != scope.client_id or history.deleted:
                raise ScopeViolation("a row of another client")
