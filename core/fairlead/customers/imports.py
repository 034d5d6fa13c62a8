"""Bringing in a file: read once whole before anything is stored, then stored in chunks, each in one transaction.

Facts are known by their source id, so the same file again, or a run that was killed half-way, adds nothing twice.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import sqlalchemy as sa
from pydantic import ValidationError

from fairlead.customers import mapping as maps
from fairlead.customers import storing
from fairlead.customers.chunk import Chunk
from fairlead.customers.model import Import, ImportReject, SavedMapping
from fairlead.customers.proposals import propose_mapping
from fairlead.customers.reading import Table, open_table
from fairlead.errors import DomainError, InvalidInput, NotFound, Refusals
from fairlead.governance.audit import record
from fairlead.governance.permissions import Actor, System
from fairlead.plugins.events import DomainEvent, EventType
from fairlead.storage import bulk
from fairlead.work import Work

if TYPE_CHECKING:
    from fairlead.runtime import Fairlead

CHUNK = 20_000
Progress = Callable[[int, int], None]
MAPPING_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,79}")
STORE: dict[type[Any], Callable[..., Any]] = {
    maps.EventMapping: storing.store_events,
    maps.TouchMapping: storing.store_touches,
    maps.OrderMapping: storing.store_orders,
    maps.RefundMapping: storing.store_refunds,
    maps.ProfileMapping: storing.store_profiles,
    maps.ConsentMapping: storing.store_consents,
}


@dataclass(slots=True)
class ImportSummary:
    """What became of a file. ``read`` is ``accepted`` + ``rejected``; ``known`` of the accepted were stored before.

    ``importer`` names the one that proposed the mapping, if none was given. ``reasons`` counts the rejected rows,
    ``dropped`` the identities that were left out of rows that were kept.
    """

    import_id: int
    file: str
    encoding: str = ""
    read: int = 0
    accepted: int = 0
    known: int = 0
    rejected: int = 0
    profiles_created: int = 0
    profiles_merged: int = 0
    identities_blocked: int = 0
    importer: str = ""
    reasons: dict[str, int] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)


def parse_mapping(data: object) -> maps.Mapping:
    """A mapping from its JSON form. Raises :class:`Refusals` naming each wrong part."""
    try:
        return maps.ANY_MAPPING.validate_python(data)
    except ValidationError as error:
        # Pydantic puts the fact that it chose the model by in front of the field; it is no part of the input's path.
        raise Refusals(
            InvalidInput(
                part["msg"].removeprefix("Value error, "),
                path=("mapping", *(part["loc"][1:] or (("fact",) if isinstance(data, dict) else ()))),
            )
            for part in error.errors()
        ) from None


def save_mapping(work: Work, name: str, mapping: maps.Mapping) -> None:
    """Keep a mapping under a name, in place of the one it may name already."""
    if not MAPPING_NAME.fullmatch(name):
        raise InvalidInput(
            "a mapping's name has 1 to 80 of a-z, 0-9, _ and -", path=("name",), next_step="such as tmall-orders"
        )
    saved = work.session.scalars(sa.select(SavedMapping).where(SavedMapping.name == name)).first()
    before = None if saved is None else saved.mapping
    if saved is None:
        saved = SavedMapping(name=name)
        work.session.add(saved)
    saved.mapping, saved.changed_at = _dump(mapping), work.now
    work.session.flush()
    record(work, "mapping.save", "saved_mapping", name, before=before, after=saved.mapping)


def rejected_rows(work: Work, import_id: int) -> Iterator[tuple[int, str, str]]:
    """Line, column and reason of each row that an import did not take, by line."""
    columns = (ImportReject.row_number, ImportReject.column, ImportReject.reason)
    after = 0
    while True:
        query = sa.select(*columns).where(ImportReject.import_id == import_id, ImportReject.row_number > after)
        rows = work.session.execute(query.order_by(ImportReject.row_number).limit(CHUNK)).all()
        yield from ((number, column, reason) for number, column, reason in rows)
        if len(rows) < CHUNK:
            return
        after = rows[-1][0]


def _dump(mapping: maps.Mapping) -> dict[str, Any]:
    return mapping.model_dump(mode="json", exclude_defaults=True) | {"fact": mapping.fact}


def load_mapping(work: Work, name: str) -> maps.Mapping:
    """A saved mapping by name, or the one in a JSON file."""
    if name.endswith(".json"):
        try:
            return parse_mapping(orjson.loads(Path(name).read_bytes()))
        except (OSError, orjson.JSONDecodeError) as error:
            raise InvalidInput(f"{name!r} holds no JSON that can be read: {error}", path=("mapping",)) from None
    saved = work.session.scalars(sa.select(SavedMapping).where(SavedMapping.name == name)).first()
    if saved is None:
        raise NotFound(
            f"there is no mapping {name!r}", path=("mapping",), next_step="give a JSON file, and --save-as to keep it"
        )
    return parse_mapping(saved.mapping)


def import_file(
    runtime: Fairlead,
    client: str,
    path: Path,
    mapping: maps.Mapping | str | None = None,
    progress: Progress | None = None,
    *,
    actor: Actor | None = None,
    save_as: str = "",
) -> ImportSummary:
    """Bring in one file for a client. ``mapping`` may be the name of a saved one or a JSON file with one.

    Without a mapping, the client's importers are asked for one. The mapping is kept under the name ``save_as``, if one
    is given. ``progress`` hears (rows done, rows in all).

    A file that cannot be read to its end changes nothing. Rejected rows are kept sealed with row number and reason.
    """
    actor = actor or System("import")
    total, digest = _scan(path)
    with runtime.work(client, actor=actor) as work:
        with open_table(path) as table:
            header = table.header
        importer = ""
        if mapping is None:
            importer, mapping = propose_mapping(work, header)
        elif isinstance(mapping, str):
            mapping = load_mapping(work, mapping)
        _check_columns(mapping, header)
        if save_as:
            save_mapping(work, save_as, mapping)
        _close_broken(work, digest)
        run = Import(
            file_name=path.name[:200],
            file_digest=digest,
            source=mapping.source,
            mapping=_dump(mapping),
            state="running",
            started_at=work.now,
        )
        work.session.add(run)
        work.session.flush()
        record(work, "import.start", "import", str(run.id), after={"file": run.file_name, "rows": total})
    summary = ImportSummary(run.id, path.name, importer=importer)
    try:
        with open_table(path) as table:
            summary.encoding = table.encoding
            for numbers, rows in _chunks(table):
                stored = partial(_store_chunk, mapping, table.header, numbers, rows, digest, summary)
                before, summary = summary, runtime.run(client, stored, actor=actor)
                for result in ("accepted", "known", "rejected"):
                    rows_more = getattr(summary, result) - getattr(before, result)
                    runtime.metrics.imported_rows.labels(result).inc(rows_more)
                if progress:
                    progress(summary.read, total)
    except Exception as error:
        told = error.message if isinstance(error, DomainError) else "stopped by an error of the program"
        _finish(runtime, client, actor, summary, "failed", told)
        raise
    _finish(runtime, client, actor, summary, "done")
    return summary


def _close_broken(work: Work, digest: str) -> None:
    """Whoever imports a file again ends the imports of it that were killed."""
    work.session.execute(
        sa.update(Import)
        .where(Import.file_digest == digest, Import.state == "running")
        .values(state="failed", error="broke off, and was begun again", finished_at=work.now),
        execution_options={"synchronize_session": False},
    )


def _scan(path: Path) -> tuple[int, str]:
    """Read the whole file once, so a broken one is refused before anything is stored; rows and SHA-256 come out."""
    with open_table(path) as table:
        total = sum(1 for _ in table.rows)
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return total, digest.hexdigest()


def _check_columns(mapping: maps.Mapping, header: tuple[str, ...]) -> None:
    missing = {column: use for column, use in maps.columns_of(mapping).items() if column not in header}
    if missing:
        raise Refusals(
            InvalidInput(
                f"the file has no column {column!r}",
                path=("mapping", use),
                next_step=f"the columns are: {', '.join(name for name in header if name)}"[:400],
            )
            for column, use in missing.items()
        )


def _chunks(table: Table) -> Iterator[tuple[list[int], list[list[str]]]]:
    while part := list(islice(table.rows, CHUNK)):
        yield [number for number, _ in part], [row for _, row in part]


def _store_chunk(
    mapping: maps.Mapping,
    header: tuple[str, ...],
    numbers: list[int],
    rows: list[list[str]],
    digest: str,
    before: ImportSummary,
    work: Work,
) -> ImportSummary:
    """Store a chunk; the answer is the summary with it. May run again, so it changes nothing but rows."""
    chunk = Chunk(header, numbers, rows)
    taken = STORE[type(mapping)](work, mapping, chunk, digest[:24], before.import_id)
    _keep_rejects(work, chunk, before.import_id)
    rejected = len(chunk.problems)
    reasons = Counter(f"{column} {reason}".strip() for column, reason in chunk.problems.values())
    summary = replace(
        before,
        read=before.read + len(chunk),
        rejected=before.rejected + rejected,
        accepted=before.accepted + len(chunk) - rejected,
        known=before.known + taken.known,
        profiles_created=before.profiles_created + taken.profiles_created,
        profiles_merged=before.profiles_merged + taken.profiles_merged,
        identities_blocked=before.identities_blocked + taken.identities_blocked,
        reasons=dict(Counter(before.reasons) + reasons),
        dropped=dict(Counter(before.dropped) + Counter(chunk.dropped)),
    )
    run = work.session.get_one(Import, summary.import_id)
    run.rows_read, run.rows_accepted = summary.read, summary.accepted
    run.rows_rejected, run.rows_known = summary.rejected, summary.known
    return summary


def _keep_rejects(work: Work, chunk: Chunk, import_id: int) -> None:
    at = sorted(chunk.problems)
    texts = (orjson.dumps(chunk.rows[index], default=str).decode() for index in at)
    bulk.insert(
        work.session,
        ImportReject,
        {
            "import_id": [import_id] * len(at),
            "row_number": [chunk.numbers[index] for index in at],
            "column": [chunk.problems[index][0][:80] for index in at],
            "reason": [chunk.problems[index][1][:200] for index in at],
            "row": work.vault.seal_many(work.client_id, "import_reject.row", texts),
        },
        ignore_known=True,
    )


def _finish(runtime: Fairlead, client: str, actor: Actor, summary: ImportSummary, state: str, error: str = "") -> None:
    with runtime.work(client, actor=actor) as work:
        run = work.session.get_one(Import, summary.import_id)
        run.state, run.error, run.finished_at = state, error, work.now
        counts = {"read": summary.read, "accepted": summary.accepted, "rejected": summary.rejected}
        record(work, f"import.{state}", "import", str(run.id), after=counts)
        work.events.append(
            DomainEvent(
                f"import/{run.id}",
                EventType.IMPORT_FINISHED,
                work.client_id,
                work.now,
                str(run.id),
                {"state": state, **counts},
            )
        )
