"""The outside plugin, installed by pip as a stranger would, used, and taken away again without breaking an upgrade."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from fairlead.plugins.manager import Plugins
from fairlead.storage import migrate
from fairlead.storage.database import Database, normalise_url

SERVER = "FAIRLEAD_TEST_POSTGRES"
EXAMPLE = Path(__file__).parents[2] / "examples" / "fairlead_acme_loyalty"
BUILT = {"build", "dist", "__pycache__", ".pytest_cache"}

MIGRATE_AND_GRANT = """
import json, logging, sys, datetime as dt
from fairlead.errors import InvalidInput
from fairlead.plugins.events import DomainEvent, EventType
from fairlead.plugins.manager import Plugins
from fairlead.storage import migrate
from fairlead.storage.database import Database
from fairlead.storage.scope import ClientScope
from fairlead_acme_loyalty import points

plugins = Plugins.discover(environ={"FAIRLEAD_PLUGINS_ONLY": "acme_loyalty"}, policy="strict")
database, now = Database(sys.argv[1]), dt.datetime(2026, 1, 5, tzinfo=dt.UTC)
for _ in range(2):
    migrate.upgrade(database, plugins.migrations())
for client, some in ((1, 120), (2, 7)):
    with database.write(ClientScope(client)) as session:
        points.grant(session, client, 10, some, now)
with database.write(ClientScope(1)) as session:
    points.grant(session, 1, 11, 30, now)
    try:
        points.grant(session, 1, 11, -31, now)
    except InvalidInput as error:
        refused = error.message
with database.read(ClientScope(1)) as session:
    mine = dict(points.balances(session, 1, [10, 11, 12]))
    others = dict(points.balances(session, 2, [10]))
    before = points.outstanding(session, 1)
with database.write(ClientScope(1)) as session:
    points.grant(session, 1, 11, 5, now)
    sums = [before, points.outstanding(session, 1)]
heard = []
log = logging.getLogger("fairlead_acme_loyalty")
log.setLevel(logging.INFO)
log.addFilter(lambda line: heard.append(line.getMessage()))
plugins.on_event(DomainEvent("k", EventType.IMPORT_FINISHED, 2, now, "7"), [])
plugins.on_event(DomainEvent("k", EventType.IMPORT_FINISHED, 1, now, "7"), ["acme_loyalty"])
(registry,) = plugins.graphql_registries()
print(json.dumps({
    "hooks": list(plugins.statuses()[[s.name for s in plugins.statuses()].index("acme_loyalty")].hooks),
    "things": sorted(f"{entry.kind} {entry.name}" for entry in plugins),
    "fields": sorted(f"{field.type_name}.{field.name}" for field in registry.batch_fields),
    "mine": mine, "others": others, "refused": refused, "sums": sums, "heard": heard,
    "drift": [str(change) for change in migrate.drift(database)],
}))
database.dispose()
"""

ASK = """
import json, sys
from fairlead.clients import service
from fairlead.clients.plugin_sets import set_plugin
from fairlead.customers.model import Profile
from fairlead.governance.permissions import PERMISSIONS, Principal
from fairlead.plugins.manager import Plugins
from fairlead.runtime import Fairlead
from fairlead.settings import Settings
from fairlead.storage import migrate
from fairlead.storage.crypto import Keyring, Vault
from fairlead.storage.database import Database
from fairlead.testing import FakeClock
from fairlead_acme_loyalty import points
from fairlead_graphql.context import Context
from fairlead_graphql.schema import build_schema

QUERY = '{ client(slug: "%s") { acmePointsOutstanding profiles(first: 5) { nodes { acmePoints } } } }'

plugins = Plugins.discover(environ={"FAIRLEAD_PLUGINS_ONLY": "acme_loyalty"}, policy="strict")
database, clock = Database(sys.argv[1]), FakeClock()
migrate.upgrade(database, plugins.migrations())
runtime = Fairlead(Settings(database_url=sys.argv[1]), database, Vault(Keyring.generate("k")), plugins, clock=clock)
with runtime.agency_work("test") as work:
    agency = service.create_agency(work, "main", "Agency")
    on, off = (service.create_client(work, agency.id, slug, slug).id for slug in ("with", "without"))
with runtime.work(on) as work:
    set_plugin(work, plugins, "acme_loyalty", True)
runtime.forget()
for client in (on, off):
    with runtime.work(client) as work:
        people = [Profile(state="active", created_at=clock.now, changed_at=clock.now) for _ in range(4)]
        work.session.add_all(people)
        work.session.flush()
        for number, person in enumerate(people[:3], 1):
            points.grant(work.session, client, person.id, number * 10, clock.now)
