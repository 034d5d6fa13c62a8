"""Messages stay with the person they were sent to."""

from __future__ import annotations

import sqlalchemy as sa

from fairlead.messaging.model import Message
from fairlead.work import Work


def absorb(work: Work, absorbed_id: int, survivor_id: int) -> None:
    """Count the messages of one profile as another's, so caps hold for the person."""
    work.session.execute(
        sa.update(Message).where(Message.profile_id == absorbed_id).values(profile_id=survivor_id),
        execution_options={"synchronize_session": False},
    )
