"""graphql-transport-ws: who may open a socket, what it may carry, when it is closed."""

from __future__ import annotations

import json

import pytest
from starlette.websockets import WebSocketDisconnect

from fairlead_graphql.door import Limits
from fairlead_graphql.door.trusted import TrustedDocuments, sha256

PROTOCOL = "graphql-transport-ws"


def connect(door, protocols=(PROTOCOL,), **headers):
    return door.client.websocket_connect("/graphql/", subprotocols=list(protocols), headers=headers)


def opened(door, token="good"):
    return _Opened(door, token)


class _Opened:
    def __init__(self, door, token):
        self.session = connect(door)
        self.token = token

    def __enter__(self):
        self.socket = self.session.__enter__()
        self.socket.send_json({"type": "connection_init", "payload": {"token": self.token}})
        assert self.socket.receive_json() == {"type": "connection_ack"}
        return self.socket

    def __exit__(self, *error):
        self.session.__exit__(*error)


def closing(socket) -> int:
    while True:
        try:
            socket.receive_text()
        except WebSocketDisconnect as closed:
            return closed.code


def subscribe(socket, query, identity="1", **payload):
    socket.send_json({"id": identity, "type": "subscribe", "payload": {"query": query, **payload}})


def test_subscriptions_queries_and_mutations_run(make_client, world):
    door = make_client()
    with opened(door) as socket:
        subscribe(socket, "subscription { ticks(count: 2) }")
        assert [socket.receive_json() for _ in range(3)] == [
            {
                "id": "1",
                "type": "next",
                "payload": {"data": {"ticks": n}, "extensions": {"cost": {"requested": 1, "limit": 10000, "depth": 1}}},
            }
            for n in (0, 1)
        ] + [{"id": "1", "type": "complete"}]
        subscribe(socket, "{ where }", "1")
        assert socket.receive_json()["payload"]["data"]["where"].startswith("fairlead-graphql")
        assert socket.receive_json()["type"] == "complete"
        subscribe(socket, "mutation($t: String!) { write(text: $t) }", "2", variables={"t": "x"})
        assert socket.receive_json()["payload"]["data"] == {"write": "x"}
        assert socket.receive_json()["type"] == "complete"
    assert world.written == ["x"]
    # One context for the source, for each of its events and for each other operation; all of them left.
    assert world.left == len(world.contexts) == 5


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (None, 4401),
        ({}, 4401),
        ({"token": ""}, 4401),
        ({"token": "bad"}, 4403),
        ({"token": "none"}, 4403),
        ({"token": "crash"}, 4403),
        ({"token": 1}, 4403),
        ([], 4400),
        ("good", 4400),
        (1, 4400),
    ],
)
def test_who_is_not_surely_somebody_is_turned_away(door, world, payload, code):
    with connect(door) as socket:
        socket.send_json({"type": "connection_init", "payload": payload})
        assert closing(socket) == code
    assert world.contexts == []


def test_an_init_without_a_payload_is_nobody(door):
    with connect(door) as socket:
        socket.send_json({"type": "connection_init"})
        assert closing(socket) == 4401


def test_nothing_runs_before_the_acknowledgement(door, world):
    with connect(door) as socket:
        subscribe(socket, 'mutation { write(text: "x") }')
        assert closing(socket) == 4401
    assert world.written == []


def test_a_second_init_closes(door):
    with opened(door) as socket:
        socket.send_json({"type": "connection_init", "payload": {"token": "good"}})
        assert closing(socket) == 4429


def test_who_says_nothing_is_closed(make_client):
    with connect(make_client(Limits(socket_init_seconds=0.1))) as socket:
        assert closing(socket) == 4408


@pytest.mark.parametrize("protocols", [(), ("graphql-ws",), ("graphql-sse",), ("nonsense",)])
def test_other_protocols_are_not_spoken(door, protocols):
    with connect(door, protocols) as socket:
        assert closing(socket) == 4406


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "https://testserver.evil.example", "x"])
def test_pages_of_other_origins_are_refused(door, origin):
    with pytest.raises(WebSocketDisconnect), connect(door, Origin=origin):
        pass


