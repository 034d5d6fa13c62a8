"""The audit log: who did what to which thing, in the transaction that did it, in one hash chain per client.

The digest of an entry is SHA-256 over the canonical JSON of all its fields and of the digest before it, so a changed,
missing, added or reordered entry breaks the chain, and a cut end differs from the head. Who can write the database
outside the application could still compute a whole new chain: keep the head's number and digest elsewhere now and then
(``fairlead audit verify --json`` prints them) and hand them in as ``anchor``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from fairlead.governance.model import AGENCY, AuditEntry, AuditHead
from fairlead.observability.redact import is_sensitive_key, redact
from fairlead.storage.scope import ClientScope
from fairlead.storage.session import ScopedSession
from fairlead.storage.types import SealedBytes, to_millis
from fairlead.work import Work

START = bytes(32)
PAGE = 1000
MOST_PROBLEMS = 100

Problem = Literal["changed", "missing", "reordered", "truncated", "headless", "anchor"]


def record(
    work: Work,
    action: str,
    object_type: str,
    object_id: object,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    *,
    client_id: int | None = None,
) -> int:
    """Append one entry to the client's chain and return its number (from 1).

    ``action`` is ``thing.verb`` in the past (``segment.created``). In agency-wide work the entry goes to the agency's
    own chain, or to the one of ``client_id``. ``before`` and ``after`` hold what changed and are shown to auditors:
    sealed columns, bytes and keys that name secrets or people are left out, texts are redacted. Call it late in the
    unit of work, since on PostgreSQL the writers of one chain wait for each other from here to the commit.
    """
    session = work.session
    session.flush()
    chain = _chain(session, client_id)
    head = _locked_head(session, chain)
    entry = AuditEntry(
        client_id=chain,
        number=head.number + 1,
        at=work.now,
        actor=work.actor.actor[:60],
        action=action[:60],
        object_type=object_type[:40],
        object_id=str(object_id)[:60],
        before=presentable(before),
        after=presentable(after),
        request_id=_clean(work.request_id)[:64],
        previous=head.digest,
        digest=START,
    )
    entry.digest = digest(entry)
    head.number, head.digest = entry.number, entry.digest
    session.add(entry)
    session.flush()
    return entry.number


def snapshot(row: Any, *names: str) -> dict[str, Any]:
    """The named columns of an ORM row for ``before`` or ``after``; a sealed column is left out whoever names it."""
    columns = sa.inspect(type(row)).columns
    return {name: getattr(row, name) for name in names if not isinstance(columns[name].type, SealedBytes)}


def presentable(values: Mapping[str, Any] | None) -> dict[str, object] | None:
    """``values`` as they may stand in the log for ever, in a form that every database returns unchanged."""
    if values is None:
        return None
    shown = {key: value for key, value in values.items() if not is_sensitive_key(key) and not isinstance(value, bytes)}
    stored = _stable(redact(shown))
    assert isinstance(stored, dict)
    return stored


def digest(entry: AuditEntry) -> bytes:
    """The entry's digest, 32 bytes: SHA-256 over the canonical JSON of every other field."""
    content = {
        "client_id": entry.client_id,
        "number": entry.number,
        "at": to_millis(entry.at),
        "actor": entry.actor,
        "action": entry.action,
        "object_type": entry.object_type,
        "object_id": entry.object_id,
        "before": entry.before,
        "after": entry.after,
        "request_id": entry.request_id,
        "previous": bytes(entry.previous).hex(),
    }
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).digest()


# -- reading --------------------------------------------------------------------------------------------------------


def chains(session: ScopedSession) -> list[int]:
    """Client ids of all chains (0 is the agency's); needs an agency-wide session."""
    heads = set(session.scalars(sa.select(AuditHead.client_id)))
    return sorted(heads | set(session.scalars(sa.select(AuditEntry.client_id).distinct())))


# -- verifying ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ChainProblem:
    """What is wrong, and at which number."""

    kind: Problem
    number: int
    text: str


@dataclass(frozen=True, slots=True)
class Anchor:
    """A head that was kept outside: the entry ``number`` had this digest."""

    number: int
    digest: bytes


