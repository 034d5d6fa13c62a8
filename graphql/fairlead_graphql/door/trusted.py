"""Trusted documents: operations known by the SHA-256 of their text, so that a frontend sends a hash.

Both common ways of asking work: ``extensions.persistedQuery.sha256Hash`` (Apollo's automatic persisted queries) and
``documentId`` (the GraphQL-over-HTTP draft; plain hex or ``sha256:<hex>``). Documents are added by the operator, never
by a request; when they are enforced nothing else runs.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path

from fairlead_graphql.door.decode import Operation
from fairlead_graphql.door.errors import refusal
from graphql import GraphQLError

NOT_FOUND = "PERSISTED_QUERY_NOT_FOUND"
NOT_SUPPORTED = "PERSISTED_QUERY_NOT_SUPPORTED"
ID_REQUIRED = "PERSISTED_QUERY_ID_REQUIRED"
MISMATCH = "PERSISTED_QUERY_HASH_MISMATCH"

_HEX = re.compile(r"[0-9a-f]{64}")


class TrustedDocuments:
    """An immutable set of documents; ``enforced`` refuses every operation that is not one of them.

    Raises ``ValueError`` when a key is not the hash of its text.
    """

    def __init__(self, documents: Mapping[str, str] | None = None, *, enforced: bool = False) -> None:
        self._texts: dict[str, str] = {}
        self.enforced = enforced
        for key, text in (documents or {}).items():
            digest = sha256(text)
            if key.removeprefix("sha256:") != digest:
                raise ValueError(f"trusted document {key[:80]!r} is not the SHA-256 of its text, {digest}")
            self._texts[digest] = text

    @classmethod
    def load(cls, path: Path, *, enforced: bool = False) -> TrustedDocuments:
        """Read a folder of ``*.graphql`` files, or a JSON file that maps hashes to documents.

        The JSON form is what graphql-code-generator's client preset writes as ``persisted-documents.json``.
        """
        if path.is_dir():
            texts = [file.read_text("utf-8") for file in sorted(path.rglob("*.graphql"))]
            return cls({sha256(text): text for text in texts}, enforced=enforced)
        documents = json.loads(path.read_text("utf-8"))
        if not isinstance(documents, dict) or not all(isinstance(text, str) for text in documents.values()):
            raise ValueError(f"{path.name} must hold one JSON object of hash to document")
        return cls(documents, enforced=enforced)

    def __len__(self) -> int:
        return len(self._texts)

    def text(self, operation: Operation) -> str | None:
        """The document to run, ``None`` when the request names none.

        Raises ``GraphQLError`` with one of the codes of this module.
        """
        digest = _asked(operation)
        if digest is None:
            if self.enforced and (operation.query is None or sha256(operation.query) not in self._texts):
                raise refusal(ID_REQUIRED, "Only trusted documents are run here: send the document's hash.")
            return operation.query
        if operation.query is not None and sha256(operation.query) != digest:
            raise refusal(MISMATCH, "The hash is not that of the query sent with it.")
        if not self._texts and operation.query is None:
            raise refusal(NOT_SUPPORTED, "This server keeps no trusted documents: send the query.")
        if digest in self._texts:
            return self._texts[digest]
        if operation.query is not None and not self.enforced:
            return operation.query
        raise refusal(NOT_FOUND, "PersistedQueryNotFound")


def sha256(text: str) -> str:
    """The key of a document: lower-case hex of the SHA-256 of its UTF-8 text."""
    return hashlib.sha256(text.encode()).hexdigest()


def _asked(operation: Operation) -> str | None:
    digest: object = operation.document_id
    if digest is None:
        persisted = operation.extensions.get("persistedQuery")
        if persisted is None:
            return None
        if not isinstance(persisted, dict):
            raise _not_found()
        digest = persisted.get("sha256Hash")
    if not isinstance(digest, str) or not _HEX.fullmatch(digest := digest.removeprefix("sha256:").lower()):
        raise _not_found()
    return digest


def _not_found() -> GraphQLError:
    return refusal(NOT_FOUND, "PersistedQueryNotFound")
