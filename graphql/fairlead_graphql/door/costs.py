"""What each field of a schema costs, read from the schema once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import strawberry
from strawberry.schema_directive import Location

from fairlead_graphql.door.limits import Limits
from graphql import (
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    OperationType,
    get_named_type,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
)

# Costs are kept in tenths, so that a value can cost a tenth of an object without floating point.
TENTHS = 10
_OBJECT = TENTHS
_VALUE = 1


@strawberry.schema_directive(
    locations=[Location.FIELD_DEFINITION],
    description="What a field costs: `weight` for itself (per item when it is a list), `size` items when unpaged.",
)
class Cost:
    """Declares the cost of a field, for instance ``strawberry.field(directives=[Cost(weight=50)])``."""

    # UNSET, since a default of None would be printed as `= null` beside every use.
    weight: int | None = strawberry.UNSET
    size: int | None = strawberry.UNSET


class Weight(NamedTuple):
    """A declared cost: ``weight`` of the field itself (of each item, for a list), ``size`` of an unpaged list."""

    weight: int | None = None
    size: int | None = None


@dataclass(frozen=True, slots=True)
class FieldCost:
    """How one field adds to the cost; figures are tenths.

    ``is_page``: returns a connection, whose ``per_page`` fields are multiplied by the page size.
    ``slicing``: names of the arguments that set the size; ``size``: the size when they do not.
    """

    weight: int
    child: str | None = None
    is_list: bool = False
    is_page: bool = False
    per_page: bool = False
    slicing: frozenset[str] = frozenset()
    size: int = 1


_UNKNOWN = FieldCost(_OBJECT)
_TYPENAME = FieldCost(_VALUE)


class CostTable:
    """Costs by type and field name. Built once for a schema; reading it takes two look-ups.

    ``declared`` maps ``(type, field)`` to a :class:`Weight` or to a plain weight, and wins over the directive.
    Raises ``ValueError`` when ``declared`` names a field the schema does not have.
    """

    def __init__(
        self, schema: GraphQLSchema, limits: Limits, declared: Mapping[tuple[str, str], Weight | int] | None = None
    ) -> None:
        self.limits = limits
        self._declared = dict(declared or {})
        self._fields: dict[str, dict[str, FieldCost]] = {}
        for name, kind in schema.type_map.items():
            if isinstance(kind, GraphQLObjectType | GraphQLInterfaceType) and not name.startswith("__"):
                self._fields[name] = {field: self._cost(name, field, found) for field, found in kind.fields.items()}
        unknown = [pair for pair in self._declared if pair[1] not in self._fields.get(pair[0], {})]
        if unknown:
            raise ValueError(f"a cost is declared for {unknown[0][0]}.{unknown[0][1]}, which the schema does not have")
        roots = {operation: schema.get_root_type(operation) for operation in OperationType}
        self.roots: dict[OperationType, str] = {operation: root.name for operation, root in roots.items() if root}

    def field(self, parent: str | None, name: str) -> FieldCost:
        """The cost of a field; an unknown one counts as an object."""
        if name == "__typename":
            return _TYPENAME
        fields = self._fields.get(parent) if parent else None
        return fields.get(name, _UNKNOWN) if fields else _UNKNOWN

    def _cost(self, parent: str, name: str, field: GraphQLField) -> FieldCost:
        declared = self._weight(parent, name, field)
        kind = field.type.of_type if is_non_null_type(field.type) else field.type
        named = get_named_type(field.type)
        leaf = is_leaf_type(named)
        is_list = is_list_type(kind) and not leaf
        is_page = named.name.endswith("Connection") and not is_list
        # The edge only carries the node, and the page's own parts come with it.
        free = named.name.endswith("Edge") or named.name == "PageInfo"
        weight = _VALUE if leaf else 0 if free else _OBJECT
        return FieldCost(
            weight=weight if declared.weight is None else declared.weight * TENTHS,
            child=None if leaf else named.name,
            is_list=is_list,
            is_page=is_page,
            per_page=is_list and parent.endswith("Connection"),
            slicing=frozenset(field.args) & {"first", "last"} if is_list or is_page else frozenset(),
            size=self._size(field, is_page, declared.size),
        )

    def _size(self, field: GraphQLField, is_page: bool, declared: int | None) -> int:
        if declared is not None:
            return declared
        if "first" in field.args or "last" in field.args or is_page:
            return self.limits.page_default
        return self.limits.list_size

    def _weight(self, parent: str, name: str, field: GraphQLField) -> Weight:
        declared = self._declared.get((parent, name))
        if declared is not None:
            return declared if isinstance(declared, Weight) else Weight(declared)
        definition: Any = (field.extensions or {}).get("strawberry-definition")
        for directive in getattr(definition, "directives", None) or ():
            if isinstance(directive, Cost):
                return Weight(_given(directive.weight), _given(directive.size))
        return Weight()


def _given(value: int | None) -> int | None:
    return value if type(value) is int else None