def test_our_own_pages_and_listed_ones_are_let_in(make_client):
    door = make_client(allowed_origins=["https://app.example"])
    for origin in ("http://testserver", "https://app.example"):
        with connect(door, Origin=origin) as socket:
            socket.send_json({"type": "connection_init", "payload": {"token": "good"}})
            assert socket.receive_json() == {"type": "connection_ack"}


BAD_MESSAGES = [
    "",
    "{",
    "null",
    "1",
    "[]",
    '"subscribe"',
    "{}",
    '{"type": 1}',
    '{"type": ["subscribe"]}',
    '{"type": "nonsense-13800138000"}',
    '{"type": "' + "x" * 500 + '"}',
    '{"type": "subscribe"}',
    '{"type": "subscribe", "id": "1"}',
    '{"type": "subscribe", "id": 1, "payload": {"query": "{ health }"}}',
    '{"type": "subscribe", "id": "", "payload": {"query": "{ health }"}}',
    '{"type": "subscribe", "id": ["a"], "payload": {"query": "{ health }"}}',
    '{"type": "subscribe", "id": "1", "payload": null}',
    '{"type": "subscribe", "id": "1", "payload": []}',
    '{"type": "subscribe", "id": "1", "payload": "{ health }"}',
    '{"type": "subscribe", "id": "1", "payload": {}}',
    '{"type": "subscribe", "id": "1", "payload": {"query": 1}}',
    '{"type": "subscribe", "id": "1", "payload": {"query": null}}',
    '{"type": "subscribe", "id": "1", "payload": {"query": ["{ health }"]}}',
    '{"type": "subscribe", "id": "1", "payload": {"query": "{ health }", "variables": []}}',
    '{"type": "subscribe", "id": "1", "payload": {"query": "{ health }", "operationName": 1}}',
    '{"type": "subscribe", "id": "1", "payload": {"query": "{ health }", "variables": {"a": "\\ud800"}}}',
    '{"type": "subscribe", "id": "1", "payload": {"query": "{ health }", "variables": {"a": "\\u0000"}}}',
    '{"type": "subscribe", "id": "1", "payload": {"query": "{ health }", "variables": {"a": ' + "9" * 5_000 + "}}}",
    '{"type": "complete"}',
    '{"type": "complete", "id": ["a"]}',
    '{"type": "complete", "id": {}}',
    "[" * 50_000,
]


@pytest.mark.parametrize("message", BAD_MESSAGES, ids=[text[:60] for text in BAD_MESSAGES])
def test_messages_that_are_not_of_the_protocol_close_the_socket(door, logged, message):
    with opened(door) as socket:
        socket.send_text(message)
        assert closing(socket) == 4400
    assert logged() == "[]"


def test_binary_frames_close_the_socket(door):
    with opened(door) as socket:
        socket.send_bytes(b'{"type": "ping"}')
        assert closing(socket) == 4400


def test_frames_are_limited(make_client):
    door = make_client(Limits(socket_frame_bytes=1_000))
    with opened(door) as socket:
        socket.send_text('{"type": "ping", "pad": "' + "字" * 400 + '"}')
        assert closing(socket) == 1009


def test_messages_are_limited(make_client):
    door = make_client(Limits(socket_messages_per_second=10))
    with opened(door) as socket:
        for _ in range(60):
            socket.send_json({"type": "pong"})
        assert closing(socket) == 4429


def test_operations_on_one_socket_are_limited(make_client):
    door = make_client(Limits(socket_subscriptions=2))
    with opened(door) as socket:
        for identity in "ab":
            subscribe(socket, "subscription { ticks(count: 1000, pause: 60) }", identity)
            assert socket.receive_json()["type"] == "next"
        subscribe(socket, "{ health }", "c")
        answer = socket.receive_json()
        assert (answer["id"], answer["type"]) == ("c", "error")
        assert answer["payload"][0]["extensions"]["code"] == "QUERY_TOO_WIDE"
        socket.send_json({"type": "complete", "id": "a"})
        subscribe(socket, "{ health }", "c")
        assert socket.receive_json()["payload"]["data"] == {"health": "ok"}


