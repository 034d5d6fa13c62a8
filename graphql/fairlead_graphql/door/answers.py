"""From results to bytes."""

from __future__ import annotations

import json
from typing import Any

import orjson
from strawberry.types.execution import ExecutionResult

from fairlead_graphql.door import errors
from fairlead_graphql.door.limits import Limits


def encode(value: Any) -> bytes:
    """``value`` as JSON in UTF-8, on one line.

    A text that is no UTF-8 is escaped instead of failing: one bad row must not take every answer with it.
    """
    try:
        return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS)
    except TypeError:
        # Also raised for surrogates and integers beyond 64 bits, which the standard library can write.
        return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()


def payload(result: ExecutionResult) -> dict[str, Any]:
    """A result as the GraphQL specification lays it out: errors first, no ``data`` when nothing was executed."""
    found: dict[str, Any] = {}
    if result.errors:
        found["errors"] = [error.formatted for error in result.errors]
    if result.data is not None or not result.errors or any(error.path for error in result.errors):
        found["data"] = result.data
    if result.extensions:
        found["extensions"] = result.extensions
    return found


def bounded(result: ExecutionResult, limits: Limits) -> bytes:
    """The encoded answer; one that cannot be encoded or is too large becomes an error without data."""
    try:
        encoded = encode(payload(result))
    except (TypeError, ValueError, RecursionError) as error:
        errors.log_unhandled(error, "")
        return _instead(errors.INTERNAL, errors.MASKED)
    if len(encoded) <= limits.answer_bytes:
        return encoded
    return _instead(
        errors.ANSWER_TOO_LARGE,
        f"The answer is larger than {limits.answer_bytes} bytes. If it was a mutation, it has had its effect.",
    )


def _instead(code: str, message: str) -> bytes:
    errors.count(code)
    return encode({"errors": [{"message": message, "extensions": {"code": code}}]})
