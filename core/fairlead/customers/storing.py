"""From a chunk of rows to facts, one function per kind. Each answers what it stored; problems stay on the chunk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np

from fairlead.clients.service import get_client
from fairlead.customers import cells, consent
from fairlead.customers import mapping as maps
from fairlead.customers.chunk import Chunk, pick, pick_claims
from fairlead.customers.linking import Linked, link
from fairlead.customers.profiles import fill_profiles
from fairlead.facts import ingest, refunds
from fairlead.facts.fingerprint import fingerprints
from fairlead.facts.ingest import Taken
from fairlead.facts.lines import Lines, store_lines
from fairlead.plugins.contracts.channel import OrderLineRecord
from fairlead.storage.types import to_millis
from fairlead.work import Work

CLOCK_SKEW = 24 * 60 * 60 * 1000
NOT_A_TIME = "is no date and time"
NOT_MONEY = "is no amount of money"


def store_events(work: Work, mapping: maps.EventMapping, chunk: Chunk, file: str, import_id: int) -> Taken:
    """Rows are events."""
    chunk.refuse_personal(mapping.item, mapping.category)
    read_time = cells.time_reader(mapping.time_format, mapping.zone)
    ids = chunk.source_ids(mapping.source_id, file)
    at = chunk.read(mapping.at, read_time, NOT_A_TIME, optional=False)
    types = chunk.choice(mapping.type, None)
    channels = chunk.choice(mapping.channel, None)
    amounts = chunk.read(mapping.amount, _money(work, mapping), NOT_MONEY)
    items, categories = chunk.text(mapping.item, 80), chunk.text(mapping.category, 80)
    claims = chunk.identities(mapping.identities, mapping.region)
    properties = chunk.properties(mapping.properties)
    good = chunk.good()
    return ingest.take_events(
        work,
        mapping.source,
        ingest.EventColumns(
            source_ids=pick(ids, good),
            types=pick(types, good),
            channels=pick(channels, good),
            at=pick(at, good),
            claims=pick_claims(claims, good),
            amounts=pick(amounts, good),
            items=pick(items, good),
            categories=pick(categories, good),
            properties=pick(properties, good),
        ),
        import_id,
    )


def store_touches(work: Work, mapping: maps.TouchMapping, chunk: Chunk, file: str, import_id: int) -> Taken:
    """Rows are touches; some may be conversions too."""
    read_time = cells.time_reader(mapping.time_format, mapping.zone)
    ids = chunk.source_ids(mapping.source_id, file)
    at = chunk.read(mapping.at, read_time, NOT_A_TIME, optional=False)
    channels = chunk.choice(mapping.channel, None)
    kinds = chunk.choice(mapping.kind, None, limit=16)
    campaigns = chunk.text(mapping.campaign, 80)
    claims = chunk.identities(mapping.identities, mapping.region)
    conversion = mapping.conversion
    amounts = chunk.read(conversion.amount, _money(work, mapping), NOT_MONEY) if conversion else []
    _need_somebody(chunk, claims, mapping)
    good = chunk.good()
    columns = ingest.TouchColumns(
        source_ids=pick(ids, good),
        kinds=pick(kinds, good),
        channels=pick(channels, good),
        at=pick(at, good),
        claims=pick_claims(claims, good),
        campaigns=pick(campaigns, good),
    )
    taken, linked = ingest.take_touches(work, mapping.source, columns, import_id)
    good = _drop_nobody(chunk, good, linked, mapping)
    if conversion:
        marks = chunk.cells(conversion.column)
        converting = [index for index in good if marks[index].strip().lower() in conversion.equals]
        ingest.take_events(
            work,
            f"{mapping.source}/{conversion.event}"[:40],
            ingest.EventColumns(
                source_ids=pick(ids, converting),
                types=[conversion.event] * len(converting),
                channels=pick(channels, converting),
                at=pick(at, converting),
                claims=pick_claims(claims, converting),
                amounts=pick(amounts, converting),
            ),
            import_id,
        )
    return taken


def store_orders(work: Work, mapping: maps.OrderMapping, chunk: Chunk, file: str, import_id: int) -> Taken:
    """Rows are orders, or single lines of one-line orders."""
    chunk.refuse_personal(mapping.item, mapping.item_title, mapping.receiver_region)
    read_time = cells.time_reader(mapping.time_format, mapping.zone)
    ids = chunk.source_ids((mapping.order_id,), file, limit=64)
    currencies = chunk.currencies(mapping.currency)
    minor = mapping.money == "minor"
    placed = chunk.read(mapping.placed_at, read_time, NOT_A_TIME, optional=False)
    paid_at = chunk.read(mapping.paid_at, read_time, NOT_A_TIME)
    changed = chunk.read(mapping.changed_at, read_time, NOT_A_TIME)
    amounts = chunk.money(mapping.amount, currencies, NOT_MONEY, minor=minor, optional=False)
    paid = chunk.money(mapping.paid_amount, currencies, NOT_MONEY, minor=minor)
    refunded = chunk.money(mapping.refund_amount, currencies, NOT_MONEY, minor=minor)
    channels = chunk.choice(mapping.channel, None)
    statuses = chunk.choice(mapping.status, maps.ORDER_STATUSES) if mapping.status else [None] * len(chunk)
    regions, names = chunk.text(mapping.receiver_region, 40), chunk.text(mapping.receiver_name, 80)
    skus, titles = chunk.text(mapping.item, 80), chunk.text(mapping.item_title, 200)
    quantities = chunk.read(mapping.quantity, _count, "is no whole number of pieces")
    claims = chunk.identities(mapping.identities, mapping.region)
    properties = chunk.properties(mapping.properties)
    if mapping.item:
        _one_line_each(chunk, mapping.item, ids, skus, changed)
    good = chunk.good()
    rows = ingest.OrderColumns(
        source_ids=pick(ids, good),
        channels=pick(channels, good),
        statuses=[statuses[index] or ("paid" if paid_at[index] else "created") for index in good],
        currencies=pick(currencies, good),
        amounts=pick(amounts, good),
        paid_amounts=[
            (paid[index] or 0) if mapping.paid_amount else _due(amounts, paid_at, index, mapping) for index in good
        ],
        refund_amounts=[refunded[index] or 0 for index in good] if mapping.refund_amount else None,
        placed_at=pick(placed, good),
        paid_at=pick(paid_at, good),
        changed_at=[changed[index] or paid_at[index] or placed[index] or 0 for index in good],
        claims=pick_claims(claims, good),
        regions=pick(regions, good),
        properties=pick(properties, good),
    )
    taken, linked = ingest.take_orders(work, rows, mapping.source, import_id)
    if mapping.item:
        lines = [at for at, index in enumerate(good) if skus[index]]
        store_lines(
            work,
            [
                Lines(
                    rows.channels[at],
                    rows.source_ids[at],
                    rows.changed_at[at],
                    rows.amounts[at],
                    [
                        OrderLineRecord(
                            skus[good[at]] or "", titles[good[at]] or "", quantities[good[at]] or 1, rows.amounts[at]
                        )
                    ],
                )
                for at in lines
            ],
        )
    if mapping.receiver_name:
        fill_profiles(work, linked.profile_ids, {"name": pick(names, good)}, only_missing=True)
    return taken


def store_refunds(work: Work, mapping: maps.RefundMapping, chunk: Chunk, file: str, import_id: int) -> Taken:
    """Rows are refunds; one whose order is unknown is a problem of its row."""
    read_time = cells.time_reader(mapping.time_format, mapping.zone)
    ids = chunk.source_ids(mapping.source_id, file)
    orders = chunk.source_ids((mapping.order_id,), file)
    at = chunk.read(mapping.at, read_time, NOT_A_TIME, optional=False)
    channels = chunk.choice(mapping.channel, None)
    good = chunk.good()
    known = dict(zip(good, refunds.find_orders(work, pick(channels, good), pick(orders, good)), strict=True))
    chunk.drop(
        [index for index, order in known.items() if order is None], mapping.order_id, "is no order that is known"
    )
    # What is given back is money of the order.
    currencies = [order.currency if (order := known.get(index)) else None for index in range(len(chunk))]
    amounts = chunk.money(mapping.amount, currencies, NOT_MONEY, minor=mapping.money == "minor", optional=False)
    chunk.drop(
        [index for index, amount in enumerate(amounts) if amount is not None and amount <= 0], mapping.amount, NOT_MONEY
    )
    kept = {index: order for index, order in known.items() if order is not None and index not in chunk.problems}
    return refunds.take_refunds(
        work,
        mapping.source,
        pick(ids, list(kept)),
        list(kept.values()),
        pick(at, list(kept)),
        pick(amounts, list(kept)),
        import_id,
    )


def store_profiles(work: Work, mapping: maps.ProfileMapping, chunk: Chunk, file: str, _import_id: int) -> Taken:
    """Rows are people; what a row says replaces what was known."""
    chunk.source_ids(mapping.source_id, file)
    names, languages = chunk.text(mapping.name, 80), chunk.text(mapping.language, 12)
    genders = _genders(chunk, mapping.gender)
    births = chunk.read(mapping.birth_date, _date, "is no date")
    regions = chunk.text(mapping.home_region, 12)
    zones = chunk.read(mapping.home_zone, _zone, "is no IANA time zone")
    claims = chunk.identities(mapping.identities, mapping.region)
    dates = {name: chunk.read(column, cells.date_of, "is no date") for name, column in mapping.dates.items()}
    extra = chunk.properties(mapping.properties, dates)
    _need_somebody(chunk, claims, mapping)
    good = chunk.good()
    linked = link(work, pick_claims(claims, good), mapping.source)
    fields: dict[str, list[Any]] = {}
    for name, column, values in (
        ("name", mapping.name, names),
        ("gender", mapping.gender and "gender", genders),
        ("birth_date", mapping.birth_date, births),
        ("region", mapping.home_region, regions),
        ("language", mapping.language, languages),
        ("zone", mapping.home_zone, zones),
    ):
        if column is not None:
            fields[name] = pick(values, good)
    if mapping.properties or dates:
        fields["attributes"] = pick(extra, good)
    fill_profiles(work, linked.profile_ids, fields)
    kept = _drop_nobody(chunk, good, linked, mapping)
    return Taken(len(kept), 0, linked.created, linked.merged, linked.blocked)


def store_consents(work: Work, mapping: maps.ConsentMapping, chunk: Chunk, file: str, _import_id: int) -> Taken:
    """Rows are grants and withdrawals."""
    read_time = cells.time_reader(mapping.time_format, mapping.zone)
    ids = chunk.source_ids(mapping.source_id, file)
    stated = chunk.read(mapping.at, read_time, NOT_A_TIME, optional=False)
    at = _not_later(chunk, mapping.at, stated, to_millis(work.now))
    purposes = chunk.choice(mapping.purpose, maps.PURPOSES)
    states = chunk.choice(mapping.state, maps.CONSENT_STATES)
    channels = chunk.choice(mapping.consent_channel, None, limit=40, blank="*")
    ends = chunk.read(mapping.expires_at, read_time, NOT_A_TIME)
    versions = chunk.text(mapping.text_version, 40)
    claims = chunk.identities(mapping.identities, mapping.region)
    evidence = chunk.properties(mapping.properties)
    _need_somebody(chunk, claims, mapping)
    good = chunk.good()
    linked = link(work, pick_claims(claims, good), mapping.source)
    somebody = np.flatnonzero(linked.profile_ids > 0)
    rows = _drop_nobody(chunk, good, linked, mapping)
    stored = consent.record_consents(
        work,
        consent.ConsentColumns(
            profile_ids=linked.profile_ids[somebody],
            # By the stated instant: one that was cut to now is another at each import of the same row.
            fingerprints=fingerprints(mapping.source, (f"{ids[index]}/{stated[index]}" for index in rows)),
            purposes=pick(purposes, rows),
            channels=pick(channels, rows),
            states=pick(states, rows),
            at=pick(at, rows),
            expires_at=[ends[index] if states[index] == "granted" else None for index in rows],
            sources=[mapping.source] * len(rows),
            text_versions=[versions[index] or "" for index in rows],
            evidence=[evidence[index] or "{}" for index in rows],
        ),
    )
    return Taken(stored, len(rows) - stored, linked.created, linked.merged, linked.blocked)


def _money(work: Work, mapping: maps.EventMapping | maps.TouchMapping) -> Callable[[str], int]:
    """Amounts of events are money of the client."""
    if mapping.money == "minor":
        return cells.minor_units
    return cells.money_reader(get_client(work.session, work.client_id).currency)


def _one_line_each(
    chunk: Chunk, column: str, ids: Sequence[str], skus: Sequence[str | None], changed: Sequence[int | None]
) -> None:
    """Reject further lines of an order: each row is taken as a whole order."""
    first: dict[tuple[str, int | None], str | None] = {}
    others = [
        index
        for index, key in enumerate(zip(ids, changed, strict=True))
        if index not in chunk.problems and first.setdefault(key, skus[index]) != skus[index]
    ]
    chunk.drop(others, column, "is a second line of an order; a row is read as an order of one line")


def _drop_nobody(chunk: Chunk, good: Sequence[int], linked: Linked, mapping: maps.Mapping) -> list[int]:
    """The rows that belong to somebody; those whose identities are all blocked are rejected."""
    nobody = [good[place] for place in np.flatnonzero(linked.profile_ids <= 0).tolist()]
    chunk.drop(nobody, mapping.identities[0].column if mapping.identities else "", "is blocked and names nobody")
    return [good[place] for place in np.flatnonzero(linked.profile_ids > 0).tolist()]


def _count(text: str) -> int:
    number = int(text)
    if not 0 < number < 10**6:
        raise ValueError
    return number


def _not_later(chunk: Chunk, column: str, at: list[int | None], now: int) -> list[int | None]:
    """A word from the future would outlive every withdrawal: a clock a little ahead counts as now, more is refused."""
    for index, instant in enumerate(at):
        if instant is not None and instant > now + CLOCK_SKEW:
            chunk.problems.setdefault(index, (column, "lies in the future"))
    return [None if instant is None else min(instant, now) for instant in at]


def _date(text: str) -> str:
    found = cells.date_of(text)
    if not 1900 <= date.fromisoformat(found).year <= 2100:
        raise ValueError
    return found


def _zone(text: str) -> str:
    try:
        return ZoneInfo(text).key
    except ZoneInfoNotFoundError:
        raise ValueError from None


def _genders(chunk: Chunk, source: maps.Source | None) -> list[str | None]:
    if source is None:
        return [None] * len(chunk)
    if source.constant is not None:
        return [cells.gender_of(source.constant)] * len(chunk)
    return chunk.read(source.column, lambda text: cells.gender_of(source.values.get(text, text)), "is no gender")


def _due(amounts: list[int | None], paid_at: list[int | None], index: int, mapping: maps.OrderMapping) -> int:
    """Without a column for it, an order that was paid was paid in full."""
    return (amounts[index] or 0) if paid_at[index] or not mapping.paid_at else 0


def _need_somebody(chunk: Chunk, claims: list[Any], mapping: Any) -> None:
    columns = ", ".join(identity.column for identity in mapping.identities)
    for at, row in enumerate(zip(*(claim.values for claim in claims), strict=True)):
        if not any(row):
            chunk.problems.setdefault(at, (columns[:80], "names nobody"))
