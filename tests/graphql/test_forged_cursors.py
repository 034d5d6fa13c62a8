"""Cursors that somebody made up: bad input in every list, whatever stands in them."""

from __future__ import annotations

import base64
import random
from typing import Any

import orjson
import pytest

from fairlead_graphql.schema import build_schema
from graphql import GraphQLObjectType, get_named_type, is_required_argument

SCHEMA = build_schema()._schema
NESTED = ("orders", "timeline")
WHERE = {
    "Query": "{ %s }",
    "Agency": "{ agency { %s } }",
    "Client": '{ client(slug: "acme") { %s } }',
    "Profile": '{ client(slug: "acme") { profiles(first: 2) { nodes { %s } } } }',
}
STRANGE: tuple[Any, ...] = (
    None,
    True,
    False,
    [],
    {},
    0.5,
    1e308,
    -(2**62),
    2**62,
    2**63,
    2**64 - 1,
    "",
    "a\0b",
    "\0",
    "'; --",
    "x" * 5000,
    "2026-01-05T10:00:00Z",
)


def lists() -> list[tuple[str, str]]:
    found = [("Profile", name) for name in NESTED]
    for place in ("Query", "Agency", "Client"):
        kind = SCHEMA.type_map[place]
        assert isinstance(kind, GraphQLObjectType)
        found += [
            (place, name)
            for name, field in kind.fields.items()
            if get_named_type(field.type).name.endswith("Connection")
            and not any(is_required_argument(given) for given in field.args.values())
        ]
    return found


def cursor(value: Any) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(value)).rstrip(b"=").decode()


def codes(world: Any, place: str, name: str, argument: str, text: str) -> set[str]:
    arguments = f'{argument}: "{text}"' + (", last: 2" if argument == "before" else "")
    return set(world.codes("admin", WHERE[place] % f"{name}({arguments}) {{ nodes {{ __typename }} }}"))


def test_a_key_of_any_kind_is_a_place_or_bad_input_in_every_list(seeded: Any) -> None:
    """No forged key fails inside, and those of a kind that no list sorts by are refused everywhere."""
    for place, name in lists():
        arguments = ("after",) if place == "Profile" else ("after", "before")
        for argument in arguments:
            for strange in STRANGE:
                found = codes(seeded, place, name, argument, cursor([strange, 1]))
                assert found <= {"BAD_USER_INPUT"}, (place, name, argument, strange, found)
                if not isinstance(strange, str | int) or isinstance(strange, bool):
                    assert found == {"BAD_USER_INPUT"}, (place, name, argument, strange)
            for number in (None, True, "1", 1.5, 2**63, [1]):
                found = codes(seeded, place, name, argument, cursor([1, number]))
                assert found == {"BAD_USER_INPUT"}, (place, name, argument, number)


@pytest.mark.parametrize(
    ("place", "name", "key"),
    [
        ("Client", "segments", 5),
        ("Client", "journeys", 2**62),
        ("Client", "segments", "a\0b"),
        ("Client", "profiles", "x"),
        ("Client", "audit", "x"),
        ("Client", "orders", 2**62),
        ("Client", "orders", "2026-01-05T10:00:00Z"),
        ("Profile", "orders", 2**62),
        ("Profile", "orders", "x"),
        ("Profile", "timeline", "x"),
        ("Client", "plugins", 5),
    ],
)
def test_a_key_of_another_kind_than_the_list_is_sorted_by_is_refused(
    seeded: Any, place: str, name: str, key: Any
) -> None:
    if (place, name) not in lists():
        pytest.fail(f"{place}.{name} is no list any more")
    assert codes(seeded, place, name, "after", cursor([key, 1])) == {"BAD_USER_INPUT"}


def test_bytes_at_random_are_no_cursor(seeded: Any) -> None:
    seeded_random = random.Random(5)
    for _ in range(60):
        place, name = seeded_random.choice(lists())
        raw = seeded_random.randbytes(seeded_random.randrange(0, 24))
        text = base64.urlsafe_b64encode(raw).decode()
        assert codes(seeded, place, name, "after", text) == {"BAD_USER_INPUT"}, (place, name, raw)
