"""What an operation would use, counted before it is validated: depth, cost, aliases, root fields.

Cost follows the tree and multiplies page sizes on the way down, since a depth limit alone bounds nothing: five nested
pages of twenty are three million objects. An object costs 1, a value 0.1, an introspection root 500; a page costs
its size times what one node costs. The size of a page is ``first`` or ``last``, as a literal or by variable, else the
default; a list without such arguments counts as :attr:`Limits.list_size`. The directive
:class:`~fairlead_graphql.door.costs.Cost` declares other figures.

Each fragment is measured once and its figures are used wherever it is spread, so the time is linear in the document.
A fragment that reaches itself counts as nothing here; validation refuses it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from fairlead_graphql.door.costs import TENTHS, CostTable, FieldCost
from fairlead_graphql.door.errors import BAD_USER_INPUT, refusal
from fairlead_graphql.door.limits import Limits
from fairlead_graphql.door.shape import Shape
from graphql import (
    FieldNode,
    FragmentSpreadNode,
    GraphQLError,
    InlineFragmentNode,
    IntValueNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    VariableNode,
)

# Sums saturate here: fragments that double each other would otherwise grow numbers of hundreds of digits.
_CAP = 10**15
_INTROSPECTION = 500 * TENTHS
_LONGEST_INT = 10


@dataclass(frozen=True, slots=True)
class Measurement:
    """What one operation would use. ``cost`` is rounded up; ``problems`` are page sizes out of range."""

    cost: int
    depth: int
    aliases: int
    root_fields: int
    introspects: bool
    is_mutation: bool
    problems: tuple[GraphQLError, ...]


class _Sum(NamedTuple):
    flat: int  # tenths, independent of the page
    per_item: int  # tenths for each item of the page the selection belongs to
    depth: int
    aliases: int
    fields: int  # fields at the selection's own level


_NOTHING = _Sum(0, 0, 0, 0, 0)


def measure(
    shape: Shape,
    operation: OperationDefinitionNode,
    variables: Mapping[str, Any] | None,
    table: CostTable,
    limits: Limits,
) -> Measurement:
    """Measure one operation of a document. Tolerates unknown names and wrong types; they are validation's to refuse."""
    return _Measure(shape, operation, variables or {}, table, limits).result()


class _Measure:
    def __init__(
        self,
        shape: Shape,
        operation: OperationDefinitionNode,
        variables: Mapping[str, Any],
        table: CostTable,
        limits: Limits,
    ) -> None:
        self.shape = shape
        self.operation = operation
        self.sizes = {
            definition.variable.name.value: variables.get(definition.variable.name.value, definition.default_value)
            for definition in operation.variable_definitions or ()
        }
        self.table = table
        self.limits = limits
        self.fragments: dict[str, _Sum] = {}
        self.introspects = False
        self.problems: list[GraphQLError] = []

    def result(self) -> Measurement:
        # Fragments first, those they spread before them: no recursion through them, and each is walked once.
        for name in self.shape.fragment_order(self.operation):
            fragment = self.shape.fragments[name]
            self.fragments[name] = self.selection(fragment.selection_set, fragment.type_condition.name.value)
        total = self.selection(self.operation.selection_set, self.table.roots.get(self.operation.operation))
        return Measurement(
            cost=-(-total.flat // TENTHS),
            depth=total.depth,
            aliases=total.aliases,
            root_fields=total.fields,
            introspects=self.introspects,
            is_mutation=self.operation.operation is OperationType.MUTATION,
            problems=tuple(self.problems),
        )

    def selection(self, selections: SelectionSetNode, parent: str | None) -> _Sum:
        flat = per_item = depth = aliases = fields = 0
        for node in selections.selections:
            if isinstance(node, FieldNode):
                part = self.field(node, parent)
            elif isinstance(node, InlineFragmentNode):
                condition = node.type_condition
                part = self.selection(node.selection_set, condition.name.value if condition else parent)
            elif isinstance(node, FragmentSpreadNode):
                part = self.fragments.get(node.name.value, _NOTHING)
            else:
                continue
            flat += part.flat
            per_item += part.per_item
            depth = max(depth, part.depth)
            aliases += part.aliases
            fields += part.fields
        return _Sum(min(flat, _CAP), min(per_item, _CAP), depth, min(aliases, _CAP), min(fields, _CAP))

    def field(self, node: FieldNode, parent: str | None) -> _Sum:
        name = node.name.value
        aliases = 1 if node.alias else 0
        if name in ("__schema", "__type"):
            self.introspects = True
            below = self.selection(node.selection_set, None) if node.selection_set else _NOTHING
            return _Sum(_INTROSPECTION, 0, 0, aliases + below.aliases, 1)
        cost = self.table.field(parent, name)
        below = self.selection(node.selection_set, cost.child) if node.selection_set else _NOTHING
        aliases += below.aliases
        depth = below.depth + (0 if name == "__typename" else 1)
        item = cost.weight + below.flat
        if cost.per_page:
            return _Sum(0, item + below.per_item, depth, aliases, 1)
        if cost.is_page:
            return _Sum(item + self.size(node, cost) * below.per_item, 0, depth, aliases, 1)
        if cost.is_list:
            return _Sum(self.size(node, cost) * (item + below.per_item), 0, depth, aliases, 1)
        return _Sum(item + below.per_item, 0, depth, aliases, 1)

    def size(self, node: FieldNode, cost: FieldCost) -> int:
        if not cost.slicing:
            return cost.size
        found = [
            self.asked(node, argument.name.value, argument.value)
            for argument in node.arguments or ()
            if argument.name.value in cost.slicing
        ]
        sizes = [size for size in found if size is not None]
        return max(sizes) if sizes else cost.size

    def asked(self, node: FieldNode, argument: str, value: Any) -> int | None:
        if isinstance(value, VariableNode):
            value = self.sizes.get(value.name.value)
        if isinstance(value, IntValueNode):
            size = int(value.value) if len(value.value) <= _LONGEST_INT else _CAP
        elif type(value) is int:
            size = value
        else:
            return None
        if 1 <= size <= self.limits.page_max:
            return size
        message = f"`{argument}` of `{node.name.value}` must be 1 to {self.limits.page_max}."
        if len(self.problems) < self.limits.errors:
            problem = refusal(BAD_USER_INPUT, message, path=[argument], nextStep="Ask for a smaller page and go on.")
            problem.nodes = [node]
            self.problems.append(problem)
        return min(max(size, 1), self.limits.page_max)
