"""Requests over HTTP: what is let in, how it is answered, in which thread it runs."""

from __future__ import annotations

import gzip
import json

import httpx2
import pytest

from fairlead_graphql.door import Limits

HEALTH = json.dumps({"query": "{ health }"})


def test_an_operation_is_answered_with_its_cost(door):
    answer = door.ask("query($n: Int) { people(first: $n) { edges { node { id name } } } }", variables={"n": 10})
    assert [edge["node"]["id"] for edge in answer["data"]["people"]["edges"]] == ["0", "1", "2"]
    # 1 for the page, and for each of ten edges a node (1) with two values (0.1 each).
    assert answer["extensions"]["cost"] == {"requested": 13, "limit": 10_000, "depth": 4}
    assert list(answer) == ["data", "extensions"]


def test_resolvers_run_in_threads_and_may_be_asynchronous(door, world):
    answer = door.ask("{ where everybody { loaded } }")
    assert answer["data"]["where"].startswith("fairlead-graphql")
    assert [each["loaded"] for each in answer["data"]["everybody"]] == ["loaded 0", "loaded 1", "loaded 2"]
    assert world.left == len(world.contexts) == 1


def test_mutations_run_one_after_the_other(door, world):
    assert door.ask('mutation { write(text: "a") b: write(text: "b") }')["data"] == {"write": "a", "b": "b"}
    assert world.written == ["a", "b"]


BAD_BODIES = {
    "empty": b"",
    "not json": b"{",
    "number": b"1",
    "string": b'"{ health }"',
    "null": b"null",
    "batch": b"[" + HEALTH.encode() + b"]",
    "batch of non-objects": b"[1, null]",
    "invalid UTF-8": b'{"query": "\xff"}',
    "UTF-16": HEALTH.encode("utf-16"),
    "byte order mark": b"\xef\xbb\xbf" + HEALTH.encode(),
    "deep arrays": b'{"query": "{ health }", "variables": {"a": ' + b"[" * 50_000 + b"]" * 50_000 + b"}}",
    "deep objects": b'{"query": "{ health }", "variables": ' + b'{"a":' * 30 + b"1" + b"}" * 30 + b"}",
    "unclosed": b"[" * 100_000,
    "integer of 5,000 digits": b'{"query": "{ health }", "variables": {"a": ' + b"9" * 5_000 + b"}}",
    "integer of 65 bits": b'{"query": "{ health }", "variables": {"a": 18446744073709551616}}',
    "NaN": b'{"query": "{ health }", "variables": {"a": NaN}}',
    "infinity": b'{"query": "{ health }", "variables": {"a": 1e999}}',
    "repeated key": b'{"query": "{ health }", "query": "{ broken }"}',
    "lone surrogate": b'{"query": "{ health }", "variables": {"a": "\\ud800"}}',
    "surrogates reversed": b'{"query": "{ health }", "variables": {"a": "\\udc00\\ud800"}}',
    "surrogate in a key": b'{"query": "{ health }", "variables": {"\\udfff": 1}}',
    "surrogate in the query": b'{"query": "{ echo(text: \\"\\ud800\\") }"}',
    "NUL": b'{"query": "{ health }", "variables": {"a": ["x\\u0000"]}}',
    "NUL in a key": b'{"query": "{ health }", "variables": {"x\\u0000": 1}}',
    "query is a number": b'{"query": 1}',
    "variables is a list": b'{"query": "{ health }", "variables": []}',
    "variables is a string": b'{"query": "{ health }", "variables": "{}"}',
    "extensions is a list": b'{"query": "{ health }", "extensions": []}',
    "operationName is a list": b'{"query": "{ health }", "operationName": ["x"]}',
    "documentId is a number": b'{"documentId": 1}',
}


@pytest.mark.parametrize("body", BAD_BODIES.values(), ids=BAD_BODIES.keys())
@pytest.mark.parametrize("token", ["good", ""])
def test_bad_bytes_are_a_bad_request(door, body, token):
    response = door.post(body, token)
    assert response.status_code == 400
    assert response.json()["errors"][0]["extensions"]["code"] == "BAD_REQUEST"
    assert response.headers["content-type"] == "application/json"


def test_surrogates_and_nul_written_as_graphql_escapes_are_refused_or_harmless(door, world):
    # JSON carries these as plain letters; it is GraphQL's lexer that would turn them into characters.
    assert door.codes(r'mutation { write(text: "\ud800") }') == ["GRAPHQL_PARSE_FAILED"]
    assert door.codes(r'mutation { write(text: "\u{d800}") }') == ["GRAPHQL_PARSE_FAILED"]
    assert door.codes(r'mutation { write(text: "\u0000") }') == ["BAD_USER_INPUT"]
    assert world.written == []


