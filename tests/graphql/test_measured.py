"""Every family of metrics that the operator's page names has a sample once there was real work."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from fairlead.channels.model import ChannelAccount
from fairlead.customers.imports import import_file, parse_mapping
from fairlead.messaging.dispatch import dispatch

PEOPLE: dict[str, Any] = {
    "fact": "profiles",
    "source": "people",
    "channel": {"constant": "shop"},
    "identities": [{"kind": "phone", "column": "phone"}],
}
RUN = """
mutation {
  runAttribution(input: {client: "acme", question: {}, models: [{name: "linear"}]}) { job { id } errors { code } }
}
"""
CREATE = """
mutation { createTag(input: {client: "acme", name: "gold"}) { tag { id } errors { code } } }
"""


def sample(world: Any, name: str, **labels: str) -> float:
    found = world.runtime.metrics.registry.get_sample_value(name, labels)
    return found or 0.0


def test_requests_are_counted_by_the_pattern_of_their_route(world: Any) -> None:
    for path in ("/healthz", "/u/not-a-token", "/u/another", "/nowhere", "/nowhere/else"):
        world.http.get(path)
    assert sample(world, "fairlead_http_requests_total", route="/healthz", status="200") == 1
    assert sample(world, "fairlead_http_requests_total", route="/u/{token}", status="200") == 2
    assert sample(world, "fairlead_http_requests_total", route="other", status="404") == 2
    assert sample(world, "fairlead_http_seconds_count", route="/u/{token}") == 2


def test_operations_are_counted_by_kind_and_result(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def operations(kind: str, result: str) -> float:
        return sample(world, "fairlead_graphql_operations_total", kind=kind, result=result)

    world.gql("admin", "{ clients { totalCount } }")
    world.gql("admin", CREATE)
    world.gql(None, "{ clients { totalCount } }")
    world.gql("admin", "{ no_such_field }")
    world.gql("admin", "{ cannot be read")
    assert operations("query", "ok") == 1
    assert operations("mutation", "ok") == 1
    assert operations("query", "refused") == 2
    assert sample(world, "fairlead_graphql_seconds_count", kind="query") == 3

    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError

    monkeypatch.setattr("fairlead_graphql.insights.loaders.models", fail)
    world.gql("admin", '{ client(slug: "acme") { attributionModels { name } } }')
    assert operations("query", "failed") == 1


def test_every_documented_family_has_a_sample_after_real_work(
    seeded: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime, client = seeded.runtime, seeded.clients["acme"]
    seeded.data("admin", RUN)
    seeded.engine.run_due()
    with runtime.reading(client) as work:
        account = work.session.scalars(sa.select(ChannelAccount.id).where(ChannelAccount.channel == "console")).one()
    sent = dispatch(runtime, client, account).sent
    file = tmp_path / "people.csv"
    file.write_text("phone\n13800138000\nnone\n", "utf-8")
    brought = import_file(runtime, "acme", file, parse_mapping(PEOPLE))
    monkeypatch.setattr("fairlead.runtime.time.sleep", lambda seconds: None)
    tries = iter([sqlite3.OperationalError("database is locked"), None])

    def busy_once(_work: Any) -> None:
        error = next(tries)
        if error is not None:
            raise error

    runtime.run(client, busy_once)

    assert sample(seeded, "fairlead_messages_total", channel="console", state="sent") == sent > 0
    assert (brought.accepted, brought.rejected) == (1, 1)
    for result in ("accepted", "rejected"):
        assert sample(seeded, "fairlead_imported_rows_total", result=result) == 1
    families = list(runtime.metrics.registry.collect())
    assert families
    assert [family.name for family in families if not any(one.value for one in family.samples)] == []
