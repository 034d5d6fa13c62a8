"""A page of 50 customers with identities and tags: against the bare statements, and against the usual stack."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import orjson

from benchmarks._floor import Floor
from benchmarks._people import SLUG, People, people
from benchmarks._usual import UsualStack
from benchmarks.harness import Comparison, Figure, Goal, Result, compare, cpu_seconds
from fairlead_graphql.context import Context
from fairlead_graphql.schema import build_schema

PROFILES = 100_000
PAGE = 50
REQUESTS = 40

USUAL = Figure(
    "graphql_list.usual_stack",
    f"{REQUESTS} pages of {PAGE} customers with identities and tags; strawberry, ORM entities and DataLoaders; CPU s",
    Goal("ratio", ">=", 1.5),
)
FLOOR = Figure(
    "graphql_list.floor",
    "the same pages; the same SQL by the bare driver, opened and masked, and orjson: what no GraphQL can beat; CPU s",
    Goal("ratio", ">=", 0.1),
)
FIGURES = (USUAL, FLOOR)

DOCUMENT = """
query Page($client: String!, $first: Int!, $after: String) {
  client(slug: $client) {
    profiles(first: $first, after: $after) {
      edges {
        cursor
        node {
          id name gender region createdAt
          identities { id kind masked }
          tags { id name level }
        }
      }
      pageInfo { hasNextPage endCursor }
    }
  }
}
"""


class Ours:
    """The schema as it is served, with all its limits, below the HTTP layer."""

    def __init__(self, of: People) -> None:
        self._of = of
        self._schema = build_schema()

    def answer(self, document: str, variables: dict[str, Any]) -> bytes:
        """The answer as JSON."""
        with Context(self._of.runtime, self._of.principal) as context:
            result = self._schema.execute_sync(document, variable_values=variables, context_value=context)
        if result.errors:
            raise result.errors[0]
        return orjson.dumps({"data": result.data})


def run(scale: float = 1.0, rounds: int = 5) -> Iterator[Result]:
    """Measure with ``scale`` times a hundred thousand people; every answer is the same on all sides."""
    with people(max(int(PROFILES * scale), 1000)) as of:
        ours, usual, floor = Ours(of), UsualStack(of), Floor(of)
        asked = pages(of)
        for variables in (asked[0], asked[-1]):
            same([orjson.loads(side.answer(DOCUMENT, variables)) for side in (ours, usual, floor)])

        def read(side: Any, each: list[dict[str, Any]]) -> None:
            for variables in each:
                side.answer(DOCUMENT, variables)

        comparisons = [
            Comparison(figure, lambda: asked, partial(read, ours), (name,))
            for figure, name in ((USUAL, "usual"), (FLOOR, "floor"))
        ]
        baselines = {
            "usual": lambda: cpu_seconds(partial(read, usual), asked),
            "floor": lambda: cpu_seconds(partial(read, floor), asked),
        }
        yield from compare(comparisons, baselines, rounds)
        usual.close()


def pages(of: People) -> list[dict[str, Any]]:
    """The first page, and pages after people drawn at random (the same in every run)."""
    chosen = random.Random(1).choices(of.profile_ids[:-PAGE], k=REQUESTS - 1)
    cursors = [None, *(Floor.cursor(number) for number in chosen)]
    return [{"client": SLUG, "first": PAGE, "after": cursor} for cursor in cursors]


def same(answers: Sequence[Any]) -> None:
    """Raise ``AssertionError`` unless all answers are one and hold people."""
    first, *others = answers
    if not first["data"]["client"]["profiles"]["edges"]:
        raise AssertionError("an empty page measures nothing")
    if any(answer != first for answer in others):
        raise AssertionError("the sides do not answer the same")
