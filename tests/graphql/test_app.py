"""What settings do to the application, and its plain routes: each switch seen from outside, on and off."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from fairlead.clients import members, tokens
from fairlead.clients.service import create_agency, create_client
from fairlead.customers.consent import grant
from fairlead.customers.linking import ClaimColumn, link
from fairlead.customers.model import Consent
from fairlead.engine.memory import MemoryEngine
from fairlead.messaging.unsubscribe import unsubscribe_url
from fairlead.plugins.contracts.channel import InboundOutcome
from fairlead.plugins.manager import Plugins
from fairlead.runtime import Fairlead
from fairlead.settings import Settings
from fairlead.storage import migrate
from fairlead.storage.database import Database
from fairlead_graphql.app import build_app
from fairlead_graphql.door.trusted import sha256
from fairlead_graphql.routes import MOST_BODY

FAR = ("203.0.113.5", 50_000)
ORIGIN = "https://desk.example"
INTROSPECTION = "{ __schema { queryType { name } } }"
VIEWER = "query Viewer { viewer { name } }"
OTHER = "query Other { viewer { name } }"


class Site:
    """The application under some settings; a client ``acme`` and an admin's token."""

    def __init__(self, runtime: Fairlead, stack: ExitStack) -> None:
        self.runtime = runtime
        with runtime.agency_work("test") as work:
            agency = create_agency(work, "main", "Agency").id
            create_client(work, agency, "acme", "Acme")
            self.member = members.add_member(work, agency, "Ada", "ada@agency.test", role="admin").id
            issued = tokens.issue_token(work, self.member, "test")
        self.token, self.secret = issued.token.id, issued.secret
        self.app = build_app(runtime)
        self.http = stack.enter_context(TestClient(self.app, base_url="http://localhost"))
        self.far = TestClient(self.app, base_url="http://localhost", client=FAR)

    def ask(self, query: str | None, **more: Any) -> Any:
        """A request of the admin."""
        body = more if query is None else {"query": query, **more}
        return self.http.post("/graphql", json=body, headers={"Authorization": f"Bearer {self.secret}"})

    def codes(self, query: str | None, **more: Any) -> list[str]:
        return [error["extensions"]["code"] for error in self.ask(query, **more).json().get("errors", ())]

    def socket(self, **headers: str) -> Any:
        url = "ws://localhost/graphql"
        return self.http.websocket_connect(url, subprotocols=["graphql-transport-ws"], headers=headers)

    def hello(self) -> dict[str, Any]:
        """The first message of a socket."""
        return {"type": "connection_init", "payload": {"authorization": f"Bearer {self.secret}"}}


@pytest.fixture
def site(build_runtime: Callable[..., Fairlead]) -> Iterator[Callable[..., Site]]:
    """``site(plugin, …, graphiql=True)`` makes the application under these settings."""
    with ExitStack() as stack:
        yield lambda *plugins, **settings: Site(build_runtime(*plugins, cache_seconds=0, **settings), stack)


# -- who is asking --------------------------------------------------------------------------------------------------


