"""SQL ends with its request: a caller whose time is over is told so, and the database does not work on for nobody."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import event
from starlette.testclient import TestClient

from fairlead_graphql.app import build_app

SLOW = {
    "sqlite": "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 1e8) SELECT max(x) FROM c",
    "postgresql": "SELECT pg_sleep(20)",
}
"""Some twenty seconds of work, below the bound of every statement, which comes to an end where nothing ends it."""


@pytest.fixture
def slowed(world: Any) -> Iterator[Callable[[str], Any]]:
    """``slowed(text)`` puts a slow statement before those that hold ``text``, on their connection; what became of it
    stands in the answer's ``fates`` once its ``over`` is set."""
    engine = world.runtime.database.engine
    made: list[Any] = []

    def slow_down(text: str) -> Any:
        class Statement:
            fates: list[str] = []  # noqa: RUF012 - one per call
            over = threading.Event()

        def wait(connection: Any, _cursor: Any, statement: str, _p: Any, _context: Any, _many: bool) -> None:
            if text not in statement or Statement.over.is_set():
                return
            try:
                connection.connection.driver_connection.execute(SLOW[connection.dialect.name]).fetchall()
                Statement.fates.append("done")
            except Exception as error:
                Statement.fates.append(type(error).__name__)
                raise
            finally:
                Statement.over.set()

        event.listen(engine, "before_cursor_execute", wait)
        made.append(wait)
        return Statement

    yield slow_down
    for wait in made:
        event.remove(engine, "before_cursor_execute", wait)


def test_a_slow_read_ends_with_its_request(
    world: Any, slowed: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAIRLEAD_LIMIT_REQUEST_SECONDS", "3")
    statement = slowed("FROM profile")
    query = '{ client(slug: "acme") { profiles(first: 1) { nodes { id } } } }'
    headers = {"Authorization": f"Bearer {world.tokens['admin']}"}
    with TestClient(build_app(world.runtime), base_url="http://localhost") as http:
        answer = http.post("/graphql", json={"query": query}, headers=headers).json()
        assert [error["extensions"]["code"] for error in answer["errors"]] == ["TIMEOUT"]
        assert statement.over.wait(120)
    assert statement.fates in (["OperationalError"], ["QueryCanceled"])
    # The connection goes on with the next request.
    assert len(world.data("admin", query)["client"]["profiles"]["nodes"]) == 1
