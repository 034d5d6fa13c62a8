"""Changing and reading profiles: fields from files, masked and revealed values, the timeline of one person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import sqlalchemy as sa

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
    """Set fields of profiles, a column at a time; rows with profile 0 are passed over, the last row of a profile wins.

    ``name`` comes in clear and is sealed here, ``attributes`` is JSON text and is merged into what is known.
    """
    last = dict(zip(profile_ids.tolist(), range(len(profile_ids)), strict=True))
    last.pop(0, None)
    if not last or not fields:
        return
    at = list(last.values())
    columns: dict[str, Sequence[Any]] = {"id": list(last)}
    for name, values in fields.items():
        picked = [values[index] for index in at]
        if name == "name":
            picked = _seal_names(work, picked)
        elif name == "attributes":
            picked = _merge_attributes(work, list(last), picked)
        columns[name] = picked
    columns["changed_at"] = [to_millis(work.now)] * len(at)
    bulk.update(work.session, Profile, columns, only_missing=only_missing)


def _seal_names(work: Work, names: list[str | None]) -> list[Any]:
    sealed = iter(work.vault.seal_many(work.client_id, NAME_COLUMN, (name for name in names if name)))
    return [next(sealed) if name else None for name in names]


def _merge_attributes(work: Work, profile_ids: list[int], texts: list[str | None]) -> list[str]:
    known: dict[int, dict[str, Any]] = {}
    for start in range(0, len(profile_ids), 5000):
        rows = work.session.execute(
            sa.select(Profile.id, Profile.attributes).where(Profile.id.in_(profile_ids[start : start + 5000]))
        )
        known.update(rows.all())
    merged = zip(profile_ids, texts, strict=True)
    return [
        orjson.dumps({**known.get(profile_id, {}), **orjson.loads(text or "{}")}).decode()
        for profile_id, text in merged
    ]


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