def test_an_id_in_use_closes(door):
    with opened(door) as socket:
        for _ in range(2):
            subscribe(socket, "subscription { ticks(count: 1000, pause: 60) }")
        assert closing(socket) == 4409


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("{ nope }", "GRAPHQL_VALIDATION_FAILED"),
        ("{", "GRAPHQL_PARSE_FAILED"),
        ("{ people(first: 101) { totalCount } }", "BAD_USER_INPUT"),
        ("subscription { a: ticks b: ticks }", "GRAPHQL_VALIDATION_FAILED"),
        (
            "{ people { nodes { friends { nodes { friends { nodes { friends { nodes { id } } } } } } } } }",
            "QUERY_TOO_EXPENSIVE",
        ),
        ("subscription($n: Int!) { ticks(count: $n) }", "BAD_USER_INPUT"),
        ("query A { health }", "BAD_REQUEST"),
    ],
)
def test_refusals_are_errors_of_the_operation_not_of_the_socket(door, query, code):
    with opened(door) as socket:
        subscribe(socket, query, operationName="B" if "query A" in query else None)
        answer = socket.receive_json()
        assert (answer["type"], answer["payload"][0]["extensions"]["code"]) == ("error", code)
        subscribe(socket, "{ health }", "2")
        assert socket.receive_json()["payload"]["data"] == {"health": "ok"}


def test_what_breaks_is_masked(door):
    with opened(door) as socket:
        subscribe(socket, "subscription { fails }")
        assert socket.receive_json()["payload"]["data"] == {"fails": 1}
        text = socket.receive_text()
        assert "INTERNAL_SERVER_ERROR" in text
        assert "13800138000" not in text
        subscribe(socket, "{ broken }", "2")
        while json.loads(text)["type"] != "complete":
            text = socket.receive_text()
        assert socket.receive_json()["payload"]["errors"][0]["extensions"] == {"code": "INTERNAL_SERVER_ERROR"}


def test_a_revoked_token_closes_the_socket_and_ends_what_runs(make_client, world, until):
    door = make_client(Limits(recheck_seconds=0.05))
    with opened(door) as socket:
        subscribe(socket, "subscription { ticks(count: 1000, pause: 60) }")
        assert socket.receive_json()["type"] == "next"
        world.revoked.add("good")
        assert closing(socket) == 4403
        until(lambda: world.stream_closed == 1)


def test_a_check_that_breaks_closes_the_socket(make_client):
    def broken(principal):
        raise RuntimeError("the database is gone")

    with opened(make_client(Limits(recheck_seconds=0.05), still_valid=broken)) as socket:
        assert closing(socket) == 4403


def test_leaving_ends_what_runs(door, world, until):
    with opened(door) as socket:
        subscribe(socket, "subscription { ticks(count: 1000, pause: 60) }")
        assert socket.receive_json()["type"] == "next"
    until(lambda: world.stream_closed == 1)
    until(lambda: not door.door.sockets)


def test_sockets_of_one_address_are_limited(make_client, until):
    door = make_client(Limits(sockets_per_address=1))
    with opened(door), pytest.raises(WebSocketDisconnect), connect(door):
        pass
    until(lambda: not door.door.sockets)
    with opened(door):
        pass


def test_trusted_documents_work_on_sockets(make_client):
    query = "{ health }"
    door = make_client(trusted=TrustedDocuments({sha256(query): query}, enforced=True))
    with opened(door) as socket:
        socket.send_json({"id": "1", "type": "subscribe", "payload": {"documentId": sha256(query)}})
        assert socket.receive_json()["payload"]["data"] == {"health": "ok"}
        assert socket.receive_json()["type"] == "complete"
        subscribe(socket, "{ echo }", "2")
        assert socket.receive_json()["payload"][0]["extensions"]["code"] == "PERSISTED_QUERY_ID_REQUIRED"


def test_slow_operations_time_out(make_client, world):
    door = make_client(Limits(request_seconds=0.2))
    with opened(door) as socket:
        subscribe(socket, "{ slow }")
        assert socket.receive_json()["payload"][0]["extensions"]["code"] == "TIMEOUT"
        world.release.set()
