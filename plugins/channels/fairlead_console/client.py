"""The file behind the console channel: append-only, locked, and safe against ``kill -9`` between any two instructions.

All writers of a file hold its lock (``flock``) from reading the index until their bytes are on the disk, so two
processes never both find a key missing. A line without its line feed is the trace of a writer that was killed: nobody
was ever told that it was sent, so the next writer cuts it off.
"""

from __future__ import annotations

import fcntl
import functools
import os
import stat
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from fairlead.plugins.errors import FixSettings, RetryLater
from fairlead_console.mapping import id_of_line
from fairlead_console.place import REFUSED

_CHUNK = 1 << 20


class MessageFile:
    """One file of messages and what this process already knows of it. Safe for threads and processes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._inode = (0, 0)
        self._read_to = 0
        self._known: set[str] = set()

    def append_new(self, lines: Sequence[tuple[str, bytes]]) -> int:
        """Write each ``(external id, line)`` whose id is not in the file yet; return how many were written.

        When it returns, the lines are on the disk. Raises :class:`FixSettings` when the file cannot be opened and
        :class:`RetryLater` when it cannot be written (nothing of the batch is left behind then).
        """
        with self._lock, self._opened() as descriptor:
            end = self._catch_up(descriptor)
            fresh: dict[str, bytes] = {}
            for name, line in lines:
                if name not in self._known:
                    fresh.setdefault(name, line)
            if not fresh:
                return 0
            try:
                rest = memoryview(b"".join(fresh.values()))
                size = len(rest)
                while rest:
                    rest = rest[os.write(descriptor, rest) :]
                os.fsync(descriptor)
            except OSError as error:
                os.ftruncate(descriptor, end)
                raise RetryLater(f"the message file cannot be written ({error.strerror})") from error
            self._known.update(fresh)
            self._read_to = end + size
            return len(fresh)

    def probe(self) -> None:
        """Open and lock the file as a writer would; raises :class:`FixSettings` when that does not work."""
        with self._lock, self._opened():
            return

    @contextmanager
    def _opened(self) -> Iterator[int]:
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        try:
            descriptor = os.open(self._path, flags, 0o600)
        except OSError as error:
            raise FixSettings(REFUSED) from error
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise FixSettings(REFUSED)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield descriptor
        finally:
            os.close(descriptor)

    def _catch_up(self, descriptor: int) -> int:
        """Learn the ids that others wrote since, cut off a torn last line, and return the length of the file."""
        status = os.fstat(descriptor)
        if self._inode != (status.st_dev, status.st_ino) or status.st_size < self._read_to:
            self._inode, self._read_to, self._known = (status.st_dev, status.st_ino), 0, set()
        position, torn = self._read_to, b""
        while chunk := os.pread(descriptor, _CHUNK, position):
            position += len(chunk)
            *whole, torn = (torn + chunk).split(b"\n")
            self._known.update(filter(None, map(id_of_line, whole)))
        if torn:
            position -= len(torn)
            os.ftruncate(descriptor, position)
        self._read_to = position
        return position


@functools.lru_cache(maxsize=64)
def message_file(path: Path) -> MessageFile:
    """The file at ``path`` with what this process knows of it; forgetting one only costs reading it again."""
    return MessageFile(path)
