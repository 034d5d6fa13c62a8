"""A small cache whose entries grow stale after some seconds, so that a change by another process is noticed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

MOST = 10_000


class Expiring(Generic[K, V]):
    """Values by key, each for ``seconds``; thread-safe and bounded.

    What was read before a :meth:`clear` must not come back after it: take :meth:`stamp` before reading and hand it to
    :meth:`put`.
    """

    def __init__(self, seconds: float, timer: Callable[[], float]) -> None:
        self._seconds = seconds
        self._timer = timer
        self._kept: dict[K, tuple[float, V]] = {}
        self._clears = 0
        self._lock = threading.Lock()

    def get(self, key: K) -> V | None:
        """The value, or ``None`` when there is none or it is stale."""
        entry = self._kept.get(key)
        return entry[1] if entry is not None and self._timer() < entry[0] else None

    def stamp(self) -> int:
        """A number that changes with every :meth:`clear`."""
        return self._clears

    def put(self, key: K, value: V, stamp: int | None = None) -> None:
        """Keep ``value``, unless something was cleared since ``stamp``."""
        with self._lock:
            if stamp is not None and stamp != self._clears:
                return
            if len(self._kept) >= MOST:
                self._kept.clear()
            self._kept[key] = (self._timer() + self._seconds, value)

    def clear(self, key: K | None = None) -> None:
        """Forget one key, or all."""
        with self._lock:
            self._clears += 1
            if key is None:
                self._kept.clear()
            else:
                self._kept.pop(key, None)
