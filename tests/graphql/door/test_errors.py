"""What a caller reads and what the log holds."""

from __future__ import annotations

import json

import pytest

from fairlead_graphql.door.documents import Document
from fairlead_graphql.door.errors import ERRORS, count, public_errors, without_values
from graphql import GraphQLError, parse, specified_rules

PHONE = "13800138000"


def test_domain_errors_carry_code_path_and_next_step(door, logged):
    error = door.ask("{ refused }")["errors"][0]
    assert error["message"] == "You may not."
    assert error["path"] == ["refused"]
    assert error["extensions"] == {"code": "FORBIDDEN", "path": ["input", 0], "nextStep": "Ask an admin."}
    assert logged() == "[]"


def test_several_refusals_are_several_errors(door):
    errors = door.ask("{ refusals }")["errors"]
    assert [(e["message"], e["extensions"]["code"], e["extensions"]["path"]) for e in errors] == [
        ("One.", "BAD_USER_INPUT", ["a"]),
        ("Two.", "BAD_USER_INPUT", ["b"]),
    ]


@pytest.mark.parametrize("field", ["broken", "misfit"])
def test_what_nobody_meant_is_masked_and_logged_without_its_text(door, logged, field):
    answer = door.ask(f"{{ secretAlias{PHONE}: {field} }}")
    assert answer["errors"][0]["extensions"] == {"code": "INTERNAL_SERVER_ERROR"}
    assert answer["errors"][0]["message"].startswith("Something broke")
    text = logged()
    assert f'"path": "{field}"' in text
    assert ("RuntimeError" if field == "broken" else "GraphQLError") in text
    assert PHONE not in text
    assert "secret-of-the-server" not in text
    assert "99999999999" not in text


CLIENT_ERRORS = [
    ("query($i: PhoneInput) { check(input: $i) }", {"i": {"phone": PHONE}}, "BAD_USER_INPUT"),
    ("query($i: PhoneInput) { check(input: $i) }", {"i": PHONE}, "BAD_USER_INPUT"),
    ("query($i: PhoneInput) { check(input: $i) }", {"i": {"phone": 1, PHONE: 1}}, "BAD_USER_INPUT"),
    ("query($i: PhoneInput) { check(input: $i) }", {"i": {"phone": 1, "labels": {"x": PHONE}}}, "BAD_USER_INPUT"),
    ("query($c: Colour) { check(colour: $c) }", {"c": PHONE}, "BAD_USER_INPUT"),
    ("query($c: Colour) { check(colour: $c) }", {"c": f"' does not exist in '{PHONE}' enum."}, "BAD_USER_INPUT"),
    ("query($n: Int!) { echo(number: $n) }", {}, "BAD_USER_INPUT"),
    ("query($n: Int) { echo(number: $n) }", {"n": None}, "BAD_USER_INPUT"),
    ("query($n: Int) { echo(number: $n) }", {"n": PHONE}, "BAD_USER_INPUT"),
    (f"{{ x{PHONE} }}", {}, "GRAPHQL_VALIDATION_FAILED"),
    (f"{{ x{PHONE}", {}, "GRAPHQL_PARSE_FAILED"),
    (f'{{ echo(number: "{PHONE}") }}', {}, "GRAPHQL_VALIDATION_FAILED"),
]


@pytest.mark.parametrize(("query", "variables", "code"), CLIENT_ERRORS)
def test_client_errors_have_a_code_and_leave_no_trace_in_the_log(door, logged, query, variables, code):
    answer = door.ask(query, variables=variables)
    assert {error["extensions"]["code"] for error in answer["errors"]} == {code}
    assert PHONE not in logged()
    if variables:
        assert PHONE not in json.dumps(answer)


def test_a_refused_variable_names_its_place_and_its_type(door):
    error = door.ask(CLIENT_ERRORS[0][0], variables=CLIENT_ERRORS[0][1])["errors"][0]
    assert error["message"] == "Variable '$i' is not acceptable at phone: Int cannot represent non-integer value."
    assert error["extensions"] == {"code": "BAD_USER_INPUT", "path": ["i", "phone"]}


@pytest.mark.parametrize(
    ("message", "public", "path"),
    [
        (
            "Variable '$p' has invalid value at .a[3].b: Int cannot represent non-integer value: '138'",
            "Variable '$p' is not acceptable at a[3].b: Int cannot represent non-integer value.",
            ["p", "a", 3, "b"],
        ),
        (
            "Variable '$p' has invalid value: Expected a value of non-null type 'P!' to be provided.",
            "Variable '$p' is not acceptable: Expected a value of non-null type 'P!' to be provided.",
            ["p"],
        ),
        (
            "Variable '$p' has invalid value at .when: Value cannot represent a Date: \"138\". Invalid: '138'",
            "Variable '$p' is not acceptable at when: Value cannot represent a Date.",
            ["p", "when"],
        ),
        (
            "Variable '$e' has invalid value: Value '138' does not exist in 'Colour' enum.",
            "Variable '$e' is not acceptable: it is no value of 'Colour'.",
            ["e"],
        ),
        ("Variable '$e' has invalid value: something of 138", "Variable '$e' is not acceptable.", ["e"]),
        ("138", "The input is not acceptable.", []),
    ],
)
def test_values_are_taken_out_of_coercion_messages(message, public, path):
    assert without_values(message) == (public, path)


def test_pythons_own_words_are_not_quoted(door):
    query = "{ echo(number: " + "9" * 5_000 + ") }"
    assert door.ask(query)["errors"][0]["message"] == "A number in the document is beyond 64 bits."
    (error,) = Document(parse(query)).errors(door.schema._schema, tuple(specified_rules), 20)
    assert error.message == "Expected value of type 'Int'"


def test_an_answer_holds_at_most_twenty_errors(door):
    everything = "{ everybody { " + " ".join(f"x{i}" for i in range(25)) + " } }"
    assert len(door.ask(everything)["errors"]) <= 20
    variables = {"i": {"phone": 1, "labels": [{} for _ in range(100)]}}
    assert len(door.ask("query($i: PhoneInput) { check(input: $i) }", variables=variables)["errors"]) <= 20


def test_a_graphql_error_with_a_code_is_meant_to_be_seen_and_one_without_is_not():
    meant = GraphQLError("Seen.", path=["a"], extensions={"code": "MINE", "more": 1})
    raised = GraphQLError("Hidden 138.", path=["a"])
    seen, hidden = public_errors([meant, raised], 20)
    assert (seen.message, seen.extensions) == ("Seen.", {"code": "MINE", "more": 1})
    assert "138" not in hidden.message
    assert hidden.extensions == {"code": "INTERNAL_SERVER_ERROR"}


def total(code: str) -> float:
    return ERRORS.labels(code=code)._value.get()


def test_client_errors_are_counted(door):
    before = total("GRAPHQL_VALIDATION_FAILED"), total("INTERNAL_SERVER_ERROR"), total("FORBIDDEN")
    door.ask("{ nope }")
    door.ask("{ broken }")
    door.ask("{ refused }")
    after = total("GRAPHQL_VALIDATION_FAILED"), total("INTERNAL_SERVER_ERROR"), total("FORBIDDEN")
    assert after == tuple(each + 1 for each in before)


def test_the_label_of_the_counter_is_bounded():
    for i in range(200):
        count(f"INVENTED_{i}")
    assert total("OTHER") > 0
