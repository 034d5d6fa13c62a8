"""Mutations: one input, one payload, refusals as data. What is refused changes nothing; the same key is done once.

An action is a function ``(work, input) -> answer`` in a writing unit of work; its answer is JSON (ids), kept under the
idempotency key. ``present`` turns the answer into the payload afterwards, reading only what the operation asks for.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
from collections.abc import Callable
from typing import Any, get_type_hints

import orjson
import strawberry

from fairlead.errors import DomainError, Refusals
from fairlead.governance.idempotency import once, remember
from fairlead.work import Work
from fairlead_graphql.context import Context
from fairlead_graphql.policy import MUTATIONS, camel
from fairlead_graphql.selection import Selection, selection_of

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
        def act(context: Context, given: Any) -> tuple[int | None, Answer]:
            client = context.client(given.client, permission)

            def run(work: Work) -> Answer:
                return _once(work, action, given)

            answer = context.runtime.run(client.id, run, actor=context.member, request_id=context.request_id)
            return client.id, answer

        return _field(action, act, permission, payload, present, description)

    return make


def agency_mutation(
    permission: str, *, payload: type[Any], present: Present, description: str
) -> Callable[[Action], Any]:
    """A mutation of the agency itself; its input has ``idempotency_key``."""

    def make(action: Action) -> Any:
        def act(context: Context, given: Any) -> tuple[int | None, Answer]:
            context.require(permission)

            def run(work: Work) -> Answer:
                return _once(work, action, given)

            answer = context.runtime.run_agency(
                action.__name__, run, actor=context.member, request_id=context.request_id
            )
            return None, answer

        return _field(action, act, permission, payload, present, description)

    return make


def outside_mutation(
    permission: str, *, payload: type[Any], present: Present, description: str
) -> Callable[[Callable[[Context, int, Any], Answer]], Any]:
    """A mutation at one client that calls a platform or starts background work, so it opens its own transactions.

    The action is ``(context, client_id, input) -> answer`` and must be harmless to repeat: it takes no idempotency key.
    """

    def make(action: Callable[[Context, int, Any], Answer]) -> Any:
        def act(context: Context, given: Any) -> tuple[int | None, Answer]:
            client = context.client(given.client, permission)
            return client.id, action(context, client.id, given)

        return _field(action, act, permission, payload, present, description)

    return make


def _once(work: Work, action: Action, given: Any) -> Answer:
    key = getattr(given, "idempotency_key", None)
    if not key:
        return action(work, given)
    kept = once(work, camel(action.__name__), key, as_json(given))
    if kept is not None:
        return kept
    answer = action(work, given)
    remember(work, key, answer)
    return answer


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
    resolver.__annotations__ = {"info": strawberry.Info, "input": given_type, "return": payload}
    return strawberry.mutation(resolver=resolver, description=description)


def refused(payload: type[Any], error: DomainError) -> Any:
    """The payload of a refusal: its errors, everything else null."""
    item = object.__new__(payload)
    for one in dataclasses.fields(payload):
        item.__dict__[one.name] = None
    item.__dict__["errors"] = user_errors(error)
    return item


def done(payload: type[Any], **values: Any) -> Any:
    """The payload of a success."""
    item = object.__new__(payload)
    for one in dataclasses.fields(payload):
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
    "outside_mutation",
    "refused",
    "user_errors",
]
