"""What decides whether an operation runs: who asks, how much it would use, whether it is valid. In this order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from strawberry.extensions import SchemaExtension

from fairlead_graphql.door import errors
from fairlead_graphql.door.anonymous import anonymous_refusal, discreet
from fairlead_graphql.door.costs import CostTable, Weight
from fairlead_graphql.door.documents import Document, Documents
from fairlead_graphql.door.errors import refusal
from fairlead_graphql.door.limits import Limits
from fairlead_graphql.door.measure import Measurement
from fairlead_graphql.door.principal import Anonymous, Principal, principal_of
from fairlead_graphql.door.shape import Shape, input_shape
from graphql import ASTValidationRule, GraphQLError, GraphQLSchema


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why an operation does not run (empty when it does), and what it would use."""

    refusals: list[GraphQLError]
    measurement: Measurement | None = None


class Gate:
    """Built once with a schema; holds everything the requests share.

    ``may_introspect`` says which known callers may read the schema; strangers never may.
    """

    def __init__(
        self,
        limits: Limits,
        *,
        public_fields: frozenset[str] = frozenset(),
        costs: Mapping[tuple[str, str], Weight | int] | None = None,
        may_introspect: Callable[[Principal], bool] = lambda _: True,
    ) -> None:
        self.limits = limits
        self.public_fields = public_fields
        self.costs = costs
        self.may_introspect = may_introspect
        self.documents = Documents(limits.documents_kept, limits.documents_kept_tokens)
        self._tables: dict[int, CostTable] = {}

    def table(self, schema: GraphQLSchema) -> CostTable:
        """The costs of a schema's fields, read once."""
        found = self._tables.get(id(schema))
        if found is None:
            found = self._tables.setdefault(id(schema), CostTable(schema, self.limits, self.costs))
        return found

    def document(self, text: str, principal: Principal | Anonymous) -> Document:
        """The parsed document. Raises ``GraphQLError`` when it is too long or no GraphQL."""
        # A character is at least a byte, so most documents are never encoded to be measured.
        if len(text) > self.limits.query_bytes or (
            len(text) * 4 > self.limits.query_bytes and len(text.encode()) > self.limits.query_bytes
        ):
            raise refusal(errors.QUERY_TOO_LARGE, f"The document is longer than {self.limits.query_bytes} bytes.")
        if isinstance(principal, Anonymous):
            # What is refused is not kept, so strangers cannot push the documents of others out.
            return self.documents.get(text, self.limits.anonymous_tokens, self._public)
        return self.documents.get(text, self.limits.principal_tokens)

    def _public(self, document: Document) -> bool:
        return anonymous_refusal(document.shape, self.public_fields) is None

    def judge(
        self,
        schema: GraphQLSchema,
        document: Document,
        operation_name: str | None,
        variables: dict[str, Any] | None,
        principal: Principal | Anonymous,
        rules: tuple[type[ASTValidationRule], ...],
    ) -> Verdict:
        """Whether the operation runs. Cheap checks come first; validation comes last."""
        stranger = isinstance(principal, Anonymous)
        if stranger and (refused := anonymous_refusal(document.shape, self.public_fields)):
            return Verdict([refused])
        if refusals := list(self._size(document.shape, variables)):
            return Verdict(refusals)
        measurement = document.measurement(operation_name, variables, self.table(schema), self.limits)
        if measurement is None:
            return Verdict([refusal(errors.BAD_REQUEST, "There is no operation of that name in the document.")])
        if measurement.introspects and not isinstance(principal, Anonymous) and not self.may_introspect(principal):
            return Verdict([refusal(errors.FORBIDDEN, "Introspection needs an API token.")], measurement)
        if refusals := list(self._use(measurement, stranger)):
            return Verdict(refusals, measurement)
        found = document.errors(schema, rules, self.limits.errors)
        return Verdict(discreet(found) if stranger else found, measurement)

    def cost_extension(self, measurement: Measurement, stranger: bool) -> dict[str, Any]:
        """``extensions.cost`` of an answer."""
        return {
            "cost": {
                "requested": measurement.cost,
                "limit": self.limits.anonymous_cost if stranger else self.limits.principal_cost,
                "depth": measurement.depth,
            }
        }

    def _size(self, shape: Shape, variables: dict[str, Any] | None) -> Iterator[GraphQLError]:
        limits = self.limits
        if shape.other_definitions:
            yield refusal(errors.VALIDATION_FAILED, "The document defines types; only operations and fragments run.")
        yield from _over("operations", len(shape.operations), limits.operations)
        yield from _over("directives", shape.directives, limits.directives)
        if shape.has_nul:
            yield refusal(errors.BAD_USER_INPUT, "A text in the document holds a NUL character.")
        if shape.has_wild_number:
            yield refusal(errors.BAD_USER_INPUT, "A number in the document is beyond 64 bits.")
        longest, text, deepest = input_shape(variables)
        if max(longest, shape.longest_list) > limits.input_items:
            yield refusal(
                errors.BAD_USER_INPUT,
                f"A list in the input has more than {limits.input_items} items.",
                nextStep="Send it in parts, or import it as a file.",
            )
        if text > limits.input_text:
            yield refusal(errors.BAD_USER_INPUT, f"A text in the input has more than {limits.input_text} characters.")
        if max(deepest, shape.deepest_input) > limits.input_depth:
            yield refusal(errors.BAD_USER_INPUT, f"The input nests objects more than {limits.input_depth} deep.")

    def _use(self, measurement: Measurement, stranger: bool) -> Iterator[GraphQLError]:
        limits = self.limits
        yield from measurement.problems
        most = limits.mutations if measurement.is_mutation else limits.root_fields
        yield from _over("mutations" if measurement.is_mutation else "root fields", measurement.root_fields, most)
        yield from _over("aliases", measurement.aliases, limits.aliases)
        if measurement.depth > limits.depth:
            message = f"The operation is {measurement.depth} fields deep; {limits.depth} are allowed."
            yield refusal(errors.QUERY_TOO_DEEP, message, depth=measurement.depth, limit=limits.depth)
        allowed = limits.anonymous_cost if stranger else limits.principal_cost
        if measurement.cost > allowed:
            yield refusal(
                errors.QUERY_TOO_EXPENSIVE,
                f"The operation costs {measurement.cost}; {allowed} is allowed.",
                cost=measurement.cost,
                limit=allowed,
                nextStep="Ask for smaller pages (`first`), fewer nested lists, or in several requests.",
            )


