"""Every list of the schema: pages are bounded, cursors lead on, and statements do not grow with the rows."""

from __future__ import annotations

from typing import Any

from fairlead_graphql.schema import build_schema
from graphql import GraphQLField, GraphQLObjectType, get_named_type, is_leaf_type, is_required_argument

SCHEMA = build_schema()._schema
DEEPEST = 3
FEW = frozenset({"clients", "channelAccounts"})
"""Lists with two rows in the data."""


def fields_of(type_name: str) -> dict[str, GraphQLField]:
    kind = SCHEMA.type_map[type_name]
    assert isinstance(kind, GraphQLObjectType)
    return dict(kind.fields)


def lists(type_name: str) -> list[str]:
    return [
        name
        for name, field in fields_of(type_name).items()
        if get_named_type(field.type).name.endswith("Connection")
        and not any(is_required_argument(given) for given in field.args.values())
    ]


WHERE = {"Query": "{ %s }", "Agency": "{ agency { %s } }", "Client": '{ client(slug: "acme") { %s } }'}
LISTS = [(place, name) for place in WHERE for name in lists(place)]


def everything(type_name: str, depth: int = 0) -> str:
    """A selection of all that needs no argument, pages of two, down to a depth."""
    parts = []
    for name, field in fields_of(type_name).items():
        named = get_named_type(field.type)
        if any(is_required_argument(given) for given in field.args.values()):
            continue
        if is_leaf_type(named):
            parts.append(name)
        elif depth < DEEPEST and isinstance(named, GraphQLObjectType) and named.name not in ("Client", "Agency"):
            if named.name.endswith("Connection"):
                node = get_named_type(named.fields["nodes"].type).name
                if depth + 1 < DEEPEST:
                    parts.append(f"{name}(first: 2) {{ nodes {{ {everything(node, depth + 2)} }} }}")
            else:
                parts.append(f"{name} {{ {everything(named.name, depth + 1)} }}")
    return " ".join(parts) or "__typename"


def ask(world: Any, place: str, name: str, arguments: str, below: str) -> Any:
    data = world.data("admin", WHERE[place] % f"{name}({arguments}) {{ {below} }}")
    return data[name] if place == "Query" else next(iter(data.values()))[name]


def nodes_below(place: str, name: str) -> str:
    """What to ask of each row. A client's own lists are read per client, so of clients only what stands in the row."""
    node = get_named_type(fields_of(get_named_type(fields_of(place)[name].type).name)["nodes"].type).name
    return f"nodes {{ {everything(node, DEEPEST if node == 'Client' else 0)} }}"


def test_statements_do_not_grow_with_the_rows(seeded: Any) -> None:
    grown = []
    for place, name in LISTS:
        below = nodes_below(place, name)
        ask(seeded, place, name, "first: 1", below)
        with seeded.counting() as one:
            small = ask(seeded, place, name, "first: 1", below)
        with seeded.counting() as many:
            big = ask(seeded, place, name, "first: 3", below)
        assert len(small["nodes"]) == 1, (place, name)
        assert len(big["nodes"]) == (2 if name in FEW else 3), (place, name)
        if one.number != many.number:
            grown.append((place, name, one.number, many.number))
    assert grown == []


def test_every_list_holds_its_bounds_and_goes_on_from_its_cursors(seeded: Any) -> None:
    for place, name in LISTS:
        for arguments in ("first: 101", "first: 0", "first: -1"):
            codes = seeded.codes("admin", WHERE[place] % f"{name}({arguments}) {{ nodes {{ __typename }} }}")
            assert codes == ["BAD_USER_INPUT"], (place, name, arguments)
        below = "totalCount edges { cursor } pageInfo { hasNextPage hasPreviousPage startCursor endCursor }"
        whole = ask(seeded, place, name, "first: 100", below)
        cursors = [edge["cursor"] for edge in whole["edges"]]
        assert len(set(cursors)) == len(cursors) == whole["totalCount"] >= 2, (place, name)
        first = ask(seeded, place, name, "first: 1", below)
        assert first["pageInfo"]["hasNextPage"], (place, name)
        rest = ask(seeded, place, name, f'first: 100, after: "{cursors[0]}"', below)
        assert [edge["cursor"] for edge in rest["edges"]] == cursors[1:], (place, name)
        assert rest["pageInfo"]["hasPreviousPage"], (place, name)
        last = ask(seeded, place, name, f'last: 1, before: "{cursors[-1]}"', below)
        assert [edge["cursor"] for edge in last["edges"]] == [cursors[-2]], (place, name)
        for wrong in ("after", "before"):
            codes = seeded.codes("admin", WHERE[place] % f'{name}({wrong}: "x") {{ nodes {{ __typename }} }}')
            assert codes == ["BAD_USER_INPUT"], (place, name, wrong)
