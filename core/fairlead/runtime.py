"""The application object: one per process, made at start-up and handed on. There is no global.

It joins settings, database, keys, plugins and engine, and opens units of work. The order at the end of one is fixed:
commit, then ``after_commit``, then the domain events to the plugins that are on for the client. What happens after the
commit can fail without undoing it, so those failures are logged and never raised.
"""

from __future__ import annotations

import datetime as dt
import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

import httpx2

from fairlead.caching import Expiring
from fairlead.clients import plugin_sets, service, tokens
from fairlead.clients.service import ClientRef
from fairlead.engine.port import Engine
from fairlead.errors import Conflict, NotFound, Unavailable
from fairlead.governance.locks import NamedLocks
from fairlead.governance.permissions import Actor, Anonymous, Principal, System
from fairlead.observability.logging import get_logger
from fairlead.observability.metrics import Metrics
from fairlead.observability.tracing import Tracing
from fairlead.plugins.client_set import ClientPlugins
from fairlead.plugins.http import guarded_client
from fairlead.plugins.manager import Plugins
from fairlead.settings import Settings
from fairlead.storage.crypto import Vault
from fairlead.storage.database import Database, is_busy
from fairlead.storage.scope import AgencyScope, ClientScope, Scope
from fairlead.storage.session import ScopedSession
from fairlead.work import Work, utc_now

if TYPE_CHECKING:
    from fairlead.plugins.events import DomainEvent

T = TypeVar("T")

CORE = System("core")
ATTEMPTS = 5
TOUCH_EVERY = 60.0

log = get_logger("fairlead.runtime")


