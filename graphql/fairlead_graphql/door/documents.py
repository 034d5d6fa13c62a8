"""Parsed, validated and measured documents, kept by their text and shared between requests and threads."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from strawberry.schema.validation_rules.maybe_null import MaybeNullValidationRule
from strawberry.schema.validation_rules.one_of import OneOfInputValidationRule

from fairlead_graphql.door.costs import CostTable
from fairlead_graphql.door.errors import QUERY_TOO_LARGE, VALIDATION_FAILED, refusal
from fairlead_graphql.door.limits import Limits
from fairlead_graphql.door.measure import Measurement, measure
from fairlead_graphql.door.shape import Shape
from graphql import ASTValidationRule, DocumentNode, GraphQLError, GraphQLSchema, parse, validate

_MEASUREMENTS_KEPT = 32


class Document:
    """One document with what is known about it. Attributes are only ever added, so threads may share it."""

    def __init__(self, node: DocumentNode) -> None:
        self.node = node
        self.tokens = node.token_count
        self.shape = Shape(node)
        self._errors: dict[tuple[type[ASTValidationRule], ...], list[GraphQLError]] = {}
        self._measurements: dict[tuple[Any, ...], Measurement] = {}

    def errors(
        self, schema: GraphQLSchema, rules: tuple[type[ASTValidationRule], ...], most: int
    ) -> list[GraphQLError]:
        """Validation errors, found once per set of rules; each carries its code. Names are never suggested."""
        found = self._errors.get(rules)
        if found is None:
            every = (*rules, MaybeNullValidationRule, OneOfInputValidationRule)
            found = validate(schema, self.node, every, max_errors=most, hide_suggestions=True)
            for error in found:
                error.extensions = {"code": VALIDATION_FAILED}
                # One rule of graphql-core suggests whatever it is told, another quotes Python's own exceptions.
                error.message = error.message.split(" Did you mean ")[0].split(", but encountered error")[0]
            self._errors[rules] = found
        return found

    def measurement(
        self, operation_name: str | None, variables: Mapping[str, Any] | None, table: CostTable, limits: Limits
    ) -> Measurement | None:
        """The figures of one operation, ``None`` when there is no such operation.

        Kept by the variables that set a page size, since nothing else changes them.
        """
        sizes = [(variables or {}).get(name) for name in self.shape.size_variables]
        key = (operation_name, *[size if type(size) is int else None for size in sizes])
        key += tuple(name in (variables or {}) for name in self.shape.size_variables)
        found = self._measurements.get(key)
        if found is None:
            operation = self.shape.operation(operation_name)
            if operation is None:
                return None
            found = measure(self.shape, operation, variables, table, limits)
            if len(self._measurements) < _MEASUREMENTS_KEPT:
                self._measurements[key] = found
        return found


@dataclass(frozen=True, slots=True)
class CacheInfo:
    """How a cache did: look-ups that hit and missed, documents and tokens kept."""

    hits: int
    misses: int
    documents: int
    tokens: int


class Documents:
    """The documents used last, at most ``documents`` of them and ``tokens`` tokens together."""

    def __init__(self, documents: int, tokens: int) -> None:
        self._most = documents
        self._most_tokens = tokens
        self._kept: OrderedDict[str, Document] = OrderedDict()
        self._tokens = 0
        self._hits = 0
        self._misses = 0
        self._lock = threading.Lock()

    def get(self, text: str, most_tokens: int, keep: Callable[[Document], bool] = lambda _: True) -> Document:
        """The document of ``text``, kept for the next time if ``keep`` says so.

        Raises ``GraphQLSyntaxError``, or ``GraphQLError`` with QUERY_TOO_LARGE beyond ``most_tokens``.
        """
        with self._lock:
            found = self._kept.get(text)
            if found is not None:
                self._kept.move_to_end(text)
                self._hits += 1
            else:
                self._misses += 1
        if found is None:
            found = self._parse(text, most_tokens)
            if keep(found):
                self._keep(text, found)
        if found.tokens > most_tokens:
            raise _too_many(most_tokens)
        return found

    def _parse(self, text: str, most_tokens: int) -> Document:
        try:
            return Document(parse(text, max_tokens=most_tokens))
        except GraphQLError as error:
            if "Document contains more than" in error.message:
                raise _too_many(most_tokens) from None
            raise

    def _keep(self, text: str, found: Document) -> None:
        with self._lock:
            if text not in self._kept and found.tokens <= self._most_tokens:
                self._kept[text] = found
                self._tokens += found.tokens
                while len(self._kept) > self._most or self._tokens > self._most_tokens:
                    _, dropped = self._kept.popitem(last=False)
                    self._tokens -= dropped.tokens

    def info(self) -> CacheInfo:
        """Figures for metrics and tests."""
        with self._lock:
            return CacheInfo(self._hits, self._misses, len(self._kept), self._tokens)


def _too_many(most: int) -> GraphQLError:
    return refusal(QUERY_TOO_LARGE, f"The document has more than {most} tokens.")
