"""What runs and what does not: limits, strangers, introspection, suggestions, the caches."""

from __future__ import annotations

import json

import pytest
from graphql.validation.rules import overlapping_fields_can_be_merged as conflicts
from strawberry.types.execution import ExecutionContext

from fairlead_graphql.door import Limits
from fairlead_graphql.door import documents as documents_module
from graphql import get_introspection_query

DUPLICATES = "{ health " + "echo " * 249 + "}"


def test_defaults_are_those_promised():
    found = Limits()
    assert (found.body_bytes, found.query_bytes, found.answer_bytes) == (2**20, 50_000, 5 * 2**20)
    assert (found.anonymous_tokens, found.principal_tokens) == (1_000, 2_000)
    assert (found.anonymous_cost, found.principal_cost) == (1_000, 10_000)
    assert (found.depth, found.aliases, found.root_fields, found.mutations) == (12, 30, 20, 5)
    assert (found.directives, found.operations, found.conflict_budget) == (20, 10, 20_000)
    assert (found.page_default, found.page_max, found.input_items, found.input_depth) == (20, 100, 250, 10)
    assert (found.json_depth, found.errors, found.request_seconds) == (20, 20, 10)
    assert (found.socket_subscriptions, found.socket_messages_per_second, found.socket_frame_bytes) == (
        20,
        200,
        100_000,
    )
    assert (found.socket_init_seconds, found.sockets_per_address, found.recheck_seconds) == (5, 50, 5)


def test_limits_are_settings(monkeypatch):
    monkeypatch.setenv("FAIRLEAD_LIMIT_DEPTH", "7")
    assert Limits().depth == 7
    with pytest.raises(ValueError, match="frozen"):
        Limits().depth = 3


# -- limits ----------------------------------------------------------------------------------------------------------


def deep(levels: int) -> str:
    return "{ everybody " + "{ tags { person " * levels + "{ id }" + "} }" * levels + "}"


TOO_MUCH = {
    "depth": ("{ everybody { " + "tags { person { " * 6 + "id" + " } }" * 6 + " } }", "QUERY_TOO_DEEP"),
    "cost": (
        "{ people { nodes { friends { nodes { friends { nodes { friends { nodes { id } } } } } } } } }",
        "QUERY_TOO_EXPENSIVE",
    ),
    "aliases": ("{ everybody { " + " ".join(f"a{i}: id" for i in range(31)) + " } }", "QUERY_TOO_WIDE"),
    "aliases through fragments": (
        "{ everybody { ...A b: id } a: everybody { ...A } c: everybody { ...A } }"
        " fragment A on Person { " + " ".join(f"a{i}: id" for i in range(10)) + " }",
        "QUERY_TOO_WIDE",
    ),
    "root fields": ("{ health " + "...F " * 20 + "} fragment F on Query { health }", "QUERY_TOO_WIDE"),
    "mutations": ("mutation { " + " ".join(f'a{i}: write(text: "x")' for i in range(6)) + " }", "QUERY_TOO_WIDE"),
    "directives": ("{ health " + "@include(if: true) " * 21 + "}", "QUERY_TOO_WIDE"),
    "unknown directives": ("{ health " + "@a" * 500 + "}", "QUERY_TOO_WIDE"),
    "operations": (" ".join(f"query Q{i} {{ health }}" for i in range(11)), "QUERY_TOO_WIDE"),
    "tokens": ("{ " + "health " * 2_000 + "}", "QUERY_TOO_LARGE"),
    "comments": ("#\n" * 3_000 + "{ health }", "QUERY_TOO_LARGE"),
    "text": ("{ health }" + " " * 50_000, "QUERY_TOO_LARGE"),
    "text in bytes": ('{ echo(text: "' + "字" * 20_000 + '") }', "QUERY_TOO_LARGE"),
    "selections nested": ("{" + "a{" * 300 + "b" + "}" * 300 + "}", "GRAPHQL_PARSE_FAILED"),
    "list in the text": ("{ check(input: {phone: 1, labels: [" + '"" ' * 251 + "]}) }", "BAD_USER_INPUT"),
    "objects in the text": ("{ rule(rule: " + "{every: " * 11 + "[]" + "}" * 11 + ") }", "BAD_USER_INPUT"),
    "page": ("{ people(first: 101) { totalCount } }", "BAD_USER_INPUT"),
    "type definitions": ("{ health } type X { a: Int }", "GRAPHQL_VALIDATION_FAILED"),
    "conflicts": (DUPLICATES, "QUERY_TOO_WIDE"),
}


@pytest.mark.parametrize(("query", "code"), TOO_MUCH.values(), ids=TOO_MUCH.keys())
def test_too_much_is_refused_before_anything_runs(door, world, query, code):
    assert door.codes(query)[0] == code
    assert world.written == []