calls, original = [], points.balances
points.balances = lambda *given: calls.append(len(given[2])) or original(*given)
schema, answers = build_schema(plugins), {}
for slug in ("with", "without"):
    principal = Principal(1, 1, agency.id, "test", everywhere=PERMISSIONS)
    with Context(runtime, principal) as context:
        result = schema.execute_sync(QUERY % slug, context_value=context)
    answers[slug] = {"data": result.data, "codes": sorted({e.extensions["code"] for e in result.errors or []})}
print(json.dumps({"answers": answers, "calls": calls}))
"""

REMOVE = """
import sys
from fairlead.plugins.manager import Plugins
from fairlead.storage import migrate
from fairlead.storage.database import Database

plugins = Plugins.discover(environ={"FAIRLEAD_PLUGINS_ONLY": "acme_loyalty"}, policy="strict")
database = Database(sys.argv[1])
for source in plugins.migrations():
    migrate.remove(database, source)
database.dispose()
"""


def install(folder: Path) -> Path:
    """Install the example by pip, without a network, into a folder of its own."""
    source, site = folder / "source", folder / "site"
    shutil.copytree(EXAMPLE, source, ignore=shutil.ignore_patterns(*BUILT))
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    done = subprocess.run([*command, "--target", str(site), str(source)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return site


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the example is installed, for all tests of this module."""
    return install(tmp_path_factory.mktemp("acme"))


def python(site: Path, *arguments: str, cwd: Path | None = None) -> str:
    """Run the interpreter with the example on its path."""
    env = {**os.environ, "PYTHONPATH": str(site), "PYTHONDONTWRITEBYTECODE": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    command = [sys.executable, *arguments]
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def tables(url: str) -> dict[str, list[Any]]:
    database = Database(url)
    with database.engine.connect() as connection:
        names = [name for name in sa.inspect(connection).get_table_names() if "acme" in name]
        found = {name: list(connection.execute(sa.text(f'SELECT * FROM "{name}"'))) for name in names}
    database.dispose()
    return found


def test_its_contract_tests_pass(site: Path) -> None:
    said = python(site, "-m", "pytest", "-q", "-p", "no:cacheprovider", cwd=EXAMPLE)
    assert " passed" in said
    assert "skipped" not in said


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database of its own on each engine."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'shop.db'}"
        return
    server = os.environ.get(SERVER, "")
    if not server:
        pytest.skip(f"PostgreSQL is not here: set {SERVER} to the address of a server")
    engine = sa.create_engine(normalise_url(server), isolation_level="AUTOCOMMIT")
    name = f"fairlead_acme_{secrets.token_hex(4)}"
    with engine.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
        try:
            yield normalise_url(server).set(database=name).render_as_string(hide_password=False)
        finally:
            connection.execute(sa.text(f"DROP DATABASE {name} WITH (FORCE)"))
    engine.dispose()


def test_it_is_used_and_can_be_taken_away(site: Path, url: str) -> None:
    found = json.loads(python(site, "-c", MIGRATE_AND_GRANT, url))

    assert found["hooks"] == [
        "fairlead_graphql",
        "fairlead_on_event",
        "fairlead_register_channels",
        "fairlead_register_journey_nodes",
        "fairlead_register_migrations",
        "fairlead_register_rule_operators",
    ]
    assert found["things"] == [
        "channel acme_card",
        "journey_node acme_enough_points",
        "rule_operator acme_points_earned",
    ]
    assert found["fields"] == ["Client.acme_points_outstanding", "Profile.acme_points"]
    assert found["mine"] == {"10": 120, "11": 30}
    assert found["others"] == {}, "the session of one client does not see another's points"
    assert found["refused"] == "only 30 points are left"
    assert found["sums"] == [150, 155]
    (heard,) = found["heard"]
    assert heard.startswith("client 1: import 7"), "events are heard of clients that have the plugin on"
    assert found["drift"] == [], "the core's migrations do not see the plugin's table"

    # The package is gone: this process never had it on its path.
    assert "acme_loyalty" not in Plugins.discover(environ={}).names
    database = Database(url)
    migrate.upgrade(database, Plugins.discover(environ={}).migrations())
    assert not migrate.pending(database)
    assert migrate.drift(database) == []
    database.dispose()
    left = tables(url)
    assert sorted(left) == ["acme_loyalty_balance", "alembic_version_acme_loyalty"]
    assert len(left["acme_loyalty_balance"]) == 3

    python(site, "-c", REMOVE, url)
    assert tables(url) == {}


def test_its_fields_answer_where_the_plugin_is_on(site: Path, url: str) -> None:
    found = json.loads(python(site, "-c", ASK, url))
    client = found["answers"]["with"]["data"]["client"]
    assert found["answers"]["with"]["codes"] == []
    assert client["acmePointsOutstanding"] == 60
    assert sorted(node["acmePoints"] for node in client["profiles"]["nodes"]) == [0, 10, 20, 30]
    assert found["calls"] == [4], "one look-up for the whole page"
    assert found["answers"]["without"]["codes"] == ["PLUGIN_OFF"]
