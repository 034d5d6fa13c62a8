"""Scores: a plugin's scheme over many people at once, kept with its parts for the explanation."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import orjson
import sqlalchemy as sa

from fairlead.audiences.features import PEOPLE_AT_ONCE, feature_columns
from fairlead.audiences.guard import guarded
from fairlead.audiences.model import Score
from fairlead.clients.model import Client
from fairlead.clients.plugin_sets import settings_of
from fairlead.customers.model import Profile
from fairlead.plugins.contracts.scoring import FloatArray, Scores
from fairlead.plugins.errors import Abort
from fairlead.plugins.manifest import Kind
from fairlead.storage import bulk
from fairlead.storage.locks import lock
from fairlead.storage.types import to_millis
from fairlead.work import Work

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class ScoringRun:
    """How many people were scored, and the least, mean and most of their scores (0 for nobody)."""

    scheme: str
    profiles: int
    least: float
    mean: float
    most: float
    at: dt.datetime


def run_scoring(
    work: Work,
    scheme: str,
    settings: Mapping[str, Any] | None,
    profile_ids: Sequence[int] | None = None,
) -> ScoringRun:
    """Score these active profiles, or all of them, and replace what was stored for them under this scheme.

    ``settings`` ``None`` are those saved for the client. Raise ``PluginOff`` or ``NotFound`` for the scheme,
    ``Refusals`` for settings that do not fit it, and an error of the plugin ladder when the scheme fails or gives
    something else than one finite number per person.
    """
    entry = work.plugins.scoring_scheme(scheme)
    chosen = settings_of(work, Kind.SCORING_SCHEME, scheme, settings)
    with guarded(f"the scoring scheme {scheme!r}"):
        features = entry.thing.features(chosen)
    ids = _people(work, profile_ids)
    zone = work.session.execute(sa.select(Client.zone)).scalar_one()
    today = work.now.astimezone(ZoneInfo(zone)).date()
    columns = feature_columns(work, features, ids, everybody=profile_ids is None, today=today)
    with guarded(f"the scoring scheme {scheme!r}"):
        scores = entry.thing.score(columns, chosen)
    _check(scheme, scores, len(ids))
    _store(work, scheme, ids, scores, everybody=profile_ids is None)
    value = scores.value if len(ids) else np.zeros(1)
    return ScoringRun(scheme, len(ids), float(value.min()), float(value.mean()), float(value.max()), work.now)


def _people(work: Work, profile_ids: Sequence[int] | None) -> IntArray:
    query = sa.select(Profile.id).where(Profile.state == "active")
    if profile_ids is None:
        return np.array(work.session.scalars(query.order_by(Profile.id)).all(), np.int64)
    found: list[int] = []
    for start in range(0, len(profile_ids), PEOPLE_AT_ONCE):
        found += work.session.scalars(query.where(Profile.id.in_(profile_ids[start : start + PEOPLE_AT_ONCE])))
    return np.unique(np.array(found, np.int64))


def _check(scheme: str, scores: Scores, count: int) -> None:
    for name, column in (("value", scores.value), *scores.parts.items()):
        if getattr(column, "shape", None) != (count,) or not np.isfinite(column).all():
            raise Abort(f"the scoring scheme {scheme!r} gave no finite number per person in {name!r}")


def _store(work: Work, scheme: str, ids: IntArray, scores: Scores, *, everybody: bool) -> None:
    lock(work.session, f"scores/{work.client_id}/{scheme}")
    old = sa.delete(Score).where(Score.scheme == scheme)
    quiet = {"synchronize_session": False}
    if everybody:
        work.session.execute(old, execution_options=quiet)
    else:
        for start in range(0, len(ids), PEOPLE_AT_ONCE):
            part = ids[start : start + PEOPLE_AT_ONCE].tolist()
            work.session.execute(old.where(Score.profile_id.in_(part)), execution_options=quiet)
    work.session.expire_all()
    bulk.insert(
        work.session,
        Score,
        {
            "profile_id": ids,
            "scheme": [scheme] * len(ids),
            "value": np.asarray(scores.value, np.float64),
            "parts": _parts_as_json(scores.parts, len(ids)),
            "at": [to_millis(work.now)] * len(ids),
        },
    )


def _parts_as_json(parts: Mapping[str, FloatArray], count: int) -> list[str]:
    names = list(parts)
    if not names:
        return ["{}"] * count
    columns = (np.asarray(parts[name], np.float64).tolist() for name in names)
    return [orjson.dumps(dict(zip(names, row, strict=True))).decode() for row in zip(*columns, strict=True)]