def test_an_expensive_query_is_told_what_it_costs(door):
    answer = door.ask(TOO_MUCH["cost"][0])
    assert answer["extensions"]["cost"]["requested"] == 192_841
    assert answer["errors"][0]["extensions"]["cost"] == 192_841
    assert "data" not in answer


def test_inputs_in_variables_are_measured_too(door):
    query = "query($i: PhoneInput) { check(input: $i) }"
    assert door.codes(query, variables={"i": {"phone": 1, "labels": ["x"] * 250}}) == []
    assert door.codes(query, variables={"i": {"phone": 1, "labels": ["x"] * 251}}) == ["BAD_USER_INPUT"]
    rule = {"name": "x"}
    for _ in range(8):
        rule = {"every": [rule]}
    # Lists do not count as nesting, objects do.
    query = "query($r: RuleInput!) { rule(rule: $r) }"
    assert door.codes(query, variables={"r": rule}) == []
    flat = {"name": "x"}
    for _ in range(10):
        flat = {"every": flat}
    assert door.codes(query, variables={"r": flat}) == ["BAD_USER_INPUT"]


def test_a_declared_weight_is_seen_in_the_cost_and_in_the_sdl(door):
    assert door.ask("{ people(first: 1) { nodes { score } } }")["extensions"]["cost"]["requested"] == 52
    assert "score: Int! @cost(weight: 50)" in door.schema.as_str()


def test_the_conflict_budget_is_lowered_and_generous_enough(door, make_client):
    assert conflicts.MAX_COMPLEXITY_BUDGET == 20_000
    assert door.codes("{ everybody { " + "id " * 249 + "} }") == ["GRAPHQL_VALIDATION_FAILED"]
    wide = make_client(Limits(root_fields=500, aliases=500))
    assert wide.codes(DUPLICATES) == ["GRAPHQL_VALIDATION_FAILED"]
    usual = "{ everybody { " + " ".join(f"a{i}: id" for i in range(300)) + " } }"
    assert wide.codes(usual) == []
    colocated = (
        "{ everybody { id "
        + " ".join(f"...F{i}" for i in range(12))
        + " } } "
        + " ".join(f"fragment F{i} on Person {{ id name score tags {{ name }} }}" for i in range(12))
    )
    assert wide.codes(colocated) == []


# -- strangers -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "query",
    [
        "{ people { totalCount } }",
        "{ health people { totalCount } }",
        "{ nothingOfThatName }",
        "{ __typename }",
        "{ __schema { types { name } } }",
        '{ __type(name: "Person") { name } }',
        "{ health ...F } fragment F on Query { people { totalCount } }",
        "{ health ... on Query { ... { people { totalCount } } } }",
        "query A { health } query B { people { totalCount } }",
        "{ ...F }",
        "{ ...F } fragment F on Query { ...F }",
        'mutation { write(text: "x") }',
        "{ health: people { totalCount } }",
        "{ health @unknown people }",
    ],
)
def test_strangers_get_the_public_list_and_validate_nothing(door, world, monkeypatch, query):
    def never(*_, **__):
        raise AssertionError("validated for a stranger")

    monkeypatch.setattr(documents_module, "validate", never)
    answer = door.ask(query, token="", operationName="A" if "query A" in query else None)
    assert [error["message"] for error in answer["errors"]] == ["Nobody is signed in."]
    assert [error["extensions"]["code"] for error in answer["errors"]] == ["UNAUTHENTICATED"]
    assert "data" not in answer
    assert world.written == []


def test_what_strangers_are_told_of_a_bad_document_names_nothing(door):
    for query in ["{ health { id } }", "{ health } fragment F on Persn { id }", "{ health(helth: 1) }"]:
        answer = door.ask(query, token="")
        assert answer["errors"] == [
            {"message": "The document is not valid.", "extensions": {"code": "GRAPHQL_VALIDATION_FAILED"}}
        ]


def test_strangers_have_their_own_limits(make_client, make_schema):
    door = make_client(schema=make_schema(public_fields=["Query.people", "Query.health"]))
    query = "{ people(first: 100) { nodes { friends(first: %d) { nodes { id } } } } }"
    assert door.ask(query % 5, token="")["extensions"]["cost"] == {"requested": 751, "limit": 1_000, "depth": 5}
    assert door.codes(query % 10, token="") == ["QUERY_TOO_EXPENSIVE"]
    assert door.codes(query % 10) == []
    long = "{ " + "health " * 1_001 + "}"
    # Known to the cache from a caller who may, and still too long for one who may not.
    assert door.codes(long) == ["QUERY_TOO_WIDE"]
    assert door.codes(long, token="") == ["QUERY_TOO_LARGE"]
    assert door.codes("{ " + "health " * 1_002 + "}", token="") == ["QUERY_TOO_LARGE"]


