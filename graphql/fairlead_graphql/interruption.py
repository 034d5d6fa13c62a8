"""Stopping SQL when the time of its request is over: a thread cannot be stopped, a statement can."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from fairlead.storage.session import ScopedSession
from fairlead_graphql.door import current_deadline


@contextmanager
def stopped_at_deadline(session: ScopedSession, *, writes: bool = False) -> Iterator[None]:
    """While inside, the session's statements end with the current request. With ``writes``, entering or leaving late
    raises ``Unavailable``, so that nothing is committed that its caller was already told had failed."""
    deadline = current_deadline()
    if deadline is None:
        yield
        return
    take_back = deadline.on_abort(session.interrupter())
    try:
        if writes:
            # To get the writing connection may have taken all the time there was.
            deadline.check()
        yield
        if writes:
            deadline.check()
    finally:
        take_back()
