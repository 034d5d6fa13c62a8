"""Consent: what holds now per purpose and channel, and the proof of every grant and withdrawal."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import sqlalchemy as sa

from fairlead.customers.cells import LATEST
from fairlead.customers.heirs import surviving
from fairlead.customers.holding import hold_again
from fairlead.customers.locking import lock_identities
from fairlead.customers.mapping import PURPOSES as PURPOSES
from fairlead.customers.model import Consent, ConsentRecord
from fairlead.errors import InvalidInput
from fairlead.facts.fingerprint import fingerprints
from fairlead.storage import bulk, ids
from fairlead.storage.types import from_millis, to_millis
from fairlead.work import Work

END_OF_TIME = from_millis(LATEST)


@dataclass(frozen=True, slots=True)
class ConsentColumns:
    """Consents by column; channel ``*`` is every channel, ``evidence`` is JSON text.

    ``at`` and ``expires_at`` are in epoch milliseconds; a grant without an end has ``None``, and so has a withdrawal.
    """

    profile_ids: npt.NDArray[np.int64]
    fingerprints: Sequence[bytes]
    purposes: Sequence[str]
    channels: Sequence[str]
    states: Sequence[str]
    at: Sequence[int]
    expires_at: Sequence[int | None]
    sources: Sequence[str]
    text_versions: Sequence[str]
    evidence: Sequence[str]


def record_consents(work: Work, rows: ConsentColumns) -> int:
    """Keep the proofs and bring what holds to what they say; answers how many were new.

    A proof is new when its source has not told this word for this purpose and channel by the same fingerprint, which
    has the instant that the source gave. Which of several words holds: :mod:`fairlead.customers.holding`.
    """
    lock_identities(work)
    count = len(rows.at)
    marks = zip(rows.fingerprints, rows.purposes, rows.channels, rows.states, strict=True)
    told = [f"{mark.hex()}/{purpose}/{channel}/{state}" for mark, purpose, channel, state in marks]
    stored = bulk.insert(
        work.session,
        ConsentRecord,
        {
            "id": ids.reserve(work.session.connection(), count),
            "fingerprint": fingerprints("consent", told),
            "profile_id": rows.profile_ids,
            "purpose": rows.purposes,
            "channel": rows.channels,
            "state": rows.states,
            "at": rows.at,
            "expires_at": rows.expires_at,
            "source": rows.sources,
            "text_version": rows.text_versions,
            "evidence": rows.evidence,
        },
        ignore_known=True,
    )
    hold_again(work, rows.profile_ids.tolist())
    return stored


def grant(
    work: Work,
    profile_id: int,
    purpose: str,
    channel: str,
    *,
    source: str,
    text_version: str = "",
    expires_at: dt.datetime | None = None,
    evidence: Mapping[str, Any],
) -> None:
    """Note that a person agreed, now; from ``expires_at`` on the agreement holds no more."""
    if expires_at is not None and (expires_at.tzinfo is None or not work.now < expires_at < END_OF_TIME):
        raise InvalidInput(
            "an agreement ends at a time to come, with its zone",
            path=("expires_at",),
            next_step="give a time such as 2027-01-31T00:00:00Z, or none if it has no end",
        )
    _note(work, profile_id, purpose, channel, "granted", source, text_version, expires_at, evidence)


def withdraw(
    work: Work, profile_id: int, purpose: str, channel: str, *, source: str, evidence: Mapping[str, Any]
) -> None:
    """Note that a person withdrew, now; the next claim of a message sees it."""
    _note(work, profile_id, purpose, channel, "withdrawn", source, "", None, evidence)


def _last_word(work: Work, profile_id: int, purpose: str, channel: str) -> int:
    """When the word that holds was given; what a person says now is never older, whatever clocks said before."""
    known = work.session.scalar(
        sa.select(Consent.at)
        .where(Consent.profile_id == profile_id, Consent.purpose == purpose, Consent.channel.in_((channel, "*")))
        .order_by(Consent.at.desc())
        .limit(1)
    )
    return 0 if known is None else to_millis(known)


def _note(
    work: Work,
    profile_id: int,
    purpose: str,
    channel: str,
    state: str,
    source: str,
    text_version: str,
    expires_at: dt.datetime | None,
    evidence: Mapping[str, Any],
) -> None:
    if purpose not in PURPOSES:
        raise InvalidInput(
            f"{purpose!r} is no purpose", path=("purpose",), next_step=f"use one of {', '.join(PURPOSES)}"
        )
    if not 1 <= len(channel) <= 40 or not channel.isprintable():
        raise InvalidInput("a channel's name has 1 to 40 characters", path=("channel",), next_step="give one, or *")
    lock_identities(work)
    # Links and receipts may name who has been absorbed since.
    profile_id = surviving(work, [profile_id]).get(profile_id, profile_id)
    at = max(to_millis(work.now), _last_word(work, profile_id, purpose, channel) + 1)
    record_consents(
        work,
        ConsentColumns(
            profile_ids=np.array([profile_id], np.int64),
            fingerprints=fingerprints(source, [f"{profile_id}/{purpose}/{channel}/{state}/{at}"]),
            purposes=[purpose],
            channels=[channel],
            states=[state],
            at=[at],
            expires_at=[None if expires_at is None else to_millis(expires_at)],
            sources=[source[:40]],
            text_versions=[text_version],
            evidence=[orjson.dumps(dict(evidence)).decode()],
        ),
    )
