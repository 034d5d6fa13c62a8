"""The agency and its clients: make, change, archive, find."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import sqlalchemy as sa

from fairlead.clients.model import Agency, Client
from fairlead.errors import Conflict, DomainError, InvalidInput, NotFound, Refusals
from fairlead.facts.model import Order
from fairlead.governance.audit import record, snapshot
from fairlead.plugins.events import DomainEvent
from fairlead.storage.locks import lock
from fairlead.storage.session import ScopedSession
from fairlead.work import Work

if TYPE_CHECKING:
    from fairlead.runtime import Fairlead

CLIENT_CHANGED = "client.changed"

SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,48}[a-z0-9])?")
RESERVED = frozenset({"admin", "agency", "api", "graphql", "healthz", "metrics", "readyz", "static", "webhooks"})
CURRENCY = re.compile(r"[A-Z]{3}")
_COLUMNS = ("slug", "name", "zone", "currency", "state")


@dataclass(frozen=True, slots=True)
class ClientRef:
    """A client outside a session."""

    id: int
    agency_id: int
    slug: str
    name: str
    zone: str
    currency: str
    state: str


def create_agency(work: Work, slug: str, name: str) -> Agency:
    """The agency that runs this installation; agency-wide work. Raises ``Conflict`` for a slug that is taken."""
    work.actor.require("clients:write")
    _check(slug=slug, name=name)
    lock(work.session, "agency")
    if work.session.scalar(sa.select(Agency.id).where(Agency.slug == slug)) is not None:
        raise Conflict("an agency with this slug exists", path=("slug",))
    agency = Agency(slug=slug, name=name.strip(), created_at=work.now)
    work.session.add(agency)
    work.session.flush()
    record(work, "agency.created", "agency", agency.id, None, snapshot(agency, "slug", "name"))
    return agency


def the_agency(session: ScopedSession) -> Agency:
    """The agency of this installation; raises ``NotFound`` before there is one."""
    agency = session.scalars(sa.select(Agency).order_by(Agency.id).limit(1)).one_or_none()
    if agency is None:
        raise NotFound("there is no agency yet", next_step="`fairlead client create` makes one with the first client")
    return agency


def create_client(
    work: Work, agency_id: int, slug: str, name: str, *, zone: str = "Asia/Shanghai", currency: str = "CNY"
) -> Client:
    """A new client with no plugin switched on; agency-wide work.

    ``slug`` is for URLs and commands: 1 to 50 of a-z, 0-9 and -, and it cannot be taken by another client, even an
    archived one. Raises ``Refusals`` for bad fields, ``Conflict`` for a slug that is taken.
    """
    work.actor.require("clients:write")
    _check(slug=slug, name=name, zone=zone, currency=currency)
    lock(work.session, "clients")
    if work.session.scalar(sa.select(Client.id).where(Client.slug == slug)) is not None:
        raise Conflict("a client with this slug exists", path=("slug",), next_step="choose another slug")
    if work.session.get(Agency, agency_id) is None:
        raise NotFound("there is no such agency")
    client = Client(
        agency_id=agency_id,
        slug=slug,
        name=name.strip(),
        zone=zone,
        currency=currency,
        state="active",
        created_at=work.now,
    )
    work.session.add(client)
    work.session.flush()
    record(work, "client.created", "client", client.id, None, snapshot(client, *_COLUMNS), client_id=client.id)
    _announce(work, client)
    return client


def update_client(
    work: Work, client_id: int, *, name: str | None = None, zone: str | None = None, currency: str | None = None
) -> Client:
    """Change what is given; the slug never changes.

    Raises ``Conflict`` for another currency once there are orders, since answers are given in the client's currency.
    """
    work.actor.require("clients:write", client_id)
    _check(name=name, zone=zone, currency=currency)
    client = get_client(work.session, client_id)
    if currency not in (None, client.currency) and work.session.scalar(
        sa.select(Order.id).where(Order.client_id == client_id).limit(1)
    ):
        raise Conflict(
            "the client has orders, so its currency stays",
            path=("currency",),
            next_step="create another client for another currency",
        )
    before = snapshot(client, *_COLUMNS)
    client.name = client.name if name is None else name.strip()
    client.zone = client.zone if zone is None else zone
    client.currency = client.currency if currency is None else currency
    _note(work, client, "client.changed", before)
    return client


def archive_client(work: Work, client_id: int) -> Client:
    """Stop all work for a client and keep its data; its members can still read. Agency-wide permission needed."""
    return _set_state(work, client_id, "archived", "client.archived")


def restore_client(work: Work, client_id: int) -> Client:
    """Make an archived client active again."""
    return _set_state(work, client_id, "active", "client.restored")


def get_client(session: ScopedSession, client_id: int) -> Client:
    """The client; raises ``NotFound``."""
    client = session.get(Client, client_id)
    if client is None:
        raise NotFound("there is no such client")
    return client


def find_client(session: ScopedSession, client: int | str) -> ClientRef | None:
    """The client with this id or slug, or ``None``."""
    wanted = Client.id == client if isinstance(client, int) else Client.slug == client
    row = session.execute(_refs().where(wanted)).one_or_none()
    return None if row is None else _ref(row)


def list_clients(
    work: Work, *, first: int = 20, after_slug: str = "", only: frozenset[int] | None = None, archived: bool = False
) -> list[ClientRef]:
    """Clients that the actor sees, by slug, after ``after_slug`` (keyset); agency-wide work."""
    query = _refs().where(Client.slug > after_slug).order_by(Client.slug)
    if not archived:
        query = query.where(Client.state == "active")
    if only is not None:
        query = query.where(Client.id.in_(only))
    found: list[ClientRef] = []
    # Visibility is the actor's to say, so pages are read until enough visible ones are found.
    while len(found) < first:
        rows = [_ref(row) for row in work.session.execute(query.limit(first))]
        found += [row for row in rows if _sees(work, row.id)]
        if len(rows) < first:
            break
        query = query.where(Client.slug > rows[-1].slug)
    return found[:first]


def each_active_client(runtime: Fairlead, page: int = 100) -> Iterator[ClientRef]:
    """Every active client, read page by page; no transaction is open while the caller works on one."""
    slug = ""
    while True:
        with runtime.agency_reading("go through the clients") as work:
            clients = list_clients(work, first=page, after_slug=slug)
        yield from clients
        if len(clients) < page:
            return
        slug = clients[-1].slug


def _ref(row: sa.Row[Any]) -> ClientRef:
    return ClientRef(row.id, row.agency_id, row.slug, row.name, row.zone, row.currency, row.state)


def _refs() -> sa.Select[*tuple[Any, ...]]:
    return sa.select(Client.id, Client.agency_id, Client.slug, Client.name, Client.zone, Client.currency, Client.state)


def _sees(work: Work, client_id: int) -> bool:
    return work.actor.sees(client_id)


def _set_state(work: Work, client_id: int, state: str, action: str) -> Client:
    work.actor.require("clients:write")
    client = get_client(work.session, client_id)
    before = snapshot(client, *_COLUMNS)
    client.state = state
    _note(work, client, action, before)
    return client


def _note(work: Work, client: Client, action: str, before: dict[str, object]) -> None:
    after = snapshot(client, *_COLUMNS)
    if after == before:
        return
    record(work, action, "client", client.id, before, after, client_id=client.id)
    _announce(work, client)


def _announce(work: Work, client: Client) -> None:
    key = f"{CLIENT_CHANGED}/{client.id}/{work.now.timestamp():.3f}"
    work.events.append(DomainEvent(key, CLIENT_CHANGED, client.id, work.now, f"client:{client.id}"))


def _check(
    *, slug: str | None = None, name: str | None = None, zone: str | None = None, currency: str | None = None
) -> None:
    errors: list[DomainError] = []
    if slug is not None and (not SLUG.fullmatch(slug) or slug in RESERVED):
        errors.append(
            InvalidInput("a slug has 1 to 50 of a-z, 0-9 and -, no - at its ends, and no reserved word", path=("slug",))
        )
    if name is not None and not (0 < len(name.strip()) <= 80 and name.isprintable()):
        errors.append(InvalidInput("a name has 1 to 80 printable characters", path=("name",)))
    if zone is not None and not _is_zone(zone):
        errors.append(
            InvalidInput("there is no such time zone", path=("zone",), next_step="use a name as Asia/Shanghai")
        )
    if currency is not None and not CURRENCY.fullmatch(currency):
        errors.append(InvalidInput("a currency is three capital letters (ISO 4217)", path=("currency",)))
    if errors:
        raise Refusals(errors)


def _is_zone(zone: str) -> bool:
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return len(zone) <= 40