class Fairlead:
    """What a process of Fairlead needs; thread-safe. Close it at the end, or use it as a context manager."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        vault: Vault,
        plugins: Plugins,
        engine: Engine | None = None,
        *,
        metrics: Metrics | None = None,
        tracing: Tracing | None = None,
        clock: Callable[[], dt.datetime] = utc_now,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings = settings
        self.database = database
        self.vault = vault
        self.plugins = plugins
        self.engine = engine
        self.metrics = metrics or Metrics()
        self.tracing = tracing or Tracing()
        self.clock = clock
        self.locks = NamedLocks(database)
        self._clients: Expiring[int | str, ClientRef] = Expiring(settings.cache_seconds, timer)
        self._enabled: Expiring[int, frozenset[str]] = Expiring(settings.cache_seconds, timer)
        self._touched: Expiring[int, bool] = Expiring(TOUCH_EVERY, timer)
        self._http: httpx2.Client | None = None
        self.listeners: list[Callable[[DomainEvent], object]] = []
        self._guard = threading.Lock()
        self._background = ThreadPoolExecutor(1, thread_name_prefix="fairlead-after")
        for status in plugins.statuses():
            self.metrics.plugins.labels(status.state).inc()

    # -- units of work ----------------------------------------------------------------------------------------------

    @contextmanager
    def work(
        self, client: int | str, *, actor: Actor = CORE, request_id: str = "", archived: bool = False
    ) -> Iterator[Work]:
        """A unit of work in one client (id or slug) that is committed at the end and undone by an exception.

        Raises :class:`~fairlead.errors.NotFound` for an unknown client and :class:`~fairlead.errors.Conflict` for an
        archived one, unless ``archived`` says that this is meant.
        """
        found = self.client(client)
        if found.state != "active" and not archived:
            raise Conflict("the client is archived", next_step="make the client active again first")
        with self._written(ClientScope(found.id), self.plugins_of(found.id), actor, request_id) as work:
            yield work

    @contextmanager
    def reading(self, client: int | str, *, actor: Actor = CORE, request_id: str = "") -> Iterator[Work]:
        """A unit of work in one client that changes nothing: what it wrote is undone."""
        found = self.client(client)
        with self.database.read(ClientScope(found.id)) as session:
            yield self._unit(session, self.plugins_of(found.id), actor, request_id)

    @contextmanager
    def agency_work(self, reason: str, actor: Actor = CORE, request_id: str = "") -> Iterator[Work]:
        """A unit of work over all clients; ``reason`` says what for. No plugin is on in it."""
        with self._written(AgencyScope(reason), self.plugins.subset(()), actor, request_id) as work:
            yield work

    @contextmanager
    def agency_reading(self, reason: str, actor: Actor = CORE, request_id: str = "") -> Iterator[Work]:
        """:meth:`agency_work` that changes nothing."""
        with self.database.read(AgencyScope(reason)) as session:
            yield self._unit(session, self.plugins.subset(()), actor, request_id)

    def run(
        self,
        client: int | str,
        function: Callable[[Work], T],
        *,
        actor: Actor = CORE,
        request_id: str = "",
        archived: bool = False,
    ) -> T:
        """Call ``function(work)`` in :meth:`work`, again when the database was busy: it must have no outside effect."""
        return self._again(lambda: self.work(client, actor=actor, request_id=request_id, archived=archived), function)

    def run_agency(self, reason: str, function: Callable[[Work], T], *, actor: Actor = CORE, request_id: str = "") -> T:
        """Call ``function(work)`` in :meth:`agency_work`, again when the database was busy."""
        return self._again(lambda: self.agency_work(reason, actor, request_id), function)

    # -- clients and callers ----------------------------------------------------------------------------------------

    def client(self, client: int | str) -> ClientRef:
        """The client with this id or slug; at most ``cache_seconds`` old. Raises ``NotFound``."""
        found = self._clients.get(client)
        if found is None:
            stamp = self._clients.stamp()
            with self.database.read(AgencyScope("find a client")) as session:
                found = service.find_client(session, client)
            if found is None:
                raise NotFound("there is no such client", next_step="`fairlead client list` shows them")
            self._clients.put(found.id, found, stamp)
            self._clients.put(found.slug, found, stamp)
        return found

    def enabled(self, client_id: int) -> frozenset[str]:
        """Names of the plugins that are on for a client; at most ``cache_seconds`` old, at once after a change here."""
        known = self._enabled.get(client_id)
        if known is None:
            stamp = self._enabled.stamp()
            with self.database.read(ClientScope(client_id)) as session:
                known = plugin_sets.enabled_plugins(session)
            self._enabled.put(client_id, known, stamp)
        return known

    def plugins_of(self, client_id: int) -> ClientPlugins:
        """What the client has of the installed plugins."""
        return self.plugins.subset(self.enabled(client_id))

    def forget(self, client_id: int | None = None) -> None:
        """Drop what is remembered about one client, or all."""
        self._clients.clear()
        self._enabled.clear(client_id)

    def authenticate(self, secret: str) -> Principal | Anonymous:
        """Who holds this token. Notes its use about once a minute, off the caller's path."""
        with self.database.read(AgencyScope("authenticate")) as session:
            principal = tokens.authenticate(session, secret, self.clock())
        if isinstance(principal, Principal) and self._touched.get(principal.token_id) is None:
            self._touched.put(principal.token_id, True)
            self._background.submit(self._touch, principal.token_id)
        return principal

    def still_valid(self, principal: Principal) -> bool:
        """Whether the token still gives exactly these permissions; open sockets ask every few seconds."""
        with self.database.read(AgencyScope("authenticate")) as session:
            return tokens.still_valid(session, principal, self.clock())

    @property
    def http(self) -> httpx2.Client:
        """The guarded client that plugins call platforms with; one for the process."""
        with self._guard:
            if self._http is None:
                limits = self.settings.limits
                self._http = guarded_client(
                    allow_hosts=self.settings.allow_hosts,
                    timeout=limits.outgoing_seconds,
                    max_bytes=limits.outgoing_bytes,
                )
            return self._http

    # -- life -------------------------------------------------------------------------------------------------------

    def close(self, grace: float = 30.0) -> None:
        """Stop the engine, finish what is in progress and close all connections."""
        if self.engine is not None:
            self.engine.stop(grace)
        self._background.shutdown(wait=True)
        if self._http is not None:
            self._http.close()
        self.tracing.close()
        self.locks.close()
        self.database.dispose()

    def __enter__(self) -> Fairlead:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- inside -----------------------------------------------------------------------------------------------------

    def _unit(self, session: ScopedSession, plugins: ClientPlugins, actor: Actor, request_id: str) -> Work:
        return Work(
            session=session,
            vault=self.vault,
            plugins=plugins,
            actor=actor,
            now=self.clock(),
            request_id=request_id,
            public_url=self.settings.public_url,
        )

    @contextmanager
    def _written(self, scope: Scope, plugins: ClientPlugins, actor: Actor, request_id: str) -> Iterator[Work]:
        with self.database.write(scope) as session:
            work = self._unit(session, plugins, actor, request_id)
            yield work
        self._after(work)

    def _after(self, work: Work) -> None:
        for call in work.after_commit:
            try:
                call()
            except Exception:
                log.error("a call after the commit failed", exc_info=True)
        for event in work.events:
            self._deliver(event)

    def _deliver(self, event: DomainEvent) -> None:
        if event.type in (plugin_sets.PLUGINS_CHANGED, service.CLIENT_CHANGED):
            self.forget(event.client_id)
        self.metrics.events.labels(event.type).inc()
        for listen in self.listeners:
            try:
                listen(event)
            except Exception:
                log.error("a listener failed on an event", event_type=event.type, exc_info=True)
        try:
            self.plugins.on_event(event, self.enabled(event.client_id))
        except Exception:
            log.error("an event was not delivered", event_type=event.type, client_id=event.client_id, exc_info=True)

    def _again(self, open_work: Callable[[], object], function: Callable[[Work], T]) -> T:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                with open_work() as work:  # type: ignore[attr-defined]
                    return function(work)
            except Exception as error:
                if not is_busy(error):
                    raise
                if attempt == ATTEMPTS:
                    raise Unavailable("the database is busy", next_step="try again in a moment") from error
                self.metrics.busy_retries.inc()
                # Spread out, so that two which met once do not meet again.
                time.sleep(0.02 * 2**attempt * (0.5 + random.random()))  # noqa: S311 -- no secret
        raise AssertionError("unreachable")

    def _touch(self, token_id: int) -> None:
        try:
            with self.database.write(AgencyScope("note the use of a token")) as session:
                tokens.touch(session, token_id, self.clock())
        except Exception as error:  # noqa: BLE001 -- when a token was last used is not worth a failed request
            log.warning("the use of a token was not noted", token_id=token_id, reason=type(error).__name__)


def open_runtime(
    settings: Settings | None = None,
    *,
    plugins: Plugins | None = None,
    engine: Engine | None = None,
    clock: Callable[[], dt.datetime] = utc_now,
) -> Fairlead:
    """The runtime of this process by its settings. The database is not touched: migrate it first.

    The engine is not made here, since most processes of the command line need none: see :mod:`fairlead.workflows`.
    """
    settings = settings or Settings()
    settings.prepare()
    vault = settings.vault()
    limits = settings.limits
    database = Database(settings.database_url, pool_size=limits.threads, statement_timeout=limits.statement_seconds)
    return Fairlead(
        settings,
        database,
        vault,
        plugins if plugins is not None else Plugins.discover(policy=settings.plugin_policy),
        engine,
        tracing=Tracing.from_environment(),
        clock=clock,
    )
