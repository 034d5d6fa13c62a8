"""Jobs: listed, stopped, and watched while they go on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fairlead.governance.jobs import Progress, create_job, finish_job, link_run, start_job
from fairlead_graphql.governance import subscriptions

FIELDS = "id kind state done total message about { name value } result { name value } actor createdAt finishedAt"
LIST = f"""
query($slug: String!, $kind: String, $states: [JobState!], $first: Int, $after: String) {{
  client(slug: $slug) {{ jobs(kind: $kind, states: $states, first: $first, after: $after) {{
    totalCount nodes {{ {FIELDS} }} pageInfo {{ hasNextPage endCursor }} }} }}
}}"""
ONE = f'query($id: ID!) {{ client(slug: "acme") {{ job(id: $id) {{ {FIELDS} }} }} }}'
CANCEL = f"mutation($input: CancelJobInput!) {{ cancelJob(input: $input) {{ job {{ {FIELDS} }} errors {{ code }} }} }}"
WATCH = 'subscription($id: ID!) { jobProgress(client: "acme", id: $id) { id state done total result { name value } } }'


def new_job(world: Any, client: str = "acme", kind: str = "test.job", total: int = 0) -> int:
    with world.client_work(client) as work:
        return int(create_job(work, kind, {"file": "a.csv", "rows": 3}, total=total).id)


def test_jobs_are_listed_newest_first_and_narrowed(world: Any) -> None:
    numbers = [new_job(world, kind=kind) for kind in ("a.one", "b.two", "a.one")]
    with world.client_work("acme") as work:
        start_job(work, numbers[0])
        finish_job(work, numbers[0], {"rows": 3})
    ids = [world.gid("Job", number) for number in numbers]
    found = world.data("auditor@acme", LIST, slug="acme")["client"]["jobs"]
    assert (found["totalCount"], [node["id"] for node in found["nodes"]]) == (3, ids[::-1])
    assert found["nodes"][2]["result"] == [{"name": "rows", "value": "3"}]
    assert found["nodes"][2]["about"] == [{"name": "file", "value": "a.csv"}, {"name": "rows", "value": "3"}]
    for nothing in ({"states": []}, {"kind": ""}):
        assert world.data("auditor@acme", LIST, slug="acme", **nothing)["client"]["jobs"]["nodes"] == []
    narrowed = world.data("auditor@acme", LIST, slug="acme", kind="a.one", states=["QUEUED", "RUNNING"])
    assert [node["id"] for node in narrowed["client"]["jobs"]["nodes"]] == [ids[2]]
    page = world.data("auditor@acme", LIST, slug="acme", first=2)["client"]["jobs"]
    rest = world.data("auditor@acme", LIST, slug="acme", first=2, after=page["pageInfo"]["endCursor"])
    assert [node["id"] for node in rest["client"]["jobs"]["nodes"]] == [ids[0]]


def test_a_job_of_another_client_is_null(world: Any) -> None:
    other = world.gid("Job", new_job(world, "bolt"))
    assert world.data("operator@acme", ONE, id=other)["client"]["job"] is None


def test_cancelling_reaches_the_engine(world: Any) -> None:
    done: list[int] = []
    number = new_job(world)
    world.engine._registry.started = False
    world.engine.register("test.long", lambda payload: done.append(1))
    world.engine._registry.started = True
    run = world.engine.enqueue("test.long", {})
    with world.client_work("acme") as work:
        link_run(work, number, run)
    given = {"client": "acme", "jobId": world.gid("Job", number)}
    cancelled = world.data("operator@acme", CANCEL, input=given)["cancelJob"]
    assert (cancelled["job"]["state"], cancelled["errors"]) == ("CANCELLED", [])
    assert "engine_run" not in str(cancelled)
    world.engine.run_due()
    assert done == []
    assert world.codes("operator@acme", CANCEL, input=given) == ["CONFLICT"]


def test_the_same_key_cancels_once(world: Any) -> None:
    given = {"client": "acme", "jobId": world.gid("Job", new_job(world)), "idempotencyKey": "k"}
    assert world.codes("operator@acme", CANCEL, input=given) == []
    assert world.codes("operator@acme", CANCEL, input=given) == []
    other = world.gid("Job", new_job(world))
    assert world.codes("operator@acme", CANCEL, input=given | {"jobId": other}) == ["CONFLICT"]


# -- watching -------------------------------------------------------------------------------------------------------


@contextmanager
def socket(world: Any, token: str) -> Iterator[Any]:
    with world.http.websocket_connect("ws://localhost/graphql", subprotocols=["graphql-transport-ws"]) as found:
        found.send_json({"type": "connection_init", "payload": {"authorization": f"Bearer {world.tokens[token]}"}})
        assert found.receive_json()["type"] == "connection_ack"
        yield found


def watch(found: Any, id_: str) -> None:
    found.send_json({"id": "1", "type": "subscribe", "payload": {"query": WATCH, "variables": {"id": id_}}})


def test_a_job_is_watched_to_its_end(world: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(subscriptions, "EVERY", 0.02)
    number = new_job(world, total=4)
    with socket(world, "operator@acme") as found:
        watch(found, world.gid("Job", number))
        seen = [found.receive_json()["payload"]["data"]["jobProgress"]]
        with world.client_work("acme") as work:
            start_job(work, number)
        seen.append(found.receive_json()["payload"]["data"]["jobProgress"])
        Progress(world.runtime, world.clients["acme"], number).report(3)
        seen.append(found.receive_json()["payload"]["data"]["jobProgress"])
        with world.client_work("acme") as work:
            finish_job(work, number, {"rows": 4})
        seen.append(found.receive_json()["payload"]["data"]["jobProgress"])
        assert found.receive_json() == {"id": "1", "type": "complete"}
    assert [(one["state"], one["done"], one["total"]) for one in seen] == [
        ("QUEUED", 0, 4),
        ("RUNNING", 0, 4),
        ("RUNNING", 3, 4),
        ("DONE", 3, 4),
    ]
    assert seen[3]["result"] == [{"name": "rows", "value": "4"}]


def test_watching_needs_the_permission_at_the_client_of_the_job(world: Any) -> None:
    mine, other = world.gid("Job", new_job(world)), world.gid("Job", new_job(world, "bolt"))
    for token, id_, code in (
        ("operator@bolt", mine, "NOT_FOUND"),
        ("operator@acme", other, "NOT_FOUND"),
        ("operator@acme", "?", "BAD_USER_INPUT"),
    ):
        with socket(world, token) as found:
            watch(found, id_)
            message = found.receive_json()
            assert code in json.dumps(message), (token, message)
            assert "QUEUED" not in json.dumps(message)


def test_a_finished_job_is_told_once(world: Any) -> None:
    number = new_job(world)
    with world.client_work("acme") as work:
        start_job(work, number)
        finish_job(work, number)
    with socket(world, "auditor@acme") as found:
        watch(found, world.gid("Job", number))
        assert found.receive_json()["payload"]["data"]["jobProgress"]["state"] == "DONE"
        assert found.receive_json()["type"] == "complete"


def test_a_job_is_watched_by_server_sent_events_too(world: Any) -> None:
    number = new_job(world)
    with world.client_work("acme") as work:
        start_job(work, number)
        finish_job(work, number, {"rows": 7})
    headers = {"Authorization": f"Bearer {world.tokens['operator@acme']}", "Accept": "text/event-stream"}
    body = {"query": WATCH, "variables": {"id": world.gid("Job", number)}}
    answer = world.http.post("/graphql", json=body, headers=headers)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert '"state":"DONE"' in answer.text.replace(" ", "")
    assert '"value":"7"' in answer.text.replace(" ", "")
