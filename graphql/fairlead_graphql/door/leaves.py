"""Plain fields without the ceremony: what is an attribute and a leaf is read at once.

graphql-core builds a path, an info object and a chain of checks for every value. For a field without a resolver and
without arguments that ends in a scalar or enum, nobody sees any of it, so :class:`PlainLeaves` reads the attributes of
an object in one go. Whatever is out of the ordinary (a null where none may be, a value that its type refuses, something
to await) makes it hand the whole object to graphql-core, which then answers as it always does, errors included.
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import isawaitable
from typing import Any, NamedTuple

from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext
from strawberry.types.field import StrawberryField

from graphql import (
    GraphQLBoolean,
    GraphQLID,
    GraphQLInt,
    GraphQLString,
    Undefined,
    get_nullable_type,
    is_leaf_type,
)

_INT32 = range(-(2**31), 2**31)
# Values of these Python types are their own result; others go through the type's own coercion.
_AS_IT_IS: dict[Any, type] = {
    GraphQLString: str,
    GraphQLID: str,
    GraphQLBoolean: bool,
    GraphQLInt: int,
}


class _Unusual(Exception):
    """This object is graphql-core's to complete."""


class _Leaf(NamedTuple):
    """A plain field: its name in the answer, the attribute, the type of values that need no coercion, the rest."""

    response_name: str
    attribute: str
    plain: type | None
    coerce: Callable[[Any], Any]
    nullable: bool


class _Split(NamedTuple):
    """The fields of one selection set: the leaves, and the others in graphql-core's form."""

    fields: Any
    leaves: list[_Leaf]
    others: dict[str, Any]


class PlainLeaves(StrawberryGraphQLCoreExecutionContext):
    """Executes as graphql-core does, with a shorter way for plain leaves."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._splits: dict[tuple[Any, int], _Split] = {}

    def execute_fields(
        self, parent_type: Any, source_value: Any, path: Any, grouped_field_set: Any, position_context: Any
    ) -> Any:
        """The fields of one object. Source and path are as graphql-core has them; so is the answer."""
        split = self._splits.get((parent_type, id(grouped_field_set)))
        if split is None:
            split = self._split(parent_type, grouped_field_set)
        if not split.leaves:
            return super().execute_fields(parent_type, source_value, path, grouped_field_set, position_context)
        try:
            found = _read(source_value, split.leaves)
        except Exception:  # noqa: BLE001 -- whatever it was, it happens again below and is reported there
            return super().execute_fields(parent_type, source_value, path, grouped_field_set, position_context)
        if not split.others:
            return found
        rest = super().execute_fields(parent_type, source_value, path, split.others, position_context)
        if isawaitable(rest):
            return _joined_later(grouped_field_set, found, rest)
        return _joined(grouped_field_set, found, rest)

    def _split(self, parent_type: Any, grouped_field_set: Any) -> _Split:
        leaves: list[_Leaf] = []
        others: dict[str, Any] = {}
        for response_name, details in grouped_field_set.items():
            leaf = self._leaf(parent_type, response_name, details)
            if leaf is None:
                others[response_name] = details
            else:
                leaves.append(leaf)
        # The set is kept beside its parts, so that its id stays its own as long as this operation runs.
        split = self._splits[parent_type, id(grouped_field_set)] = _Split(grouped_field_set, leaves, others)
        return split

    def _leaf(self, parent_type: Any, response_name: str, details: Any) -> _Leaf | None:
        node = details[0].node
        field = self.schema.get_field(parent_type, node.name.value)
        if field is None or field.args or node.arguments:
            return None
        resolve: Any = field.resolve
        # Extensions that look at every field (tracing, directives) get to see these, too.
        watched = self.middleware_manager and self.middleware_manager.get_field_resolver(resolve) is not resolve
        if watched or not getattr(resolve, "_is_default", False):
            return None
        definition = (field.extensions or {}).get("strawberry-definition")
        if not isinstance(definition, StrawberryField) or definition.default_resolver is not getattr:
            return None
        type_: Any = get_nullable_type(field.type)
        if not is_leaf_type(type_):
            return None
        nullable = type_ is field.type
        return _Leaf(response_name, definition.python_name, _AS_IT_IS.get(type_), type_.coerce_output_value, nullable)


def _read(source: Any, leaves: list[_Leaf]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for response_name, attribute, plain, coerce, nullable in leaves:
        value: Any = getattr(source, attribute)
        if value is None:
            if not nullable:
                raise _Unusual
        elif type(value) is not plain or (plain is int and value not in _INT32):
            if isinstance(value, Exception) or hasattr(value, "__await__"):
                raise _Unusual
            value = coerce(value)
            if value is None or value is Undefined or hasattr(value, "__await__"):
                raise _Unusual
        found[response_name] = value
    return found


def _joined(fields: Any, found: dict[str, Any], rest: dict[str, Any]) -> dict[str, Any]:
    """Both halves in the order of the document; a field that graphql-core left out stays out."""
    return {name: found[name] if name in found else rest[name] for name in fields if name in found or name in rest}


async def _joined_later(fields: Any, found: dict[str, Any], rest: Any) -> dict[str, Any]:
    return _joined(fields, found, await rest)