def test_an_open_socket_ends_with_its_token(site: Callable[..., Site], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAIRLEAD_LIMIT_RECHECK_SECONDS", "0.05")
    made = site()
    with made.socket() as found:
        found.send_json(made.hello())
        assert found.receive_json()["type"] == "connection_ack"
        found.send_json({"id": "1", "type": "subscribe", "payload": {"query": VIEWER}})
        assert found.receive_json()["payload"]["data"] == {"viewer": {"name": "Ada"}}
        with made.runtime.agency_work("test") as work:
            tokens.revoke_token(work, made.token)
        assert found.receive_json() == {"id": "1", "type": "complete"}
        assert closing(found) == 4403


def closing(socket: Any) -> int | None:
    """The code that the server closes the socket with; none when it does not within half a minute."""
    codes = []

    def listen() -> None:
        try:
            while True:
                socket.receive_text()
        except WebSocketDisconnect as closed:
            codes.append(closed.code)

    # To wait here would be to wait for ever where a socket lives on.
    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    listener.join(30)
    return codes[0] if codes else None


def test_a_socket_of_another_site_is_opened_only_for_a_listed_origin(site: Callable[..., Site]) -> None:
    made = site(cors_origins=(ORIGIN,))
    with made.socket(Origin=ORIGIN) as found:
        found.send_json(made.hello())
        assert found.receive_json()["type"] == "connection_ack"
    with pytest.raises(WebSocketDisconnect), made.socket(Origin="https://other.example") as found:
        found.receive_json()


# -- settings -------------------------------------------------------------------------------------------------------


def test_introspection_is_for_members_unless_nobody_may(site: Callable[..., Site]) -> None:
    assert site().codes(INTROSPECTION) == []


def test_introspection_for_nobody(site: Callable[..., Site]) -> None:
    made = site(introspection="nobody")
    assert made.codes(INTROSPECTION) != []
    assert made.codes(VIEWER) == []


@pytest.mark.parametrize("only", [False, True])
def test_trusted_documents(site: Callable[..., Site], tmp_path: Path, only: bool) -> None:
    file = tmp_path / "documents.json"
    file.write_text(json.dumps({sha256(VIEWER): VIEWER}), "utf-8")
    made = site(trusted_documents=file, trusted_documents_only=only)
    assert made.ask(None, documentId=sha256(VIEWER)).json()["data"] == {"viewer": {"name": "Ada"}}
    assert made.codes(OTHER) == (["PERSISTED_QUERY_ID_REQUIRED"] if only else [])


def test_only_hosts_of_the_installation_are_answered(site: Callable[..., Site]) -> None:
    made = site(trusted_hosts=("api.example",))
    assert made.http.get("/healthz", headers={"Host": "api.example"}).status_code == 200
    assert made.http.get("/healthz", headers={"Host": "localhost"}).status_code == 400


def test_pages_of_listed_origins_may_read_answers(site: Callable[..., Site]) -> None:
    made = site(cors_origins=(ORIGIN,))
    for origin, allowed in ((ORIGIN, ORIGIN), ("https://other.example", None)):
        answer = made.http.get("/healthz", headers={"Origin": origin})
        assert answer.headers.get("access-control-allow-origin") == allowed


def test_by_default_no_other_page_may_read_answers(site: Callable[..., Site]) -> None:
    answer = site().http.get("/healthz", headers={"Origin": ORIGIN})
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("on", [False, True])
def test_the_explorer_is_there_when_it_is_switched_on(site: Callable[..., Site], on: bool) -> None:
    made = site(graphiql=on)
    assert made.http.get("/graphiql").status_code == (200 if on else 404)
    assert made.http.get("/", follow_redirects=False).status_code == (307 if on else 404)


@pytest.mark.parametrize("public", [False, True])
def test_metrics_are_for_this_machine_unless_they_are_public(site: Callable[..., Site], public: bool) -> None:
    made = site(metrics_public=public)
    assert made.far.get("/metrics").status_code == (200 if public else 404)
    near = TestClient(made.app, base_url="http://localhost", client=("127.0.0.1", 50_000))
    assert "fairlead_" in near.get("/metrics").text


def test_an_application_of_its_own_starts_and_stops_its_engine(build_runtime: Callable[..., Fairlead]) -> None:
    for own in (True, False):
        runtime = build_runtime()
        runtime.engine = engine = MemoryEngine()
        with TestClient(build_app(runtime, own=own), base_url="http://localhost"):
            assert engine._registry.started is own
        assert not engine._registry.started


# -- plain routes ---------------------------------------------------------------------------------------------------


def test_an_unsubscribe_link_withdraws_by_a_post_alone(site: Callable[..., Site]) -> None:
    made = site()
    with made.runtime.work("acme") as work:
        person = int(link(work, [ClaimColumn("email", ["one@people.test"])], "test").profile_ids[0])
        grant(work, person, "marketing", "*", source="test", evidence={})
        path = unsubscribe_url(work, person, "marketing", "*").removeprefix(work.public_url)

    def state() -> str:
        with made.runtime.reading("acme") as work:
            return str(work.session.scalars(sa.select(Consent.state)).one())

    assert "<form" in made.http.get(path).text
    assert made.http.head(path).status_code == 200
    assert state() == "granted"
    assert made.http.post(path[:-1] + ("A" if path[-1] != "A" else "B")).status_code == 404
    assert state() == "granted"
    assert made.http.post(path).status_code == 200
    assert state() == "withdrawn"


def test_it_is_not_ready_behind_a_migration(own_database_url: str, vault: Any, clock: Any) -> None:
    database = Database(own_database_url)
    settings = Settings(database_url=own_database_url)
    with (
        Fairlead(settings, database, vault, Plugins.for_tests(), clock=clock) as runtime,
        TestClient(build_app(runtime), base_url="http://localhost") as http,
    ):
        assert http.get("/readyz").json() == {"ready": True}
        migrate.downgrade(database)
        answer = http.get("/readyz")
        assert (answer.status_code, answer.json()["ready"]) == (503, False)
        assert http.get("/healthz").status_code == 200


@pytest.mark.parametrize(("size", "status"), [(MOST_BODY, 200), (MOST_BODY + 1, 413)])
def test_a_webhook_takes_bodies_up_to_a_size(world: Any, shop: Any, size: int, status: int) -> None:
    came = []
    shop.receive = lambda context, request: came.append(len(request.body)) or InboundOutcome("", body=b"fine")
    answer = world.http.post(f"/v1/webhooks/acme/{world.accounts['acme']}", content=b"x" * size)
    assert answer.status_code == status
    assert came == ([size] if status == 200 else [])
