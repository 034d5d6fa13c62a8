"""Server-sent events."""

from __future__ import annotations

import json

import httpx2
import pytest

from fairlead_graphql.door import Limits


def stream(door, query, token="good", **headers):
    return door.post(json.dumps({"query": query}), token, Accept="text/event-stream", **headers)


def events(text):
    found = []
    for block in text.split("\r\n\r\n"):
        lines = dict(line.split(": ", 1) for line in block.split("\r\n") if not line.startswith(":") and ": " in line)
        if lines.get("event") == "next":
            found.append(json.loads(lines["data"]))
        elif lines.get("event"):
            found.append(lines["event"])
    return found


def test_a_subscription_is_a_stream_of_events(door, world):
    response = stream(door, "subscription { ticks(count: 3) }")
    assert response.headers["content-type"].startswith("text/event-stream")
    assert [event["data"]["ticks"] for event in events(response.text)[:-1]] == [0, 1, 2]
    assert events(response.text)[-1] == "complete"
    assert world.stream_closed == 1
    assert not door.door.streams


def test_events_are_resolved_in_threads_with_a_context_each(door, world):
    found = events(stream(door, "subscription { persons(count: 3) { thread loaded } }").text)
    persons = [event["data"]["persons"] for event in found[:-1]]
    assert [person["loaded"] for person in persons] == ["loaded 0", "loaded 1", "loaded 2"]
    assert all(person["thread"].startswith("fairlead-graphql") for person in persons)
    # One for the source and one for each event, all of them left.
    assert world.left == len(world.contexts) == 4


def test_an_event_that_takes_too_long_is_an_error_of_the_stream(make_client, world):
    door = make_client(Limits(request_seconds=0.2))
    found = events(stream(door, "subscription { persons(count: 1) { blocks } }").text)
    assert found[0]["errors"][0]["extensions"]["code"] == "TIMEOUT"
    assert found[-1] == "complete"


def test_queries_and_mutations_are_one_event_from_a_thread(door, world):
    assert events(stream(door, "{ where }").text)[0]["data"]["where"].startswith("fairlead-graphql")
    assert events(stream(door, 'mutation { write(text: "x") }').text)[0]["data"] == {"write": "x"}
    assert world.written == ["x"]


@pytest.mark.parametrize(
    ("query", "token", "code"),
    [
        ("{ nope }", "good", "GRAPHQL_VALIDATION_FAILED"),
        ("subscription { ticks }", "", "UNAUTHENTICATED"),
        ("{ people { totalCount } }", "", "UNAUTHENTICATED"),
        ("{", "good", "GRAPHQL_PARSE_FAILED"),
        ("subscription { a: ticks b: ticks }", "good", "GRAPHQL_VALIDATION_FAILED"),
        ("{ broken }", "good", "INTERNAL_SERVER_ERROR"),
    ],
)
def test_refusals_are_one_event(door, query, token, code):
    text = stream(door, query, token).text
    assert events(text)[0]["errors"][0]["extensions"]["code"] == code
    assert events(text)[1:] == ["complete"]
    assert "13800138000" not in text


def test_bad_bytes_are_refused_before_the_stream_opens(door):
    assert door.post("[1]", Accept="text/event-stream").status_code == 400
    assert stream(door, "subscription { ticks }", "bad").status_code == 401
    assert door.client.get("/graphql/", headers={"Accept": "text/event-stream"}).status_code == 405


def test_what_breaks_in_a_stream_is_masked(door):
    found = events(stream(door, "subscription { fails }").text)
    assert found[0]["data"] == {"fails": 1}
    assert found[1]["errors"][0]["extensions"] == {"code": "INTERNAL_SERVER_ERROR"}
    assert found[-1] == "complete"


def test_a_revoked_token_ends_the_stream(make_client, world):
    door = make_client(Limits(recheck_seconds=0.1))
    world.revoked.add("good")
    found = events(stream(door, "subscription { ticks(count: 1000, pause: 60) }").text)
    assert found[0]["data"] == {"ticks": 0}
    assert found[1]["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
    assert world.stream_closed == 1


@pytest.mark.anyio
async def test_a_stream_shows_that_it_lives_and_ends_when_its_reader_leaves(make_client, world, until):
    door = make_client(Limits(recheck_seconds=0.05))
    received = []

    async def receive():
        if not received:
            received.append(1)
            return {"type": "http.request", "body": b'{"query": "subscription { ticks(count: 9, pause: 60) }"}'}
        while sum(b": ping" in part for part in sent) < 2:
            await anyio_sleep()
        return {"type": "http.disconnect"}

    sent = []

    async def send(message):
        sent.append(message.get("body", b""))

    headers = [
        (b"content-type", b"application/json"),
        (b"accept", b"text/event-stream"),
        (b"authorization", b"Bearer good"),
    ]
    scope = {"type": "http", "method": "POST", "path": "/", "headers": headers, "query_string": b"", "client": ("a", 1)}
    await door.door(scope, receive, send)
    for _ in range(200):
        if world.stream_closed and not door.door.streams:
            break
        await anyio_sleep()
    assert world.stream_closed == 1
    assert not door.door.streams


async def anyio_sleep():
    import asyncio

    await asyncio.sleep(0.01)


@pytest.mark.anyio
async def test_streams_of_one_caller_are_limited(make_client):
    door = make_client(Limits(streams_per_caller=2))
    door.door.streams["good"] = 2
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(door.app), base_url="http://test") as client:
        headers = {"Accept": "text/event-stream", "Authorization": "Bearer good"}
        response = await client.post("/graphql/", json={"query": "subscription { ticks }"}, headers=headers)
    assert response.status_code == 429
    assert response.headers["retry-after"] == "5"


@pytest.fixture
def anyio_backend():
    return "asyncio"
