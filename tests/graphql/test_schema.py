"""The schema as a whole: everything described, everything declared, every list bounded, the committed file current."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fairlead_graphql import nodes
from fairlead_graphql.door import Cost
from fairlead_graphql.policy import FIELDS, MUTATIONS, TYPES
from fairlead_graphql.schema import build_schema, sdl
from graphql import (
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLScalarType,
    get_named_type,
    is_leaf_type,
    is_list_type,
    specified_scalar_types,
)

SCHEMA = build_schema()._schema
ROOTS = ("Query", "Mutation", "Subscription")
GATED = ("Query", "Agency", "Client", "Subscription")
"""Types whose every resolver-backed field is declared one by one."""
SHARED = frozenset({"PageInfo", "UserError", "Money", "Title"})
"""Types that stand below others and show nothing of their own."""
COMMITTED = Path(__file__).resolve().parents[2] / "schema.graphql"


def own_types() -> list[GraphQLNamedType]:
    return [
        kind
        for name, kind in SCHEMA.type_map.items()
        if not name.startswith("__") and name not in specified_scalar_types
    ]


def objects() -> Iterator[GraphQLObjectType]:
    for kind in own_types():
        if isinstance(kind, GraphQLObjectType):
            yield kind


def is_page_part(kind: GraphQLObjectType) -> bool:
    return kind.name.endswith("Connection") or set(kind.fields) == {"node", "cursor"}


def undescribed() -> Iterator[str]:
    for kind in own_types():
        if not kind.description:
            yield kind.name
        if isinstance(kind, GraphQLObjectType | GraphQLInterfaceType):
            for name, field in kind.fields.items():
                if not field.description:
                    yield f"{kind.name}.{name}"
                for argument, given in field.args.items():
                    if not given.description:
                        yield f"{kind.name}.{name}({argument})"
        if isinstance(kind, GraphQLInputObjectType):
            yield from (f"{kind.name}.{name}" for name, given in kind.fields.items() if not given.description)
        if isinstance(kind, GraphQLEnumType):
            yield from (f"{kind.name}.{name}" for name, value in kind.values.items() if not value.description)


def test_everything_has_a_description() -> None:
    assert sorted(undescribed()) == []


def test_every_object_type_says_what_it_took_to_reach_it() -> None:
    free = SHARED | set(ROOTS)
    names = {kind.name for kind in objects() if not is_page_part(kind)}
    assert sorted(names - free - TYPES.keys()) == []
    assert sorted(TYPES.keys() - names) == []


@pytest.mark.parametrize("type_name", GATED)
def test_every_field_with_a_resolver_declares_its_permission(type_name: str) -> None:
    kind = SCHEMA.type_map[type_name]
    assert isinstance(kind, GraphQLObjectType)
    resolved = {name for name, field in kind.fields.items() if needs_declaration(field)}
    assert sorted(resolved - {field for on, field in FIELDS if on == type_name}) == []


def needs_declaration(field: GraphQLField) -> bool:
    """Whether code of ours answers the field; plain columns come with the row."""
    return field.extensions["strawberry-definition"].base_resolver is not None


def test_what_is_declared_exists() -> None:
    gone = [
        (type_name, field)
        for type_name, field in FIELDS
        if field not in SCHEMA.type_map[type_name].fields  # type: ignore[attr-defined]
    ]
    assert gone == []


def test_mutations_are_the_declared_ones() -> None:
    assert SCHEMA.mutation_type is not None
    assert sorted(SCHEMA.mutation_type.fields) == sorted(MUTATIONS)


def test_mutations_have_one_form() -> None:
    assert SCHEMA.mutation_type is not None
    for name, field in SCHEMA.mutation_type.fields.items():
        assert list(field.args) == ["input"], name
        given, payload = get_named_type(field.args["input"].type), get_named_type(field.type)
        assert isinstance(given, GraphQLInputObjectType)
        assert isinstance(payload, GraphQLObjectType)
        assert "idempotencyKey" in given.fields, name
        assert str(payload.fields["errors"].type) == "[UserError!]!", name
        others = [one for one, part in payload.fields.items() if one != "errors"]
        assert not any(isinstance(payload.fields[one].type, GraphQLNonNull) for one in others), name


def test_every_list_without_pages_says_how_long_it_may_be() -> None:
    free = ("UserError",)
    silent = []
    for kind in objects():
        for name, field in kind.fields.items():
            inner = field.type.of_type if isinstance(field.type, GraphQLNonNull) else field.type
            named = get_named_type(field.type)
            if not is_list_type(inner) or is_leaf_type(named) or is_page_part(kind) or named.name in free:
                continue
            declared = [
                one for one in field.extensions["strawberry-definition"].directives or () if isinstance(one, Cost)
            ]
            if not (declared and isinstance(declared[0].size, int)):
                silent.append(f"{kind.name}.{name}")
    assert silent == []


def test_every_connection_takes_a_page() -> None:
    for kind in objects():
        for name, field in kind.fields.items():
            if get_named_type(field.type).name.endswith("Connection"):
                assert {"first", "after"} <= set(field.args), f"{kind.name}.{name}"


def test_whatever_has_a_global_id_is_found_by_it() -> None:
    node = SCHEMA.type_map["Node"]
    assert isinstance(node, GraphQLInterfaceType)
    assert sorted(kind.name for kind in SCHEMA.get_possible_types(node)) == sorted(nodes.LOADERS)


def test_no_default_is_null() -> None:
    assert "= null" not in sdl()


def test_custom_scalars_are_few() -> None:
    found = {kind.name for kind in own_types() if isinstance(kind, GraphQLScalarType)}
    assert found <= {"JSON", "DateTime", "Date", "Decimal", "RuleValue"}, "a new scalar needs a reason"


def test_the_committed_file_is_current() -> None:
    assert COMMITTED.read_text("utf-8") == sdl(), "run `fairlead schema --write schema.graphql`"


def test_the_text_does_not_depend_on_the_order_of_imports() -> None:
    names = [line.split()[1] for line in sdl().splitlines() if line.startswith(("type ", "input ", "enum "))]
    assert names == sorted(names)
