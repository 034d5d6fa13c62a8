"""The schema with the door built in."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from contextvars import ContextVar
from inspect import isawaitable
from typing import Any

import strawberry
from graphql.validation.rules import overlapping_fields_can_be_merged as conflicts
from strawberry.exceptions import MissingQueryError
from strawberry.extensions import SchemaExtension
from strawberry.schema.config import StrawberryConfig
from strawberry.schema.exceptions import CannotGetOperationTypeError, InvalidOperationTypeError
from strawberry.types.execution import ExecutionContext, ExecutionResult, PreExecutionError
from strawberry.types.graphql import OperationType

from fairlead_graphql.door import errors
from fairlead_graphql.door.costs import Weight
from fairlead_graphql.door.errors import public_errors, refusal, report
from fairlead_graphql.door.gate import Gate, GateExtension
from fairlead_graphql.door.leaves import PlainLeaves
from fairlead_graphql.door.limits import Limits
from fairlead_graphql.door.principal import Anonymous, Principal, principal_of
from graphql import ExecutionResult as GraphQLExecutionResult
from graphql import GraphQLError, specified_rules

Extension = type[SchemaExtension] | Callable[[], SchemaExtension]

# Runs one event of a subscription elsewhere: given the executor, awaits its result. Unset, events run where they come.
EventRunner = Callable[["DoorExecutor"], Awaitable[GraphQLExecutionResult]]
EVENTS: ContextVar[EventRunner | None] = ContextVar("fairlead_events", default=None)


def door_extensions(gate: Gate, who: Callable[[object], Principal | Anonymous] = principal_of) -> list[Extension]:
    """The strawberry extensions of the door.

    The list is built once with the schema; what it makes per operation is one small object, so that the documents
    parsed and validated are found again by every later request.
    """
    return [lambda: GateExtension(gate, who)]


class DoorExecutor(PlainLeaves):
    """Executes without naming what the caller did not: graphql-core would suggest names for those it does not know."""

    @classmethod
    def build(cls, *args: Any, **kwargs: Any) -> Any:
        """As graphql-core builds it, for queries, mutations and subscriptions, with suggestions hidden."""
        kwargs["hide_suggestions"] = True
        return super().build(*args, **kwargs)

    def execute_operation(self, serially: bool | None = None) -> Any:
        """As graphql-core does, except that an event of a subscription goes to the runner of its stream."""
        runner = EVENTS.get()
        if runner is None or self.operation.operation.value != "subscription":
            return super().execute_operation(serially)
        return runner(self)

    async def execute_event(self, context: Any) -> GraphQLExecutionResult:
        """Execute the event here and now, with a context of its own."""
        self.context_value = context
        result: Any = super().execute_operation()
        found: GraphQLExecutionResult = await result if isawaitable(result) else result
        return found


@dataclasses.dataclass(frozen=True, slots=True)
class Preparation:
    """An operation looked at before it runs: its type, or the answer that refuses it."""

    kind: OperationType | None
    refused: ExecutionResult | None = None


class DoorSchema(strawberry.Schema):
    """A ``strawberry.Schema`` that holds every operation to :class:`Limits` and shows no error it should not.

    ``public_fields``: root fields strangers may ask, as ``"Query.health"``. ``costs``: :class:`Weight` or plain weight
    by ``(type, field)``. ``may_introspect``: which known callers may read the schema. ``who`` finds the caller in a
    resolver context, by default its attribute ``principal``. Other arguments are those of ``strawberry.Schema``.
    """

    def __init__(
        self,
        query: type,
        mutation: type | None = None,
        subscription: type | None = None,
        *,
        limits: Limits | None = None,
        public_fields: Iterable[str] = (),
        costs: Mapping[tuple[str, str], Weight | int] | None = None,
        may_introspect: Callable[[Principal], bool] = lambda _: True,
        who: Callable[[object], Principal | Anonymous] = principal_of,
        extensions: Iterable[Extension] = (),
        config: StrawberryConfig | None = None,
        **kwargs: Any,
    ) -> None:
        self.limits = limits or Limits()
        self.who = who
        self.gate = Gate(
            self.limits, public_fields=frozenset(public_fields), costs=costs, may_introspect=may_introspect
        )
        config = config or StrawberryConfig()
        config.disable_field_suggestions = True
        config.batching_config = None
        # graphql-core reads its budget from the module when it validates; its default costs half a second of CPU.
        conflicts.MAX_COMPLEXITY_BUDGET = self.limits.conflict_budget
        kwargs.setdefault("execution_context_class", DoorExecutor)
        super().__init__(
            query,
            mutation,
            subscription,
            extensions=[*door_extensions(self.gate, who), *extensions],
            config=config,
            **kwargs,
        )
        self.gate.table(self._schema)

    # -- errors -----------------------------------------------------------------------------------------------------

    def process_errors(self, errors: list[GraphQLError], execution_context: ExecutionContext | None = None) -> None:
        """Count all, log the unhandled: instead of strawberry's logging of every client error with its text."""
        report(errors, execution_context.graphql_document if execution_context else None)

    def _get_custom_context_kwargs(
        self, operation_extensions: dict[str, Any] | None = None, *, sync: bool = False
    ) -> dict[str, Any]:
        kwargs = super()._get_custom_context_kwargs(operation_extensions, sync=sync)
        kwargs["max_coercion_errors"] = self.limits.errors
        return kwargs

    def _public(self, result: ExecutionResult) -> ExecutionResult:
        if result.errors:
            result.errors = public_errors(result.errors, self.limits.errors)
        return result

    # -- running ----------------------------------------------------------------------------------------------------

    def execute_sync(self, *args: Any, **kwargs: Any) -> ExecutionResult:
        """As in strawberry, never raising for what a client sent, with errors fit to be seen."""
        try:
            return self._public(super().execute_sync(*args, **kwargs))
        except _UNFIT as error:
            return _unfit(error)

    async def execute(self, *args: Any, **kwargs: Any) -> ExecutionResult:
        """As in strawberry, never raising for what a client sent, with errors fit to be seen."""
        try:
            return self._public(await super().execute(*args, **kwargs))
        except _UNFIT as error:
            return _unfit(error)

    async def stream(self, *args: Any, **kwargs: Any) -> Any:
        """As in strawberry, with errors fit to be seen. Call :meth:`prepare` first."""
        return self._public_stream(await super().stream(*args, **kwargs))

    async def _public_stream(self, source: Any) -> AsyncGenerator[Any, None]:
        try:
            async for result in source:
                yield self._public(result)
        finally:
            await source.aclose()

    def prepare(
        self,
        query: str | None,
        variables: dict[str, Any] | None,
        operation_name: str | None,
        principal: Principal | Anonymous,
    ) -> Preparation:
        """Parse, judge and validate without running, so that a stream is refused before it opens.

        Synchronous and CPU-bound: meant for a worker thread. What it finds stays in the cache, so running the
        operation afterwards does not repeat the work.
        """
        if not query:
            return Preparation(None, _refused([refusal(errors.BAD_REQUEST, "There is no query in the request.")]))
        try:
            document = self.gate.document(query, principal)
        except GraphQLError as error:
            report([error], None)
            return Preparation(None, _refused(public_errors([error], self.limits.errors)))
        verdict = self.gate.judge(self._schema, document, operation_name, variables, principal, tuple(specified_rules))
        if verdict.refusals:
            report(verdict.refusals, None)
            refused = _refused(public_errors(verdict.refusals, self.limits.errors))
            if verdict.measurement:
                refused.extensions = self.gate.cost_extension(verdict.measurement, isinstance(principal, Anonymous))
            return Preparation(None, refused)
        operation = document.shape.operation(operation_name)
        assert operation is not None
        return Preparation(OperationType(operation.operation.value))


_UNFIT = (MissingQueryError, CannotGetOperationTypeError, InvalidOperationTypeError)


def _refused(found: list[GraphQLError]) -> ExecutionResult:
    return PreExecutionError(data=None, errors=found)


def _unfit(error: Exception) -> ExecutionResult:
    if isinstance(error, MissingQueryError):
        message = "There is no query in the request."
    elif isinstance(error, InvalidOperationTypeError):
        message = f"A {error.operation_type.value} cannot be sent this way."
    else:
        message = "There is no operation of that name in the document."
    errors.count(errors.BAD_REQUEST)
    return _refused([refusal(errors.BAD_REQUEST, message)])
