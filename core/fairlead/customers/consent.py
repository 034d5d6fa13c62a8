"""Consent: what holds now per purpose and channel, and the proof of every grant and withdrawal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fairlead.customers.model import Consent, ConsentRecord
from fairlead.storage import bulk, ids
from fairlead.work import Work

PURPOSES = ("marketing", "personalisation", "sharing", "service")
STATES = ("granted", "withdrawn")


@dataclass(frozen=True, slots=True)
class ConsentColumns:
    """Consents by column; ``at`` in epoch milliseconds, ``evidence`` as JSON text, channel ``*`` is every channel."""

    profile_ids: npt.NDArray[np.int64]
    fingerprints: Sequence[bytes]
    purposes: Sequence[str]
    channels: Sequence[str]
    states: Sequence[str]
    at: Sequence[int]
    sources: Sequence[str]
    text_versions: Sequence[str]
    evidence: Sequence[str]


def record_consents(work: Work, rows: ConsentColumns) -> int:
    """Keep the proofs and let the newest word for each person, purpose and channel hold; the answer is how many were new."""
    count = len(rows.at)
    stored = bulk.insert(
        work.session,
        ConsentRecord,
        {
            "id": ids.reserve(work.session.connection(), count),
            "fingerprint": rows.fingerprints,
            "profile_id": rows.profile_ids,
            "purpose": rows.purposes,
            "channel": rows.channels,
            "state": rows.states,
            "at": rows.at,
            "source": rows.sources,
            "text_version": rows.text_versions,
            "evidence": rows.evidence,
        },
        ignore_known=True,
    )
    bulk.insert(
        work.session,
        Consent,
        {
            "id": ids.reserve(work.session.connection(), count),
            "profile_id": rows.profile_ids,
            "purpose": rows.purposes,
            "channel": rows.channels,
            "state": rows.states,
            "at": rows.at,
        },
        newer_wins=bulk.NewerWins(key=("profile_id", "purpose", "channel"), version="at", keep=("id",)),
    )
    return stored
