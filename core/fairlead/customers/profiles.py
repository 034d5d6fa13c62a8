"""Changing and reading profiles: fields from files, masked and revealed values, the timeline of one person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import sqlalchemy as sa

from fairlead.customers.heirs import cut
from fairlead.customers.identifiers import mask, mask_name
from fairlead.customers.model import Identity, Profile
from fairlead.errors import NotFound
from fairlead.governance.audit import record
from fairlead.storage import bulk
from fairlead.storage.types import to_millis
from fairlead.work import Work

NAME_COLUMN = "profile.name"
IDENTITY_COLUMN = "identity.value"


def fill_profiles(
    work: Work, profile_ids: npt.NDArray[np.int64], fields: Mapping[str, Sequence[Any]], *, only_missing: bool = False
) -> None:
    """Set fields of profiles, a column at a time; rows with profile 0 are passed over.

    Of several rows of one profile the last that says something wins, field by field. ``name`` comes in clear and is
    sealed here, ``attributes`` is JSON text and is merged into what is known.
    """
    rows = profile_ids.tolist()
    people = [number for number in dict.fromkeys(rows) if number]
    if not people or not fields:
        return
    columns: dict[str, Sequence[Any]] = {"id": people}
    for name, values in fields.items():
        if name == "attributes":
            columns[name] = _merge_attributes(work, people, rows, values)
            continue
        said = {number: value for number, value in zip(rows, values, strict=True) if value is not None}
        picked = [said.get(number) for number in people]
        columns[name] = _seal_names(work, picked) if name == "name" else picked
    columns["changed_at"] = [to_millis(work.now)] * len(people)
    bulk.update(work.session, Profile, columns, only_missing=only_missing)


def _seal_names(work: Work, names: list[str | None]) -> list[Any]:
    sealed = iter(work.vault.seal_many(work.client_id, NAME_COLUMN, (name for name in names if name)))
    return [next(sealed) if name else None for name in names]


def _merge_attributes(work: Work, people: Sequence[int], rows: Sequence[int], texts: Sequence[str | None]) -> list[str]:
    """What is known of these people with what the rows say, in their order, on top."""
    merged: dict[int, dict[str, Any]] = {}
    for part in cut(people):
        found = work.session.execute(sa.select(Profile.id, Profile.attributes).where(Profile.id.in_(part)))
        merged.update((number, dict(attributes)) for number, attributes in found)
    for number, text in zip(rows, texts, strict=True):
        if number and text:
            merged.setdefault(number, {}).update(orjson.loads(text))
    return [orjson.dumps(merged.get(number, {})).decode() for number in people]


def masked_identity(work: Work, identity: Identity) -> str:
    """What anybody who may read profiles sees of an identity."""
    return mask(identity.kind, work.vault.open(work.client_id, IDENTITY_COLUMN, identity.value))


def masked_name(work: Work, profile: Profile) -> str | None:
    """What anybody who may read profiles sees of a name."""
    return None if profile.name is None else mask_name(work.vault.open(work.client_id, NAME_COLUMN, profile.name))


def reveal_profile(work: Work, profile_id: int, purpose: str) -> dict[str, Any]:
    """Name and identities in clear. The caller must hold ``profiles:reveal``; who looked and why is audited."""
    profile = work.session.get(Profile, profile_id)
    if profile is None or profile.state == "erased":
        raise NotFound("there is no such profile", path=("profileId",))
    identities = work.session.scalars(
        sa.select(Identity).where(Identity.profile_id == profile_id).order_by(Identity.id)
    ).all()
    record(
        work, "profile.reveal", "profile", str(profile_id), after={"purpose": purpose, "identities": len(identities)}
    )
    name = None if profile.name is None else work.vault.open(work.client_id, NAME_COLUMN, profile.name)
    return {
        "name": name,
        "identities": [
            (row.id, row.kind, row.scope, work.vault.open(work.client_id, IDENTITY_COLUMN, row.value))
            for row in identities
        ],
    }
