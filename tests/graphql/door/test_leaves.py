"""The short way for plain leaves answers exactly as graphql-core does, whatever the attributes hold."""

from __future__ import annotations

import asyncio
import enum
import math
from decimal import Decimal
from typing import Any

import pytest
import strawberry
from strawberry.extensions import SchemaExtension
from strawberry.scalars import JSON

from fairlead_graphql.door import leaves
from fairlead_graphql.door.leaves import PlainLeaves


@strawberry.enum
class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@strawberry.type
class Row:
    id: strawberry.ID
    text: str
    perhaps: str | None
    number: int
    real: float
    flag: bool
    money: Decimal
    colour: Colour
    free: JSON
    row: Row | None

    @strawberry.field
    def shout(self) -> str:
        return str(self.text).upper()

    @strawberry.field
    async def later(self) -> str:
        return "later"


GOOD: dict[str, Any] = {
    "id": "1",
    "text": "a",
    "perhaps": None,
    "number": 1,
    "real": 1.5,
    "flag": True,
    "money": Decimal("1.50"),
    "colour": Colour.RED,
    "free": {"a": [1]},
    "row": None,
}


def row(**changes: Any) -> Row:
    made = object.__new__(Row)
    made.__dict__.update(GOOD | changes)
    return made


@strawberry.type
class Query:
    @strawberry.field
    def rows(self, info: strawberry.Info) -> list[Row | None]:
        found: list[Row | None] = info.context["rows"]
        return found


STOCK = strawberry.Schema(Query)
SHORT = strawberry.Schema(Query, execution_context_class=PlainLeaves)
LEAVES = "id text perhaps number real flag money colour free"
DOCUMENTS = (
    f"{{ rows {{ {LEAVES} }} }}",
    f"{{ rows {{ text {LEAVES} shout row {{ flag text }} __typename aka: number }} }}",
    "{ rows { ...A ... on Row { flag } text @skip(if: true) real @include(if: true) } } fragment A on Row { number }",
)
ODD = (
    {},
    {"text": None},
    {"number": None, "flag": None},
    {"number": 2**31},
    {"number": "seven"},
    {"number": 7.0},
    {"number": True},
    {"text": 7, "flag": 1, "real": 3},
    {"real": math.nan},
    {"real": math.inf},
    {"text": ["no", "text"]},
    {"id": 7},
    {"colour": "red"},
    {"colour": "green"},
    {"perhaps": ValueError("kept as a value")},
    {"money": "1.5"},
    {"row": row(text=None)},
    {"row": row(text="b", row=row())},
)


def answer(schema: strawberry.Schema, document: str, rows: list[Any]) -> Any:
    result = schema.execute_sync(document, context_value={"rows": rows})
    errors = [(error.message, error.path, error.locations) for error in result.errors or ()]
    return repr((result.data, sorted(errors, key=repr)))


@pytest.mark.parametrize("document", DOCUMENTS)
@pytest.mark.parametrize("changes", ODD, ids=str)
def test_every_value_is_answered_as_graphql_core_does(document: str, changes: dict[str, Any]) -> None:
    rows = [row(), row(**changes), row(text="last"), None]

    assert answer(SHORT, document, rows) == answer(STOCK, document, rows)


def test_an_attribute_that_is_missing_is_an_error_at_its_own_place() -> None:
    broken = row()
    del broken.__dict__["text"]

    assert answer(SHORT, DOCUMENTS[0], [row(), broken]) == answer(STOCK, DOCUMENTS[0], [row(), broken])


def test_asynchronous_fields_keep_their_place_among_the_leaves() -> None:
    async def ask(schema: strawberry.Schema, rows: list[Row]) -> Any:
        result = await schema.execute("{ rows { text later number shout } }", context_value={"rows": rows})
        return repr((result.data, result.errors))

    async def text() -> str:
        return "awaited"

    short = asyncio.run(ask(SHORT, [row(), row(text="b")]))
    assert short == asyncio.run(ask(STOCK, [row(), row(text="b")]))
    assert "later" in short
    assert "awaited" in asyncio.run(ask(SHORT, [row(text=text())]))


def test_plain_objects_take_the_short_way_and_odd_ones_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    outcomes: list[bool] = []
    original = leaves._read

    def noted(source: Any, fields: Any) -> Any:
        try:
            found = original(source, fields)
        except Exception:
            outcomes.append(False)
            raise
        outcomes.append(True)
        return found

    monkeypatch.setattr(leaves, "_read", noted)

    answer(SHORT, DOCUMENTS[0], [row(), row(number=2**31), row()])

    assert outcomes == [True, False, True]


def test_an_extension_that_watches_every_field_sees_the_leaves() -> None:
    seen: list[str] = []

    class Watch(SchemaExtension):
        def resolve(self, _next: Any, root: Any, info: Any, *args: Any, **kwargs: Any) -> Any:
            seen.append(info.field_name)
            return _next(root, info, *args, **kwargs)

    schema = strawberry.Schema(Query, execution_context_class=PlainLeaves, extensions=[Watch])

    answer(schema, "{ rows { text number } }", [row()])

    assert seen == ["rows", "text", "number"]
