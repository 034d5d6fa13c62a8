"""Mutations: one input, one payload, refusals as data. What is refused changes nothing; the same key is done once.

An action is a function ``(work, input) -> answer`` in a writing unit of work, or ``(work, input, context)`` when it
needs more than the database; its answer is JSON (ids), kept under the idempotency key. ``present`` turns the answer
into the payload afterwards, reading only what the operation asks for.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any, TypeVar, get_type_hints

import orjson
import strawberry

from fairlead.errors import DomainError, Refusals
from fairlead.governance.idempotency import once, remember
from fairlead.work import Work
from fairlead_graphql.context import Context
from fairlead_graphql.policy import MEMBER, MUTATIONS, camel
from fairlead_graphql.selection import Selection, selection_of

T = TypeVar("T")
Answer = dict[str, Any]
Action = Callable[..., Answer]
Present = Callable[[Context, int | None, Answer, Selection], Any]


@strawberry.type(description="One reason why a mutation was refused.")
class UserError:
    """A refusal as data."""

    code: str = strawberry.field(description="What kind of refusal, stable for programs.")
    message: str = strawberry.field(description="What is wrong, for a person.")
    path: list[str] = strawberry.field(description="The part of the input it is about.")
    next_step: str = strawberry.field(description="What would make it succeed; may be empty.")


def user_errors(error: DomainError) -> list[UserError]:
    """A refusal, or several at once, as data."""
    errors = error.errors if isinstance(error, Refusals) else (error,)
    return [
        UserError(
            code=one.code,
            message=one.message,
            path=[camel(step) if isinstance(step, str) else str(step) for step in one.path],
            next_step=one.next_step,
        )
        for one in errors
    ]


def client_mutation(
    permission: str, *, payload: type[Any], present: Present, description: str
) -> Callable[[Action], Any]:
    """A mutation at one client; its input has ``client`` (the slug) and ``idempotency_key``."""

    def make(action: Action) -> Any:
        name, call = camel(action.__name__), _with_context(action)

        def act(context: Context, given: Any) -> tuple[int | None, Answer]:
            client = context.client(given.client, permission)

            def run(work: Work) -> Answer:
                return only_once(work, name, given, lambda: call(work, given, context))

            return client.id, context.change(client.id, run)

        return _field(action, act, permission, payload, present, description)

    return make


def agency_mutation(
    permission: str, *, payload: type[Any], present: Present, description: str
) -> Callable[[Action], Any]:
    """A mutation of the agency itself; its input has ``idempotency_key``.

    With ``MEMBER`` as permission any token may ask, and the service decides.
    """

    def make(action: Action) -> Any:
        name, call = camel(action.__name__), _with_context(action)

        def act(context: Context, given: Any) -> tuple[int | None, Answer]:
            if permission == MEMBER:
                _ = context.member
            else:
                context.require(permission)
            answer = _agency_run(context, name, given, lambda work: call(work, given, context))
            return None, answer

        return _field(action, act, permission, payload, present, description)

    return make


def place_mutation(
    permission: str, *, payload: type[Any], present: Present, description: str
) -> Callable[[Action], Any]:
    """A mutation of what exists at clients and at the agency, such as roles; its input has ``client`` and a key.

    ``client`` is null for the agency, and the permission is needed at that place. The action is
    ``(work, input, client_id)`` in agency-wide work.
    """

    def make(action: Action) -> Any:
        name = camel(action.__name__)

        def act(context: Context, given: Any) -> tuple[int | None, Answer]:
            slug = or_none(given.client)
            if slug is None:
                context.require(permission)
                client_id = None
            else:
                client_id = context.client(slug, permission).id
            return client_id, _agency_run(context, name, given, lambda work: action(work, given, client_id))

        return _field(action, act, permission, payload, present, description)

    return make


def outside_mutation(
    permission: str, *, payload: type[Any], present: Present, description: str
) -> Callable[[Callable[[Context, int, Any], Answer]], Any]:
    """A mutation at one client that calls a platform or starts background work, so it opens its own transactions.

    The action is ``(context, client_id, input) -> answer`` and does its writing by :meth:`Context.change` and
    :func:`only_once`.
    """

    def make(action: Callable[[Context, int, Any], Answer]) -> Any:
        def act(context: Context, given: Any) -> tuple[int | None, Answer]:
            client = context.client(given.client, permission)
            return client.id, action(context, client.id, given)

        return _field(action, act, permission, payload, present, description)

    return make


def only_once(work: Work, name: str, given: Any, call: Callable[[], Answer]) -> Answer:
    """The answer of ``call``, or the one kept under the input's idempotency key. ``name`` is the mutation's."""
    key = or_none(getattr(given, "idempotency_key", None))
    if key is None:
        return call()
    kept = once(work, name, key, as_json(given))
    if kept is not None:
        return kept
    answer = call()
    remember(work, key, answer)
    return answer


def or_none(value: T | Any) -> T | None:
    """What was given; ``None`` for null and for nothing at all."""
    return None if value is strawberry.UNSET else value


def _agency_run(context: Context, name: str, given: Any, call: Callable[[Work], Answer]) -> Answer:
    def run(work: Work) -> Answer:
        return only_once(work, name, given, lambda: call(work))

    return context.change_agency(name, run)


def _with_context(action: Action) -> Action:
    if len(inspect.signature(action).parameters) == 3:
        return action
    return lambda work, given, _context: action(work, given)


def _field(
    action: Callable[..., Answer],
    act: Callable[[Context, Any], tuple[int | None, Answer]],
    permission: str,
    payload: type[Any],
    present: Present,
    description: str,
) -> Any:
    given_type = get_type_hints(action)["given"]
    MUTATIONS[camel(action.__name__)] = permission

    @functools.wraps(action)
    def resolver(info: Any, input: Any) -> Any:
        context: Context = info.context
        try:
            client_id, answer = act(context, input)
        except DomainError as error:
            return refused(payload, error)
        context.fresh()
        return present(context, client_id, answer, selection_of(info))

    del resolver.__wrapped__
    resolver.__annotations__ = {
        "info": strawberry.Info,
        "input": Annotated[given_type, strawberry.argument(description="What to do.")],
        "return": payload,
    }
    return strawberry.mutation(resolver=resolver, description=description)


def refused(payload: type[T], error: DomainError) -> T:
    """The payload of a refusal: its errors, everything else null."""
    item = object.__new__(payload)
    for one in dataclasses.fields(payload):  # type: ignore[arg-type]
        item.__dict__[one.name] = None
    item.__dict__["errors"] = user_errors(error)
    return item


def done(payload: type[T], **values: Any) -> T:
    """The payload of a success."""
    item = object.__new__(payload)
    for one in dataclasses.fields(payload):  # type: ignore[arg-type]
        item.__dict__[one.name] = values.get(one.name)
    item.__dict__["errors"] = []
    return item


def as_json(given: Any) -> Any:
    """An input object as JSON values, the idempotency key left out; what is unset is left out too."""

    def plain(value: Any) -> Any:
        if value is strawberry.UNSET:
            return None
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return {
                one.name: plain(getattr(value, one.name))
                for one in dataclasses.fields(value)
                if one.name != "idempotency_key" and getattr(value, one.name) is not strawberry.UNSET
            }
        if isinstance(value, enum.Enum):
            return value.value
        if isinstance(value, list | tuple):
            return [plain(item) for item in value]
        if isinstance(value, dict):
            return {key: plain(item) for key, item in value.items()}
        return value

    return orjson.loads(orjson.dumps(plain(given), default=str))


__all__ = [
    "UserError",
    "agency_mutation",
    "as_json",
    "client_mutation",
    "done",
    "only_once",
    "or_none",
    "outside_mutation",
    "place_mutation",
    "refused",
    "user_errors",
]
