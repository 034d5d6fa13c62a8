"""What the contract kit needs to exercise the console channel."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from fairlead.plugins.contracts.channel import ChannelContext
from fairlead.testing import ChannelHarness, fake_context
from fairlead_console.settings import ConsoleSettings


@contextmanager
def harness() -> Iterator[ChannelHarness]:
    """A file of its own for each check; the faults are places where no file can be written."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "out.jsonl"
        (folder / "taken.jsonl").mkdir()
        (folder / "link.jsonl").symlink_to(folder / "elsewhere")
        context = fake_context(ConsoleSettings(path=path))

        def delivered() -> list[str]:
            lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
            return [json.loads(line)["key"] for line in lines]

        def failing() -> list[tuple[str, ChannelContext]]:
            places = {
                "no folder": folder / "none" / "out.jsonl",
                "a folder in its place": folder / "taken.jsonl",
                "a link in its place": folder / "link.jsonl",
            }
            return [(why, replace(context, settings=ConsoleSettings(path=at))) for why, at in places.items()]

        yield ChannelHarness(context, delivered=delivered, failing=failing)