@pytest.mark.parametrize(
    "kind",
    [
        "text/plain",
        "",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "text/plain; application/json",
        "application/json, text/plain",
        "application/json; charset=utf-16",
        "application/graphql",
    ],
)
def test_only_json_is_read_so_that_no_form_can_post(door, world, kind):
    response = door.post(json.dumps({"query": 'mutation { write(text: "csrf") }'}), Content_Type=kind)
    assert response.status_code == 415
    assert world.written == []


def test_a_compressed_body_is_not_unpacked(door):
    response = door.post(gzip.compress(HEALTH.encode()), Content_Encoding="gzip")
    assert response.status_code == 415


def test_json_in_utf8_is_read_whatever_the_case(door):
    assert door.post(HEALTH, Content_Type="Application/JSON; charset=UTF-8").json()["data"] == {"health": "ok"}


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "QUERY"])
def test_other_methods_are_refused(door, world, method):
    query = "mutation{write(text:%22x%22)}"
    headers = {"Authorization": "Bearer good", "Accept": "text/html"}
    response = door.client.request(method, f"/graphql/?query={query}", headers=headers)
    assert response.status_code == 405
    assert response.headers["allow"] == "POST"
    assert world.written == []


def test_the_body_is_counted_before_it_is_read(make_client):
    door = make_client(Limits(body_bytes=1_000))
    response = door.post(json.dumps({"query": "{ health }", "pad": "x" * 1_000}))
    assert response.status_code == 413
    assert response.headers["connection"] == "close"


@pytest.mark.parametrize("length", ["-1", "x", "1" * 30, "１"])
def test_a_content_length_that_is_no_length_is_refused(door, length):
    headers = [(b"content-type", b"application/json"), (b"content-length", length.encode())]
    assert door.client.post("/graphql/", content=b"{}", headers=headers).status_code == 400


@pytest.mark.anyio
async def test_a_chunked_body_is_held_to_the_limit_while_it_streams(make_client):
    door = make_client(Limits(body_bytes=10_000))
    sent = 0

    async def endless():
        nonlocal sent
        while True:
            sent += 1_000
            yield b" " * 1_000

    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(door.app), base_url="http://test") as client:
        response = await client.post("/graphql/", content=endless(), headers={"Content-Type": "application/json"})
    assert response.status_code == 413
    assert sent < 20_000


def test_an_answer_that_is_too_large_is_replaced(make_client):
    door = make_client(Limits(answer_bytes=2_000))
    assert door.codes("{ big(kib: 1) }") == []
    assert door.codes("{ big(kib: 3) }") == ["ANSWER_TOO_LARGE"]


def test_a_poisoned_row_does_not_break_the_answer(door):
    response = door.post(json.dumps({"query": "{ poisoned }"}))
    assert response.status_code == 200
    assert b"bad \\ud800 row" in response.content


def test_nobody_is_a_stranger_and_a_bad_token_is_refused(door):
    assert door.ask("{ health }", token="")["data"] == {"health": "ok"}
    response = door.post(HEALTH, token="bad")
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"
    assert response.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


def test_an_authentication_that_answers_nothing_lets_nobody_in(door):
    assert door.post(HEALTH, token="none").status_code == 401


def test_an_authentication_that_breaks_lets_nobody_in_and_tells_nothing(door):
    response = door.post(HEALTH, token="crash")
    assert response.status_code == 500
    assert "13800138000" not in response.text


def test_an_asynchronous_authentication_works(make_client):
    async def authenticate(scope, payload):
        return type("Known", (), {"key": "k"})()

    door = make_client(authenticate=authenticate)
    assert "broken" not in door.ask("{ echo }", token="")["data"]


def test_a_missing_query_and_an_unknown_operation_are_bad_requests(door):
    assert door.codes(None) == ["BAD_REQUEST"]
    assert door.codes("") == ["BAD_REQUEST"]
    assert door.codes("query A { health }", operationName="B") == ["BAD_REQUEST"]
    assert door.codes("fragment F on Query { health }") == ["BAD_REQUEST"]


def test_subscriptions_need_a_stream(door):
    assert door.codes("subscription { ticks }") == ["BAD_REQUEST"]


def test_a_slow_operation_ends_with_a_timeout_and_is_told_to_stop(make_client, world):
    door = make_client(Limits(request_seconds=0.3))
    response = door.post(json.dumps({"query": "{ slowAsync }"}))
    assert response.status_code == 504
    assert response.json()["errors"][0]["extensions"]["code"] == "TIMEOUT"
    response = door.post(json.dumps({"query": "{ slow }"}))
    assert response.status_code == 504
    # The thread is still busy with it: it counts until it has really ended.
    assert door.door.pool.busy == 1
    world.release.set()
