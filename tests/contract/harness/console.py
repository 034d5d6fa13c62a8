"""The console channel writes to a file; the twin is the file."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from fairlead.plugins.contracts.channel import ChannelContext
from fairlead.testing import ChannelHarness, fake_context
from fairlead_console.settings import ConsoleSettings


@contextmanager
def harness() -> Iterator[ChannelHarness]:
    """A file that takes messages, and folders and names that do not."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "messages.jsonl"
        context = fake_context(ConsoleSettings(path=file))

        def delivered() -> list[str]:
            return [json.loads(line)["key"] for line in file.read_text(encoding="utf-8").splitlines()]

        def failing() -> Iterable[tuple[str, ChannelContext]]:
            (Path(folder) / "folder.jsonl").mkdir(exist_ok=True)
            for fault, name in (("nobody answers", "gone/messages.jsonl"), ("a folder in the way", "folder.jsonl")):
                yield fault, replace(context, settings=ConsoleSettings(path=Path(folder) / name))

        yield ChannelHarness(context, delivered=delivered, failing=failing)
