"""Two locks between clients: what a session refuses by itself, and what PostgreSQL refuses in any case."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import aliased

from fairlead.clients.model import Agency, ApiToken, Member, Membership, Role
from fairlead.customers.model import BlockedIdentity, Identity, Profile
from fairlead.governance.model import AuditEntry
from fairlead.storage import bulk, ids
from fairlead.storage.base import tenant_tables
from fairlead.storage.database import Database
from fairlead.storage.scope import AgencyScope, ClientScope, ScopeViolation
from fairlead.storage.session import ScopedSession
from fairlead.storage.tables import metadata
from fairlead.storage.types import Sealed

NOW = dt.datetime(2026, 1, 5, tzinfo=dt.UTC)
OWN, OTHER = 11, 22


def person(client_id: int | None = None, **more: Any) -> Profile:
    return Profile(client_id=client_id, created_at=NOW, changed_at=NOW, attributes={}, **more)


def identity(profile: int, blind: bytes, client_id: int | None = None) -> Identity:
    return Identity(
        client_id=client_id, profile_id=profile, kind="member", blind=blind, value=Sealed(b"x"), strong=True,
        source="test", created_at=NOW,
    )  # fmt: skip


@pytest.fixture
def people(database: Database) -> dict[int, int]:
    """One profile with one identity in each of two clients; profile id by client."""
    made = {}
    for client in (OWN, OTHER):
        with database.write(ClientScope(client)) as session:
            row = person(gender=f"of {client}"[:8])
            session.add(row)
            session.flush()
            session.add(identity(row.id, bytes([client]) * 16))
            made[client] = row.id
    return made


@pytest.fixture
def own(database: Database, people: dict[int, int]) -> Iterator[ScopedSession]:
    """A session of the first client, rolled back at the end."""
    with database.read(ClientScope(OWN)) as session:
        yield session


def _cte() -> Any:
    found = sa.select(Profile.id).cte()
    return sa.select(found.c.id)


def _recursive() -> Any:
    base = sa.select(Profile.id, Profile.merged_into).cte(recursive=True)
    return sa.select(
        base.union_all(sa.select(Profile.id, Profile.merged_into).join(base, base.c.id == Profile.id)).c.id
    ).limit(5)


def _aliased() -> Any:
    other = aliased(Profile)
    return sa.select(other.id).where(other.gender.is_not(None))


def _lateral_count() -> Any:
    mine = aliased(Identity)
    return sa.select(Profile.id, sa.select(sa.func.count()).where(mine.profile_id != 0).scalar_subquery())


def _insert_from_select() -> Any:
    return sa.insert(BlockedIdentity).from_select(["client_id"], sa.select(Profile.client_id))


READS: dict[str, Callable[[], Any]] = {
    "select": lambda: sa.select(Profile.id),
    "entity": lambda: sa.select(Profile),
    "aliased": _aliased,
    "join": lambda: sa.select(Profile.id).join(Identity, Identity.profile_id == Profile.id),
    "cross join": lambda: sa.select(Identity.profile_id).select_from(Profile).join(Identity, sa.true()),
    "outer join": lambda: sa.select(Profile.id).outerjoin(Identity, Identity.profile_id == Profile.id),
    "subquery": lambda: sa.select(sa.select(Profile.id).subquery().c.id),
    "in": lambda: sa.select(Identity.profile_id).where(Identity.profile_id.in_(sa.select(Profile.id))),
    "union": lambda: sa.union_all(sa.select(Profile.id), sa.select(Identity.profile_id)),
    "cte": _cte,
    "recursive": _recursive,
    "window": lambda: sa.select(Profile.id, sa.func.row_number().over()),
}  # fmt: skip


@pytest.mark.parametrize("name", READS)
def test_no_read_shows_another_client(own: ScopedSession, people: dict[int, int], name: str) -> None:
    rows = own.execute(READS[name]()).all()
    seen = {row[0].id if isinstance(row[0], Profile) else row[0] for row in rows}
    assert seen == {people[OWN]}


@pytest.mark.parametrize("entity", [Profile, Identity])
def test_no_aggregate_counts_another_client(own: ScopedSession, entity: type[Any]) -> None:
    assert own.scalar(sa.select(sa.func.count()).select_from(entity)) == 1
    assert own.scalar(sa.select(sa.func.count(entity.id))) == 1
    foreign = sa.exists().where(entity.client_id == OTHER)
    assert own.execute(sa.select(Profile.id, foreign)).one()[1] is False
    with pytest.raises(ScopeViolation):  # no entity stands where the criteria would see it
        own.scalar(sa.select(foreign))
    assert own.execute(_lateral_count()).one()[1] == 1


def test_nothing_is_got_by_id(own: ScopedSession, people: dict[int, int]) -> None:
    assert own.get(Profile, people[OTHER]) is None
    assert own.get(Profile, people[OTHER], with_for_update=True) is None
    assert own.get(Profile, people[OWN]) is not None


def test_audit_entries_stay_apart(database: Database, people: dict[int, int]) -> None:
    with database.write(AgencyScope("test")) as session:
        for client in (OWN, OTHER):
            entry = {"client_id": client, "number": 1, "at": NOW, "actor": "a", "action": "a", "object_type": "o"}
            rest = {"object_id": "1", "request_id": "", "previous": b"", "digest": b""}
            session.execute(sa.insert(AuditEntry), [{**entry, **rest}])
    with database.read(ClientScope(OWN)) as session:
        assert session.scalars(sa.select(AuditEntry.client_id)).all() == [OWN]


def test_updates_and_deletes_meet_own_rows_only(database: Database, people: dict[int, int]) -> None:
    with database.write(ClientScope(OWN)) as session:
        changed = session.execute(sa.update(Profile).values(region="x"))
        assert changed.rowcount == 1
        assert session.execute(sa.update(Profile).where(Profile.id == people[OTHER]).values(region="y")).rowcount == 0
        assert session.execute(sa.delete(Identity)).rowcount == 1
    with database.read(AgencyScope("test")) as session:
        assert dict(session.execute(sa.select(Profile.client_id, Profile.region)).all()) == {OWN: "x", OTHER: None}
        assert session.scalars(sa.select(Identity.client_id)).all() == [OTHER]


REFUSED: dict[str, Callable[[ScopedSession, dict[int, int]], Any]] = {
    "insert": lambda s, p: s.execute(sa.insert(Profile), [{"id": 1, "client_id": OTHER}]),
    "insert without rows": lambda s, p: s.execute(sa.insert(Profile).values(id=1, client_id=OTHER)),
    "insert from select": lambda s, p: s.execute(_insert_from_select()),
    "flush": lambda s, p: (s.add(person(OTHER)), s.flush()),
    "change of client": lambda s, p: (setattr(s.get_one(Profile, p[OWN]), "client_id", OTHER), s.flush()),
    "update of client": lambda s, p: s.execute(sa.update(Profile).values(client_id=OTHER)),
    "update of client by name": lambda s, p: s.execute(sa.update(Profile).values({"client_id": OTHER})),
    "ordered update of client": lambda s, p: s.execute(sa.update(Profile).ordered_values((Profile.client_id, OTHER))),
    "update by primary key": lambda s, p: s.execute(sa.update(Profile), [{"id": p[OTHER], "region": "z"}]),
    "bulk mappings": lambda s, p: s.bulk_insert_mappings(Profile, [{"client_id": OTHER}]),
    "bulk update": lambda s, p: s.bulk_update_mappings(Profile, [{"id": p[OTHER], "region": "z"}]),
    "bulk objects": lambda s, p: s.bulk_save_objects([person(OTHER)]),
    "bulk columns": lambda s, p: bulk.insert(s, Profile, {"client_id": [OTHER]}),
    "bare table": lambda s, p: s.execute(sa.select(Profile.__table__)),
    "text": lambda s, p: s.execute(sa.text("SELECT * FROM profile")),
    "text as entities": lambda s, p: s.execute(sa.select(Profile).from_statement(sa.text("SELECT * FROM profile"))),
    "bare update": lambda s, p: s.execute(sa.update(Profile.__table__).values(region="z")),
    "merge": lambda s, p: (s.merge(person(OTHER, id=p[OTHER])), s.flush()),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_leaves_the_client_is_refused(database: Database, people: dict[int, int], name: str) -> None:
    with database.read(ClientScope(OWN)) as session, pytest.raises(ScopeViolation):
        REFUSED[name](session, people)
    with database.read(AgencyScope("test")) as session:
        assert sorted(session.scalars(sa.select(Profile.client_id))) == [OWN, OTHER]
        assert session.scalars(sa.select(Profile.region)).all() == [None, None]


AGENCY = ("agency", "api_token", "member", "role")
OF_THE_AGENCY: dict[str, Callable[[ScopedSession], Any]] = {
    "entity": lambda s: s.execute(sa.select(Member)),
    "column": lambda s: s.scalars(sa.select(ApiToken.digest)),
    "by id": lambda s: s.get(Role, 1),
    "alias": lambda s: s.execute(sa.select(aliased(Membership))),
    "update": lambda s: s.execute(sa.update(Member).values(state="disabled")),
    "delete": lambda s: s.execute(sa.delete(ApiToken)),
    "insert": lambda s: s.execute(sa.insert(Agency), [{"id": 5, "slug": "x", "name": "x", "created_at": NOW}]),
    "flush": lambda s: (s.add(Agency(slug="x", name="x", created_at=NOW)), s.flush()),
    "first of a join": lambda s: s.execute(sa.select(Agency.id, Profile.id).join(Profile, sa.true())),
}


@pytest.fixture
def agency(database: Database) -> int:
    """An agency with a member."""
    with database.write(AgencyScope("test")) as session:
        row = Agency(slug="main", name="Agency", created_at=NOW)
        session.add(row)
        session.flush()
        session.add(
            Member(
                agency_id=row.id, name="Li", email_blind=b"x" * 16, email=Sealed(b"x"), state="active", created_at=NOW
            )
        )
        return row.id


@pytest.mark.parametrize("name", OF_THE_AGENCY)
def test_the_agency_is_no_business_of_a_client(database: Database, agency: int, name: str) -> None:
    with database.read(ClientScope(OWN)) as session, pytest.raises(ScopeViolation):
        OF_THE_AGENCY[name](session)


def test_the_agency_stays_unseen_behind_own_rows(own: ScopedSession, people: dict[int, int], agency: int) -> None:
    joined = sa.select(Profile.id, Member.id).join(Member, sa.true())
    outer = sa.select(Profile.id, Member.id).outerjoin(Member, sa.true())
    inner = sa.select(sa.func.count()).select_from(Member).scalar_subquery()
    assert own.execute(joined).all() == []
    assert own.execute(outer).all() == [(people[OWN], None)]
    assert own.execute(sa.select(Profile.id, inner)).all() == [(people[OWN], 0)]
    assert own.execute(sa.select(Profile.id).where(sa.exists().where(Agency.id == agency))).all() == []


def test_new_rows_get_the_client_and_an_id(database: Database, people: dict[int, int]) -> None:
    with database.write(ClientScope(OWN)) as session:
        row = person()
        session.add(row)
        session.flush()
        assert (row.client_id, row.id > max(people.values())) == (OWN, True)
    with pytest.raises(ScopeViolation), database.write(AgencyScope("test")) as session:  # noqa: PT012 - at the commit
        session.add(person())
        session.flush()


@pytest.mark.parametrize("scope", [None, 5, "acme", object()])
def test_there_is_no_session_without_a_scope(database: Database, scope: Any) -> None:
    with pytest.raises(ScopeViolation), database.read(scope):
        pass


def test_an_agency_wide_session_has_no_client(database: Database) -> None:
    with database.read(AgencyScope("test")) as session, pytest.raises(ScopeViolation):
        _ = session.client_id


# -- the second lock --------------------------------------------------------------------------------------------------


@pytest.fixture
def guarded(database: Database, people: dict[int, int]) -> Database:
    """The database, where it has row-level security."""
    if database.is_sqlite:
        pytest.skip("SQLite has no row-level security")
    return database


def test_raw_statements_see_own_rows_only(guarded: Database, people: dict[int, int]) -> None:
    with guarded.read(ClientScope(OWN)) as session:
        assert session.bare(sa.text("SELECT client_id FROM profile")).scalars().all() == [OWN]
        assert session.bare(sa.text("UPDATE profile SET region = 'z'")).rowcount == 1
        assert session.bare(sa.text("DELETE FROM identity")).rowcount == 1


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO profile SELECT (jsonb_populate_record(p, jsonb_build_object('client_id', 22, 'id', 9))).*"
        " FROM profile p",
        "UPDATE profile SET client_id = 22",
    ],
)  # fmt: skip
def test_raw_statements_write_no_foreign_row(guarded: Database, statement: str) -> None:
    with guarded.read(ClientScope(OWN)) as session, pytest.raises(sa.exc.ProgrammingError, match="row-level security"):
        session.bare(sa.text(statement))


def test_raw_statements_find_nothing_of_the_agency(guarded: Database, agency: int) -> None:
    count = " UNION ALL ".join(f"SELECT count(*) FROM {table}" for table in AGENCY)
    with guarded.read(AgencyScope("test")) as session:
        assert session.bare(sa.text(count)).scalars().all() == [1, 0, 1, 0]
    with guarded.read(ClientScope(OWN)) as session:
        assert session.bare(sa.text(count)).scalars().all() == [0, 0, 0, 0]
        assert session.bare(sa.text("UPDATE member SET state = 'disabled'")).rowcount == 0
        with pytest.raises(sa.exc.ProgrammingError, match="row-level security"):
            session.bare(sa.text("INSERT INTO agency (id, slug, name, created_at) VALUES (9, 'x', 'x', 0)"))


def test_without_a_client_there_are_no_rows(guarded: Database) -> None:
    with guarded.engine.begin() as connection:
        connection.execute(sa.text("SET LOCAL ROLE fairlead_app"))
        for table in ("profile", "identity", "client"):
            assert connection.execute(sa.text(f"SELECT count(*) FROM {table}")).scalar_one() == 0


def test_a_connection_comes_back_without_client_and_role(guarded: Database) -> None:
    login = guarded.url.username
    state = sa.text(
        "SELECT current_user, current_setting('fairlead.client', true), current_setting('fairlead.all', true)"
    )
    for scope in (ClientScope(OWN), AgencyScope("test")):
        for fails in (False, True):
            try:
                with guarded.write(scope) as session:
                    process = session.bare(sa.text("SELECT pg_backend_pid()")).scalar_one()
                    if fails:
                        session.bare(sa.text("SELECT 1/0"))
            except sa.exc.DBAPIError:
                assert fails
            with guarded.engine.connect() as connection:
                assert connection.execute(sa.text("SELECT pg_backend_pid()")).scalar_one() == process
                user, client, everyone = connection.execute(state).one()
                assert (user, client or "", everyone or "") == (login, "", "")


CATALOGUE = {
    "role": "SELECT rolsuper, rolbypassrls, rolcanlogin, rolcreaterole FROM pg_roles WHERE rolname = 'fairlead_app'",
    "owned": "SELECT relname FROM pg_class WHERE relowner = 'fairlead_app'::regrole AND relpersistence = 'p'",
    "locked": "SELECT relname FROM pg_class WHERE relkind = 'r' AND relrowsecurity AND relforcerowsecurity",
    "of a client": """
        SELECT table_name FROM information_schema.columns
        WHERE column_name = 'client_id' AND table_schema = 'public'""",
    "ruled": """
        SELECT tablename FROM pg_policies
        WHERE permissive = 'PERMISSIVE' AND qual IS NOT NULL AND with_check IS NOT NULL AND cmd = 'ALL'""",
    "rights": """
        SELECT privilege_type FROM information_schema.role_table_grants
        WHERE grantee = 'fairlead_app' AND table_name = 'audit_entry'""",
}


def test_the_catalogue_says_so_too(guarded: Database) -> None:
    with guarded.engine.connect() as connection:
        found = {name: connection.execute(sa.text(query)).all() for name, query in CATALOGUE.items()}
    names = {name: {row[0] for row in rows} for name, rows in found.items()}
    assert found["role"] == [(False, False, False, False)]
    assert found["owned"] == []
    assert names["of a client"] == {*tenant_tables()}
    assert names["locked"] == names["ruled"] == {*tenant_tables(), "client", *AGENCY}
    assert names["rights"] == {"SELECT", "INSERT"}


def test_the_role_can_work_with_every_table(guarded: Database) -> None:
    with guarded.read(ClientScope(OWN)) as session:
        for name in metadata.tables:
            session.bare(sa.text(f'SELECT count(*) FROM "{name}"'))
        assert len(ids.reserve(session.connection(), 3)) == 3
