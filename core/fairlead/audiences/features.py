"""The numbers that scoring schemes ask for, as NumPy columns over many profiles at once."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from fairlead.audiences.checks import SEALED
from fairlead.audiences.conditions import BUILT_IN, check_key
from fairlead.audiences.sql import JsonFlag, JsonKnown, JsonNumber, JsonText
from fairlead.audiences.values import Type, age_on
from fairlead.customers.model import Profile
from fairlead.errors import InvalidInput
from fairlead.facts import codes
from fairlead.facts.model import Event
from fairlead.plugins.contracts.scoring import Feature, FloatArray
from fairlead.storage.types import MILLISECOND
from fairlead.work import Work

IntArray = npt.NDArray[np.int64]
COLUMNS_AT_ONCE = 100
PEOPLE_AT_ONCE = 10_000


def feature_columns(
    work: Work, features: Sequence[Feature], ids: IntArray, *, everybody: bool, today: dt.date
) -> dict[str, FloatArray]:
    """One column per feature by its name, shape ``(len(ids),)``, in the order of ``ids``, which must rise.

    Events are counted up to ``work.now``; a type that never occurred counts 0. One statement answers up to 100
    features of a kind, for ``everybody`` at once and else for 10000 people at a time.
    """
    columns = {feature.name: np.zeros(len(ids)) for feature in features}
    for kind, query in (("event", _event_counts), ("attribute", _attribute_values)):
        of_kind = [feature for feature in features if feature.kind == kind]
        for start in range(0, len(of_kind), COLUMNS_AT_ONCE):
            part = of_kind[start : start + COLUMNS_AT_ONCE]
            for people in _batches(ids, everybody):
                _fill(columns, part, ids, query(work, part, people, today))
    unknown = [feature.name for feature in features if feature.kind not in ("event", "attribute")]
    if unknown:
        raise InvalidInput(f"the scheme asks for a kind of number that there is not: {', '.join(unknown[:5])}")
    return columns


def _batches(ids: IntArray, everybody: bool) -> Iterator[list[int] | None]:
    if everybody:
        yield None
        return
    for start in range(0, len(ids), PEOPLE_AT_ONCE):
        yield ids[start : start + PEOPLE_AT_ONCE].tolist()


def _fill(columns: dict[str, FloatArray], part: list[Feature], ids: IntArray, rows: Sequence[Any]) -> None:
    if not rows or not len(ids):
        return
    owners = np.fromiter((row[0] for row in rows), np.int64, len(rows))
    places = np.minimum(np.searchsorted(ids, owners), len(ids) - 1)
    known = ids[places] == owners
    for at, feature in enumerate(part, 1):
        values = np.fromiter((row[at] for row in rows), np.float64, len(rows))
        columns[feature.name][places[known]] = values[known]


def _event_counts(work: Work, part: list[Feature], people: list[int] | None, _today: dt.date) -> Sequence[Any]:
    known = codes.known_codes(work, codes.EVENT)
    wanted = sorted({known[feature.key] for feature in part if feature.key in known})
    if not wanted:
        return ()
    counts = []
    for feature in part:
        counted = [Event.type_code == known.get(feature.key, -1)]
        if feature.within_days is not None:
            counted.append(Event.at >= work.now - dt.timedelta(days=feature.within_days))
        counts.append(sa.func.count(sa.case((sa.and_(*counted), 1))))
    query = (
        sa.select(Event.profile_id, *counts)
        .where(Event.type_code.in_(wanted), Event.profile_id.is_not(None), Event.at < work.now + MILLISECOND)
        .group_by(Event.profile_id)
    )
    windows = [feature.within_days for feature in part]
    longest = max((days for days in windows if days is not None), default=0)
    if None not in windows:
        query = query.where(Event.at >= work.now - dt.timedelta(days=longest))
    if people is not None:
        query = query.where(Event.profile_id.in_(people))
    return work.session.execute(query).all()


def _attribute_values(work: Work, part: list[Feature], people: list[int] | None, today: dt.date) -> Sequence[Any]:
    query = sa.select(Profile.id, *(_attribute(feature.key) for feature in part)).where(Profile.state == "active")
    if people is not None:
        query = query.where(Profile.id.in_(people))
    rows = work.session.execute(query).all()
    ages = [at for at, feature in enumerate(part, 1) if feature.key == "age"]
    if not ages:
        return rows
    return [
        [age_on(today, value) if at in ages and value is not None else value or 0 for at, value in enumerate(row)]
        for row in rows
    ]


def _attribute(name: str) -> Any:
    """The number of an attribute; 1 for true, a text that is not empty or anything else that is there; 0 otherwise."""
    if name.casefold() in SEALED:
        raise InvalidInput(f"{name!r} is sealed and cannot be scored", next_step="use another attribute")
    if name == "age":
        return Profile.birth_date
    type_ = BUILT_IN.get(name)
    if type_ is not None:
        column = getattr(Profile, name)
        there = column.is_not(None)
        return sa.case((sa.and_(there, column != "") if type_ is Type.TEXT else there, 1.0), else_=0.0)
    check_key(name)
    number, flag, text = (part(Profile.attributes.expression, name) for part in (JsonNumber, JsonFlag, JsonText))
    return sa.case(
        (number.is_not(None), number),
        (flag.is_not(None), sa.case((flag, 1.0), else_=0.0)),
        (text == "", 0.0),
        (JsonKnown(Profile.attributes.expression, name), 1.0),
        else_=0.0,
    )