# -- the schema is told to those who may know it ---------------------------------------------------------------------


def test_introspection_is_for_callers_who_may(make_client, make_schema):
    full = get_introspection_query(descriptions=True, input_value_deprecation=True)
    door = make_client()
    answer = door.ask(full)
    assert len(answer["data"]["__schema"]["types"]) > 10
    assert answer["extensions"]["cost"]["depth"] == 0
    door = make_client(schema=make_schema(may_introspect=lambda caller: caller.key == "good-token"))
    assert door.codes(full) == ["FORBIDDEN"]
    assert door.codes(full, token="good-token") == []
    assert door.codes("{ ...F } fragment F on Query { __schema { queryType { name } } }") == ["FORBIDDEN"]
    assert door.codes('{ __type(name: "Person") { name } }') == ["FORBIDDEN"]
    assert "Person" in door.schema.as_str()


SUGGESTING = [
    ("{ helth }", {}),
    ("{ people(frst: 1) { totalCount } }", {}),
    ("{ health ... on Persn { id } }", {}),
    ("query($i: PhonInput) { check(input: $i) }", {}),
    ("{ check(input: {phone: 1, lables: []}) }", {}),
    ("query($i: PhoneInput) { check(input: $i) }", {"i": {"phone": 1, "lables": []}}),
    ("{ check(colour: REDD) }", {}),
    ("{ check(colour: red) }", {}),
    ("query($c: Colour) { check(colour: $c) }", {"c": "REDD"}),
    ("query($c: Colour) { check(colour: $c) }", {"c": "red"}),
    ("{ health @includ(if: true) }", {}),
    ("{ health @include(iff: true) }", {}),
    ("{ people { nodez { id } } }", {}),
]


@pytest.mark.parametrize(("query", "variables"), SUGGESTING)
def test_no_error_suggests_a_name(door, query, variables):
    text = json.dumps(door.ask(query, variables=variables))
    assert "errors" in text
    assert "Did you mean" not in text
    assert "RED'" not in text
    assert "'labels'" not in text


# -- the caches ------------------------------------------------------------------------------------------------------


def test_documents_are_parsed_validated_and_measured_once(door, monkeypatch):
    query = "query($n: Int) { people(first: $n) { nodes { id } } }"
    door.ask(query, variables={"n": 5})
    before = door.schema.gate.documents.info()

    def never(*_, **__):
        raise AssertionError("done again")

    monkeypatch.setattr(documents_module, "parse", never)
    monkeypatch.setattr(documents_module, "validate", never)
    monkeypatch.setattr(documents_module, "measure", never)
    for _ in range(300):
        assert door.ask(query, variables={"n": 5})["extensions"]["cost"]["requested"] == 7
    after = door.schema.gate.documents.info()
    assert (after.hits - before.hits, after.misses) == (300, before.misses)


def test_cost_is_not_remembered_across_page_sizes(door):
    query = "query($n: Int = 7) { people(first: $n) { nodes { id } } }"
    found = [
        door.ask(query, variables=variables)["extensions"]["cost"]["requested"]
        for variables in ({"n": 1}, {"n": 100}, {}, {"n": None}, {"n": 1})
    ]
    assert found == [3, 111, 9, 23, 3]


def test_the_documents_kept_are_bounded(make_client):
    door = make_client(Limits(documents_kept=5, documents_kept_tokens=60))
    for i in range(50):
        door.ask("{ " + f"a{i}: health " * (1 + i % 7) + "}")
    info = door.schema.gate.documents.info()
    assert info.documents <= 5
    assert info.tokens <= 60


def test_strangers_push_nothing_out_of_the_cache(make_client):
    door = make_client(Limits(documents_kept=3))
    door.ask("{ echo }")
    for i in range(10):
        assert door.codes("{ echo a%d: health }" % i, token="") == ["UNAUTHENTICATED"]  # noqa: UP031
    before = door.schema.gate.documents.info()
    assert before.documents == 1
    door.ask("{ echo }")
    assert door.schema.gate.documents.info().hits > before.hits


def test_errors_of_a_kept_document_stay_the_same(door):
    first, second = door.ask("{ nope nada }"), door.ask("{ nope nada }")
    assert first == second
    assert [error["locations"] for error in first["errors"]] == [[{"line": 1, "column": 3}], [{"line": 1, "column": 8}]]


def test_the_extension_reads_what_strawberry_keeps():
    # The operation name as given is a private attribute; strawberry's public one guesses a name.
    context = ExecutionContext(None, None, (), provided_operation_name="A")
    assert context._provided_operation_name == "A"
