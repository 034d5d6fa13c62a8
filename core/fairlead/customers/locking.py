"""Who changes whom an identity points at, and what a person said, one at a time."""

from __future__ import annotations

from fairlead.storage.locks import lock
from fairlead.work import Work


def lock_identities(work: Work) -> None:
    """Wait for, and then keep out, everybody else who links, merges or splits people of this client or notes consents.

    Each of them reads whose something is and then writes by it; between the two nothing may move.
    """
    lock(work.session, f"identities/{work.client_id}")
