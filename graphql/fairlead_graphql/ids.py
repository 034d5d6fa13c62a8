"""Global ids: opaque to callers, a type and a number to us. Holding one gives no right to anything."""

from __future__ import annotations

import base64
import binascii
from typing import Any

import strawberry

from fairlead.errors import InvalidInput, PathSegment


def to_global(type_name: str, number: int) -> strawberry.ID:
    """The global id of a row."""
    # Letters, digits and the colon never give one of the two characters in which the alphabets of base64 differ.
    encoded = binascii.b2a_base64(f"{type_name}:{number}".encode(), newline=False)
    return strawberry.ID(encoded.rstrip(b"=").decode())


def split_global(text: str, *, path: tuple[PathSegment, ...] = ("id",)) -> tuple[str, int]:
    """Type and number of a global id. Raises :class:`InvalidInput` for anything else."""
    try:
        name, _, number = (
            base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True).decode().partition(":")
        )
        if not name.isidentifier() or not number.isascii() or not number.isdigit() or len(number) > 19:
            raise ValueError
        if int(number) >= 2**63:
            raise ValueError
    except (ValueError, binascii.Error):
        raise InvalidInput(
            "this is no id of ours", path=path, next_step="use an id from an answer, unchanged"
        ) from None
    return name, int(number)


def from_global(type_name: str, text: str, *, path: tuple[PathSegment, ...] = ("id",)) -> int:
    """The number behind a global id of one type. Raises :class:`InvalidInput` for an id of another."""
    name, number = split_global(text, path=path)
    if name != type_name:
        raise InvalidInput(f"this is the id of a {name}, not of a {type_name}", path=path)
    return number


def by_id_or_name(entity: Any, type_name: str, id: Any, name: Any) -> Any:
    """The SQL condition for one row by its global id or its name; raises :class:`InvalidInput` unless one is given."""
    number, text = (None if value is strawberry.UNSET else value for value in (id, name))
    if (number is None) is (text is None):
        raise InvalidInput("give the id or the name", path=("id",), next_step="give exactly one of them")
    return entity.name == text if number is None else entity.id == from_global(type_name, number)
