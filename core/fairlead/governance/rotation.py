"""Re-seals every sealed value under the active master key, so that an old key can be thrown away.

The sealed columns are found from the tables' metadata, those of plugins included. Values are taken in batches by
primary key, each batch in one transaction; only what another key sealed is touched, so a rotation that was broken off
is simply run again. Blind indexes are made with the index key, which does not rotate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from fairlead.storage import tables
from fairlead.storage.crypto import FORMAT, KeyProblem, Vault
from fairlead.storage.scope import AgencyScope
from fairlead.storage.session import ScopedSession
from fairlead.storage.types import SealedBytes

if TYPE_CHECKING:
    from fairlead.runtime import Fairlead

BATCH = 500

Report = Callable[[str, int], None]


@dataclass(slots=True)
class Rotation:
    """What a rotation did: values re-sealed by ``table.column``, and those that do not open (left as they are)."""

    active: str
    resealed: dict[str, int] = field(default_factory=dict)
    unreadable: dict[str, int] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """All values that were re-sealed."""
        return sum(self.resealed.values())

    @property
    def complete(self) -> bool:
        """Whether nothing is left that another key sealed."""
        return not self.unreadable


def sealed_columns(runtime: Fairlead) -> Iterator[sa.Column[Any]]:
    """Every sealed column of the core's tables and of the plugins' tables, by table name."""
    metadatas = [tables.metadata, *(source.metadata for source in runtime.plugins.migrations())]
    for metadata in metadatas:
        if metadata is None:
            continue
        for table in sorted(metadata.tables.values(), key=lambda table: table.name):
            for column in table.columns:
                if isinstance(column.type, SealedBytes):
                    yield column


def keys_in_use(runtime: Fairlead) -> dict[str, int]:
    """How many values each key id sealed; a key that is not in here may be thrown away."""
    counts: dict[str, int] = {}
    with runtime.database.read(AgencyScope("count keys")) as session:
        for column in sealed_columns(runtime):
            for name, count in _keys_of(session, column):
                counts[name] = counts.get(name, 0) + count
    return counts


def _keys_of(session: ScopedSession, column: sa.Column[Any]) -> Iterator[tuple[str, int]]:
    """Take any value whose key was not seen yet, count all under that key, and go on until none is left."""
    raw = sa.type_coerce(column, sa.LargeBinary)
    unseen: list[Any] = [column.is_not(None)]
    while True:
        sample = session.bare(sa.select(column).where(*unseen).limit(1)).scalar_one_or_none()
        if sample is None:
            return
        name = Vault.key_id(sample)
        head = _head(name)
        same = sa.func.substr(raw, 1, len(head)) == head
        yield (
            name,
            session.bare(
                sa.select(sa.func.count()).select_from(column.table).where(column.is_not(None), same)
            ).scalar_one(),
        )
        unseen.append(~same)


def _head(key_id: str) -> bytes:
    return bytes((FORMAT, len(key_id))) + key_id.encode()


def rotate_keys(runtime: Fairlead, batch: int = BATCH, progress: Report | None = None) -> Rotation:
    """Re-seal everything that is not under the active key. ``progress(column, count)`` is called after each batch.

    The service keeps running meanwhile: all processes must already have the new key in their key rings.
    """
    rotation = Rotation(runtime.vault.active)
    for column in sealed_columns(runtime):
        name = f"{column.table.name}.{column.name}"
        after: tuple[Any, ...] | None = None
        while True:
            with runtime.database.write(AgencyScope("rotate keys")) as session:
                after, done, bad = _reseal_batch(runtime, session, column, after, batch)
            if done:
                rotation.resealed[name] = rotation.resealed.get(name, 0) + done
            if bad:
                rotation.unreadable[name] = rotation.unreadable.get(name, 0) + bad
            if progress is not None and done:
                progress(name, done)
            if after is None:
                break
    return rotation


def _reseal_batch(
    runtime: Fairlead, session: ScopedSession, column: sa.Column[Any], after: tuple[Any, ...] | None, batch: int
) -> tuple[tuple[Any, ...] | None, int, int]:
    """Re-seal one batch; returns where to go on (``None`` at the end), how many were done and how many do not open."""
    table, vault = column.table, runtime.vault
    name = f"{table.name}.{column.name}"
    key = list(table.primary_key.columns)
    head = _head(vault.active)
    raw = sa.type_coerce(column, sa.LargeBinary)
    owner = table.c.client_id if "client_id" in table.c else sa.literal(0)
    query = (
        sa.select(*key, owner.label("owner_"), column.label("sealed_"))
        .where(column.is_not(None), sa.func.substr(raw, 1, len(head)) != head)
        .order_by(*key)
        .limit(batch)
        .with_for_update(of=table)
    )
    if after is not None:
        reached = (sa.literal(value, part.type) for part, value in zip(key, after, strict=True))
        query = query.where(sa.tuple_(*key) > sa.tuple_(*reached))
    rows = session.bare(query).all()
    changed, bad = [], 0
    for row in rows:
        client_id = row.owner_ or 0
        try:
            text = vault.open(client_id, name, row.sealed_)
        except KeyProblem:
            bad += 1
            continue
        place = {f"key_{at}": value for at, value in enumerate(row[: len(key)])}
        changed.append({**place, "sealed": vault.seal(client_id, name, text)})
    if changed:
        where = [part == sa.bindparam(f"key_{at}") for at, part in enumerate(key)]
        session.bare(sa.update(table).where(*where).values({column.name: sa.bindparam("sealed")}), changed)
    last = tuple(rows[-1][: len(key)]) if len(rows) == batch else None
    return last, len(changed), bad
