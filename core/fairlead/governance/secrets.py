"""One sealed JSON object per row: the secrets of a plugin's settings.

The vault binds a ciphertext to its client and column. What is sealed here also names its row, so that a ciphertext
copied to another row of the same client does not open as that row's secret either.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from fairlead.storage.crypto import KeyProblem, Vault
from fairlead.storage.types import Sealed


def seal_object(vault: Vault, client_id: int, column: str, row: object, data: Mapping[str, Any]) -> Sealed | None:
    """``data`` (JSON) sealed for ``column`` (``table.column``) of the row named ``row``; ``None`` for an empty one."""
    if not data:
        return None
    return vault.seal(client_id, column, json.dumps({"of": str(row), "data": data}, ensure_ascii=False))


def open_object(vault: Vault, client_id: int, column: str, row: object, sealed: Sealed | None) -> dict[str, Any]:
    """The object again, ``{}`` for nothing. Raises :class:`KeyProblem` when it was sealed for another row."""
    if sealed is None:
        return {}
    content = json.loads(vault.open(client_id, column, sealed))
    if content["of"] != str(row):
        raise KeyProblem(f"a value of {column} does not open: it was moved from another row")
    data: dict[str, Any] = content["data"]
    return data