def _over(what: str, found: int, most: int) -> Iterator[GraphQLError]:
    if found > most:
        message = f"There are {found} {what}; {most} are allowed."
        yield refusal(errors.QUERY_TOO_WIDE, message, found=found, limit=most)


class GateExtension(SchemaExtension):
    """The gate as seen by strawberry: one small object per operation around the shared :class:`Gate`."""

    def __init__(self, gate: Gate, who: Callable[[object], Principal | Anonymous] = principal_of) -> None:
        self.gate = gate
        self.who = who
        self.document: Document | None = None
        self.verdict: Verdict | None = None
        self.stranger = True

    def on_parse(self) -> Iterator[None]:
        """Takes the document from the cache, or parses it into the cache."""
        context = self.execution_context
        if context.query and context.graphql_document is None:
            self.document = self.gate.document(context.query, self.who(context.context))
            context.graphql_document = self.document.node
        yield

    def on_validate(self) -> Iterator[None]:
        """Judges; a list of errors, empty or not, also tells strawberry that nothing is left to validate."""
        context = self.execution_context
        principal = self.who(context.context)
        self.stranger = isinstance(principal, Anonymous)
        document = self.document
        if document is None:
            # Somebody handed in a parsed document: it is judged like any other.
            assert context.graphql_document is not None
            document = Document(context.graphql_document)
        self.verdict = self.gate.judge(
            context.schema._schema,
            document,
            context._provided_operation_name,
            context.variables,
            principal,
            context.validation_rules,
        )
        context.pre_execution_errors = list(self.verdict.refusals)
        yield

    def get_results(self) -> dict[str, Any]:
        """What the operation costs, also when it was refused for it."""
        if self.verdict is None or self.verdict.measurement is None:
            return {}
        return self.gate.cost_extension(self.verdict.measurement, self.stranger)
