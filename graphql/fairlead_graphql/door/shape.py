"""What the text of a document alone says: its operations, fragments, directives, literals. One walk, kept with it."""

from __future__ import annotations

import math
from typing import Any

from fairlead_graphql.door.decode import INT64, LONGEST_INT
from graphql import (
    DocumentNode,
    FieldNode,
    FloatValueNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    IntValueNode,
    ListValueNode,
    ObjectValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    StringValueNode,
    ValueNode,
    VariableNode,
)


class Shape:
    """Counts and names of one document, independent of any schema and of any variable's value."""

    def __init__(self, document: DocumentNode) -> None:
        self.operations: list[OperationDefinitionNode] = []
        self.fragments: dict[str, FragmentDefinitionNode] = {}
        self.directives = 0
        self.other_definitions = 0
        # Variables that set a page size: together with an operation's name they determine its measurement.
        self.size_variables: set[str] = set()
        self.longest_list = 0
        self.deepest_input = 0
        # A document can spell what no JSON body may hold: a NUL by an escape, a number beyond 64 bits by its digits.
        self.has_nul = False
        self.has_wild_number = False
        self._spreads: dict[int, set[str]] = {}
        for definition in document.definitions:
            if isinstance(definition, OperationDefinitionNode):
                self.operations.append(definition)
                for variable in definition.variable_definitions or ():
                    self._node(variable)
                    if variable.default_value:
                        self._literal(variable.default_value)
            elif isinstance(definition, FragmentDefinitionNode):
                self.fragments.setdefault(definition.name.value, definition)
            else:
                self.other_definitions += 1
                continue
            self._node(definition)
            self._walk(definition, definition.selection_set)

    def operation(self, name: str | None) -> OperationDefinitionNode | None:
        """The operation that would run; the first one when no name is given, as the executor chooses."""
        for operation in self.operations:
            if name is None or (operation.name and operation.name.value == name):
                return operation
        return None

    def spreads(self, definition: OperationDefinitionNode | FragmentDefinitionNode) -> set[str]:
        """Names of the fragments spread in a definition, not through others."""
        return self._spreads.get(id(definition), set())

    def fragment_order(self, operation: OperationDefinitionNode) -> list[str]:
        """The fragments an operation reaches, each after those it spreads; without recursion, safe for cycles."""
        order: list[str] = []
        seen: set[str] = set()
        stack = [(name, False) for name in self.spreads(operation)]
        while stack:
            name, done = stack.pop()
            if done:
                order.append(name)
            elif name not in seen and name in self.fragments:
                seen.add(name)
                stack.append((name, True))
                stack += [(each, False) for each in self.spreads(self.fragments[name]) if each not in seen]
        return order

    def root_fields(self, operation: OperationDefinitionNode) -> set[str]:
        """Names of the root fields of an operation, through its fragments."""
        names: set[str] = set()
        seen: set[str] = set()
        stack = [operation.selection_set]
        while stack:
            for node in stack.pop().selections:
                if isinstance(node, FieldNode):
                    names.add(node.name.value)
                elif isinstance(node, InlineFragmentNode):
                    stack.append(node.selection_set)
                elif isinstance(node, FragmentSpreadNode) and node.name.value not in seen:
                    seen.add(node.name.value)
                    if node.name.value in self.fragments:
                        stack.append(self.fragments[node.name.value].selection_set)
        return names

    def _walk(self, definition: Any, selections: SelectionSetNode) -> None:
        spreads = self._spreads.setdefault(id(definition), set())
        stack = [selections]
        while stack:
            for node in stack.pop().selections:
                self._node(node)
                if isinstance(node, FragmentSpreadNode):
                    spreads.add(node.name.value)
                    continue
                if isinstance(node, FieldNode):
                    self._arguments(node)
                nested = getattr(node, "selection_set", None)
                if nested:
                    stack.append(nested)

    def _node(self, node: Any) -> None:
        directives = node.directives or ()
        self.directives += len(directives)
        for directive in directives:
            self._arguments(directive)

    def _arguments(self, node: Any) -> None:
        for argument in node.arguments or ():
            if isinstance(argument.value, VariableNode):
                if argument.name.value in ("first", "last"):
                    self.size_variables.add(argument.value.name.value)
            else:
                self._literal(argument.value)

    def _literal(self, value: ValueNode) -> None:
        stack = [(value, 0)]
        while stack:
            node, depth = stack.pop()
            if isinstance(node, ListValueNode):
                self.longest_list = max(self.longest_list, len(node.values))
                stack += [(each, depth) for each in node.values]
            elif isinstance(node, ObjectValueNode):
                self.deepest_input = max(self.deepest_input, depth + 1)
                stack += [(field.value, depth + 1) for field in node.fields]
            elif isinstance(node, StringValueNode):
                self.has_nul = self.has_nul or "\x00" in node.value
            elif isinstance(node, IntValueNode):
                # The length first: reading an integer of many digits takes long.
                wild = len(node.value) > LONGEST_INT or int(node.value) not in INT64
                self.has_wild_number = self.has_wild_number or wild
            elif isinstance(node, FloatValueNode):
                self.has_wild_number = self.has_wild_number or not math.isfinite(float(node.value))


def input_shape(variables: dict[str, Any] | None) -> tuple[int, int, int]:
    """The longest list and the longest text in the values of variables, and how deep their objects nest."""
    longest = text = deepest = 0
    stack: list[tuple[Any, int]] = [(value, 0) for value in (variables or {}).values()]
    while stack:
        value, depth = stack.pop()
        if isinstance(value, list):
            longest = max(longest, len(value))
            stack += [(each, depth) for each in value]
        elif isinstance(value, dict):
            deepest = max(deepest, depth + 1)
            stack += [(each, depth + 1) for each in value.values()]
        elif isinstance(value, str):
            text = max(text, len(value))
    return longest, text, deepest
