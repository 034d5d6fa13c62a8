"""Numbers written into a document are held to what a JSON body may hold."""

from __future__ import annotations

from typing import Any

import pytest

CREATE = """
mutation { createJourney(input: {client: "acme", name: "wild", graph: {
  nodes: [{id: "start", kind: "trigger_segment", settings: {segment: "people", odd: %s}, position: {x: %s, y: 0}},
          {id: "end", kind: "exit"}],
  edges: [{source: "start", target: "end", priority: %s}]}}) { journey { id } errors { code } } }"""
READ = '{ client(slug: "acme") { journeys { nodes { version { graph { nodes { position { x } } } } } } } }'
WILD = ("1e999", "-1e999", "9223372036854775808", "-9223372036854775809", "9" * 5000, f"{'9' * 400}.0")


@pytest.mark.parametrize("number", WILD, ids=lambda text: text[:20])
def test_a_number_beyond_64_bits_is_refused_wherever_it_stands(world: Any, number: str) -> None:
    for numbers in ((number, 0, 0), (0, number, 0), (0, 0, number)):
        assert world.codes("operator", CREATE % numbers) == ["BAD_USER_INPUT"]
    default = f'query($x: JSON = {{a: [{number}]}}, $y: Int) {{ client(slug: "acme") {{ slug }} }}'
    assert "BAD_USER_INPUT" in world.codes("operator", default)
    directed = f'{{ client(slug: "acme") {{ slug @include(if: {number}) }} }}'
    assert world.codes("operator", directed) == ["BAD_USER_INPUT"]
    assert world.data("operator", READ)["client"]["journeys"]["nodes"] == []


def test_the_largest_numbers_go_through(world: Any) -> None:
    answer = world.gql("operator", CREATE % (-(2**63), "1.7976931348623157e308", 0))
    codes = [error["code"] for error in answer["data"]["createJourney"]["errors"]]
    assert "INTERNAL" not in codes


def test_a_text_may_be_so_long_and_no_longer(world: Any) -> None:
    query = "query($x: String!) { client(slug: $x) { id } }"
    assert world.codes("operator", query, x="x" * 100_000) == []
    assert world.codes("operator", query, x="x" * 100_001) == ["BAD_USER_INPUT"]
