"""One door for bytes: HTTP bodies and WebSocket messages become plain, harmless Python values here or nowhere.

Refused with 400 BAD_REQUEST: invalid UTF-8, invalid JSON, NaN and infinities, integers beyond 64 bits, repeated keys,
nesting beyond the limit, NUL characters and lone surrogates (PostgreSQL stores no NUL, UTF-8 no surrogate, and one
stored would break every later answer and export that contains it).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import orjson
from starlette.types import Receive

from fairlead_graphql.door.errors import BAD_REQUEST, Refused, bad_request

INT64 = range(-(2**63), 2**63)
LONGEST_INT = 20
_NAME_LENGTH = 200


@dataclass(frozen=True, slots=True)
class Operation:
    """A decoded request: the GraphQL-over-HTTP parameters with their types checked."""

    query: str | None = None
    variables: dict[str, Any] | None = None
    operation_name: str | None = None
    extensions: dict[str, Any] = field(default_factory=dict)
    document_id: str | None = None


def decode(data: bytes | str, depth: int) -> Any:
    """The JSON value in ``data``, nested at most ``depth`` deep. Raises :class:`Refused` for everything else."""
    try:
        # orjson checks UTF-8, surrogates, infinities and its own recursion; the second pass sees what it folds away.
        _check(orjson.loads(data), depth)
        return json.loads(data, object_pairs_hook=_unique, parse_int=_integer)
    except (ValueError, RecursionError):
        # The decoder's message quotes nothing, but it is not ours to promise that.
        raise bad_request("The body is not acceptable JSON.") from None


def _unique(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    pairs = list(pairs)
    found = dict(pairs)
    if len(found) != len(pairs):
        raise bad_request("The JSON repeats a key in one object.")
    return found


def _integer(text: str) -> int:
    if len(text) > LONGEST_INT or (value := int(text)) not in INT64:
        raise bad_request("The JSON holds an integer beyond 64 bits; send it as a string.")
    return value


def _check(value: Any, depth: int) -> None:
    level = [value]
    for _ in range(depth):
        deeper: list[Any] = []
        for each in level:
            if isinstance(each, str):
                _check_text(each)
            elif isinstance(each, dict):
                for key in each:
                    _check_text(key)
                deeper.extend(each.values())
            elif isinstance(each, list):
                deeper.extend(each)
        if not deeper:
            return
        level = deeper
    if any(isinstance(each, dict | list) for each in level):
        raise bad_request(f"The JSON is nested more than {depth} deep.")
    for each in level:
        if isinstance(each, str):
            _check_text(each)


def _check_text(text: str) -> None:
    if "\x00" in text:
        raise bad_request("The JSON holds a NUL character.")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise bad_request("The JSON holds a lone surrogate.") from None


def operation(value: Any) -> Operation:
    """The parameters of a request; batches, non-objects and wrong types are refused.

    Unknown keys are ignored, as the GraphQL-over-HTTP specification asks.
    """
    if isinstance(value, list):
        raise bad_request("Batching is off: send one operation per request.")
    if not isinstance(value, dict):
        raise bad_request("The body must be a JSON object.")
    name = _typed(value, "operationName", str)
    if name is not None and len(name) > _NAME_LENGTH:
        raise bad_request(f"`operationName` is longer than {_NAME_LENGTH} characters.")
    return Operation(
        query=_typed(value, "query", str),
        variables=_typed(value, "variables", dict),
        operation_name=name,
        extensions=_typed(value, "extensions", dict) or {},
        document_id=_typed(value, "documentId", str),
    )


def _typed(value: dict[str, Any], name: str, kind: type) -> Any:
    found = value.get(name)
    if found is not None and not isinstance(found, kind):
        raise bad_request(f"`{name}` must be {'an object' if kind is dict else 'a string'} or null.")
    return found


async def read_body(receive: Receive, limit: int) -> bytes:
    """The request body, counted while it streams in, so that a chunked one without a length is held to it too.

    Raises :class:`Refused` with 413 beyond ``limit`` bytes and with 400 when the client goes away.
    """
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise bad_request("The client went away.")
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise too_large(limit)
        chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks)


def too_large(limit: int) -> Refused:
    """413 for a body beyond ``limit`` bytes."""
    # The rest of the body is unread: the connection cannot carry another request.
    return Refused(413, BAD_REQUEST, f"The body is larger than {limit} bytes.", {"Connection": "close"})
