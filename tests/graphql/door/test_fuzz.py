"""Whatever is sent, the answer is never a server error, and it is always JSON with a code."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

KNOWN = {
    "BAD_REQUEST",
    "BAD_USER_INPUT",
    "GRAPHQL_PARSE_FAILED",
    "GRAPHQL_VALIDATION_FAILED",
    "QUERY_TOO_DEEP",
    "QUERY_TOO_EXPENSIVE",
    "QUERY_TOO_LARGE",
    "QUERY_TOO_WIDE",
    "UNAUTHENTICATED",
    "PERSISTED_QUERY_NOT_FOUND",
    "PERSISTED_QUERY_NOT_SUPPORTED",
    "PERSISTED_QUERY_HASH_MISMATCH",
}
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=())),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(max_size=5), children, max_size=4),
    max_leaves=12,
)
WORDS = st.sampled_from(
    [
        "{",
        "}",
        "(",
        ")",
        "[",
        "]",
        ":",
        "!",
        "$",
        "@",
        "=",
        "|",
        "&",
        "...",
        "query",
        "mutation",
        "subscription",
        "fragment",
        "on",
        "F",
        "Person",
        "Query",
        "people",
        "first",
        "last",
        "nodes",
        "edges",
        "node",
        "id",
        "friends",
        "health",
        "check",
        "input",
        "phone",
        "labels",
        "echo",
        "text",
        "number",
        "write",
        "__typename",
        "__schema",
        "__type",
        "types",
        "name",
        "fields",
        "include",
        "if",
        "true",
        "false",
        "null",
        "1",
        "-1",
        "101",
        "99999999999999999999",
        "1.5",
        '""',
        '"x"',
        '"""b"""',
        '"\\u0000"',
        "#",
        ",",
        "a",
        "b",
        "$n",
        "Int",
        "Int!",
        "ticks",
    ]
)
DOCUMENTS = st.one_of(
    st.text(max_size=60),
    st.lists(WORDS, max_size=40).map(" ".join),
    st.lists(WORDS, max_size=25).map(
        lambda words: "query Q($n: Int, $i: PhoneInput) { people(first: $n) { " + " ".join(words) + " } }"
    ),
    st.sampled_from(
        [
            "query($n: Int) { people(first: $n) { nodes { id } } }",
            "query($n: PhoneInput) { check(input: $n) }",
            "query($n: Colour) { check(colour: $n) }",
            "query($n: RuleInput!) { rule(rule: $n) }",
            "query($n: String!) { echo(text: $n) }",
        ]
    ),
)
BODIES = st.one_of(
    st.binary(max_size=200),
    VALUES.map(lambda value: json.dumps(value).encode()),
    st.fixed_dictionaries(
        {},
        optional={
            "query": DOCUMENTS | VALUES,
            "variables": st.dictionaries(st.sampled_from(["n", "i", "x"]), VALUES, max_size=3) | VALUES,
            "operationName": st.none() | st.sampled_from(["Q", "x", ""]) | VALUES,
            "extensions": st.none() | st.fixed_dictionaries({}, optional={"persistedQuery": VALUES}) | VALUES,
            "documentId": st.none() | VALUES,
        },
    ).map(lambda value: json.dumps(value).encode()),
)
MANY = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.parametrize("token", ["good", ""])
def test_no_body_makes_a_server_error(door, token):
    @MANY
    @given(BODIES)
    def check(body):
        response = door.post(body, token)
        assert response.status_code in (200, 400)
        for error in response.json().get("errors", ()):
            assert error["extensions"]["code"] in KNOWN
            assert "Did you mean" not in error["message"]

    check()


def test_no_document_makes_a_server_error(door):
    @MANY
    @given(DOCUMENTS, st.dictionaries(st.sampled_from(["n", "i"]), VALUES, max_size=2))
    def check(document, variables):
        response = door.post(json.dumps({"query": document, "variables": variables}))
        assert response.status_code in (200, 400)
        assert {error["extensions"]["code"] for error in response.json().get("errors", ())} <= KNOWN

    check()


def test_no_message_breaks_a_socket(door):
    @settings(MANY, max_examples=40)
    @given(
        st.lists(
            st.one_of(
                VALUES,
                st.fixed_dictionaries(
                    {
                        "type": st.sampled_from(
                            ["subscribe", "complete", "ping", "pong", "connection_init", "next", "x"]
                        )
                    },
                    optional={
                        "id": st.sampled_from(["1", "2", 1, None]),
                        "payload": VALUES | st.fixed_dictionaries({"query": DOCUMENTS}),
                    },
                ),
            ),
            max_size=4,
        )
    )
    def check(messages):
        with door.client.websocket_connect("/graphql/", subprotocols=["graphql-transport-ws"]) as socket:
            socket.send_json({"type": "connection_init", "payload": {"token": "good"}})
            assert socket.receive_json() == {"type": "connection_ack"}
            for message in messages:
                socket.send_text(json.dumps(message))

    check()
    assert door.ask("{ health }")["data"] == {"health": "ok"}
