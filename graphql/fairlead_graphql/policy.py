"""Which permission each field needs: declared beside the field, kept here, enforced before the resolver runs.

Fields of a type without a declaration of their own need what it took to reach the type. A test walks the schema and
fails for a field that nobody declared.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import strawberry

from fairlead.errors import Verbatim

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")

PUBLIC = "public"
"""Anybody, strangers included."""
MEMBER = "member"
"""Anybody who holds a token."""

FIELDS: dict[tuple[str, str], str] = {}
"""Permission by type and field (schema names), for fields that are gated themselves."""
TYPES: dict[str, str] = {}
"""Permission by type, for types whose fields need only what it took to get there."""
MUTATIONS: dict[str, str] = {}
"""Permission by mutation (schema name)."""


def reached_with(permission: str) -> Callable[[type[T]], type[T]]:
    """Declare that whoever reached this type may read its fields; ``permission`` is what reaching it took."""

    def declare(type_: type[T]) -> type[T]:
        TYPES[type_.__strawberry_definition__.name] = permission  # type: ignore[attr-defined]
        return type_

    return declare


def client_field(
    permission: str, *, description: str, on: str = "Client", **more: Any
) -> Callable[[Callable[..., Any]], Any]:
    """A field that needs a permission at the client it belongs to; its type has the attribute ``client_id``."""

    def make(resolver: Callable[..., Any]) -> Any:
        @functools.wraps(resolver)
        def checked(self: Any, info: strawberry.Info, **arguments: Any) -> Any:
            info.context.require(permission, self.client_id)
            return resolver(self, info, **arguments)

        FIELDS[on, camel(more.get("name") or resolver.__name__)] = permission
        return strawberry.field(resolver=checked, description=description, **more)

    return make


def agency_field(
    permission: str, *, description: str, on: str = "Query", **more: Any
) -> Callable[[Callable[..., Any]], Any]:
    """A field that needs a permission at the agency, or only a token (:data:`MEMBER`), or nothing (:data:`PUBLIC`)."""

    def make(resolver: Callable[..., Any]) -> Any:
        @functools.wraps(resolver)
        def checked(self: Any, info: strawberry.Info, **arguments: Any) -> Any:
            if permission == MEMBER:
                _ = info.context.member
            elif permission != PUBLIC:
                info.context.require(permission)
            return resolver(self, info, **arguments)

        FIELDS[on, camel(more.get("name") or resolver.__name__)] = permission
        return strawberry.field(resolver=checked, description=description, **more)

    return make


def camel(name: str) -> str:
    """A Python name as the schema spells it; what is not ours to spell stays."""
    if isinstance(name, Verbatim):
        return str(name)
    head, *rest = name.split("_")
    return head + "".join(part[:1].upper() + part[1:] for part in rest)