@dataclass(slots=True)
class VerifyResult:
    """One chain after a look at every entry. ``problems`` holds the first 100; ``problem_count`` counts all."""

    client_id: int
    entries: int = 0
    head_number: int = 0
    head_digest: str = ""
    problem_count: int = 0
    problems: list[ChainProblem] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return self.problem_count == 0

    def add(self, kind: Problem, number: int, text: str) -> None:
        """Note one problem."""
        self.problem_count += 1
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(ChainProblem(kind, number, text))


def verify_chain(
    session: ScopedSession, client_id: int = AGENCY, *, anchor: Anchor | None = None, page: int = PAGE
) -> VerifyResult:
    """Read a whole chain in pages of ``page`` entries and say what is wrong with it. Memory does not grow with it.

    Writers may go on: what is appended after the head was read is not looked at.
    """
    result = VerifyResult(client_id)
    head = session.execute(
        sa.select(AuditHead.number, AuditHead.digest).where(AuditHead.client_id == client_id)
    ).one_or_none()
    expected, previous, reached = 1, START, b""
    anchored = anchor is None
    for entry in _entries(session, client_id, head.number if head is not None else None, page):
        result.entries += 1
        if entry.number > expected:
            gap = entry.number - expected
            result.add(
                "missing", expected, f"{gap} {'entry is' if gap == 1 else 'entries are'} missing from {expected}"
            )
        elif bytes(entry.previous) != previous:
            result.add("reordered", entry.number, "the entry does not follow the one before it")
        if digest(entry) != bytes(entry.digest):
            result.add("changed", entry.number, "the entry differs from what its digest was made of")
        if anchor is not None and anchor.number == entry.number:
            anchored = bytes(entry.digest) == anchor.digest
        expected, previous = entry.number + 1, bytes(entry.digest)
        reached = previous
    if head is None:
        if result.entries:
            result.add("headless", expected - 1, "the chain has entries but no head")
    else:
        result.head_number, result.head_digest = head.number, bytes(head.digest).hex()
        if head.number != expected - 1:
            result.add("truncated", expected, f"the head says {head.number} entries, the chain ends at {expected - 1}")
        elif head.number and bytes(head.digest) != reached:
            result.add("truncated", head.number, "the last entry is not the one the head names")
    if not anchored:
        assert anchor is not None
        result.add("anchor", anchor.number, "the entry kept outside is not in this chain")
    return result


def _entries(session: ScopedSession, client_id: int, until: int | None, page: int) -> Iterator[AuditEntry]:
    at = -1
    while True:
        query = sa.select(AuditEntry).where(AuditEntry.client_id == client_id, AuditEntry.number > at)
        if until is not None:
            query = query.where(AuditEntry.number <= until)
        found = list(session.scalars(query.order_by(AuditEntry.number).limit(page)))
        yield from found
        if len(found) < page:
            return
        at = found[-1].number
        session.expunge_all()


def _chain(session: ScopedSession, client_id: int | None) -> int:
    if isinstance(session.scope, ClientScope):
        return session.scope.client_id
    return AGENCY if client_id is None else client_id


def _locked_head(session: ScopedSession, chain: int) -> AuditHead:
    query = (
        sa.select(AuditHead)
        .where(AuditHead.client_id == chain)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    head = session.scalars(query).one_or_none()
    if head is None:
        dialect = postgresql if session.is_postgresql else sqlite
        session.execute(
            dialect.insert(AuditHead)
            .values(client_id=chain, number=0, digest=START)
            .on_conflict_do_nothing(index_elements=[AuditHead.client_id])
        )
        head = session.scalars(query).one()
    return head


def _clean(text: str) -> str:
    return text.encode("utf-8", "replace").decode().replace("\0", "�")


def _stable(value: Any) -> Any:
    """JSON that comes back from each database as it went in: jsonb changes exponents and refuses NUL and surrogates."""
    if isinstance(value, str):
        return _clean(value)
    if isinstance(value, float):
        text = repr(value)
        return text if "e" in text or "n" in text or text.endswith(".0") else value
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 1 << 63:
        return str(value)
    if isinstance(value, dict):
        return {_clean(str(key)): _stable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_stable(item) for item in value]
    return value
