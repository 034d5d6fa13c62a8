"""The decoder by itself."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead_graphql.door.decode import decode, operation
from fairlead_graphql.door.errors import Refused

SAFE_TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x00"))
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | SAFE_TEXT,
    lambda children: st.lists(children, max_size=4) | st.dictionaries(SAFE_TEXT, children, max_size=4),
    max_leaves=20,
)


def nested(depth: int) -> bytes:
    return b"[" * depth + b"1" + b"]" * depth


@given(VALUES)
def test_what_is_harmless_comes_through_unchanged(value):
    assert decode(json.dumps(value), 100) == value
    assert decode(json.dumps(value, ensure_ascii=False).encode(), 100) == value


@given(st.binary(max_size=200))
def test_any_bytes_are_a_value_or_a_refusal(data):
    try:
        value = decode(data, 20)
    except Refused as refused:
        status = refused.status
    else:
        status = 400 if json.loads(data) == value else 0
    assert status == 400


@pytest.mark.parametrize("depth", [1, 2, 20])
def test_nesting_is_counted_exactly(depth):
    assert decode(nested(depth), depth) is not None
    with pytest.raises(Refused):
        decode(nested(depth + 1), depth)


def test_text_at_the_deepest_level_is_checked_too():
    with pytest.raises(Refused):
        decode('[["\\u0000"]]', 2)


def test_unknown_keys_are_ignored_and_absent_ones_are_none():
    asked = operation({"query": "{ a }", "something": [1]})
    assert (asked.query, asked.variables, asked.extensions, asked.document_id) == ("{ a }", None, {}, None)
