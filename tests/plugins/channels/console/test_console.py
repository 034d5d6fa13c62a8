"""The console channel writes each key once, whatever happens to the processes that write."""

from __future__ import annotations

import datetime as dt
import json
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from fairlead.plugins.contracts.channel import ChannelContext, HealthState, OutgoingMessage, SendsMessages, SendState
from fairlead.plugins.errors import FixSettings, RetryLater
from fairlead_console import fairlead_register_channels
from fairlead_console.channel import ConsoleChannel
from fairlead_console.place import REFUSED
from fairlead_console.settings import ConsoleSettings

NOW = dt.datetime(2026, 1, 5, 10, 0, tzinfo=dt.UTC)


def context_for(path: Path) -> ChannelContext:
    return ChannelContext(
        client="acme",
        account="main",
        settings=ConsoleSettings(path=path),
        http=None,
        now=lambda: NOW,
        save_settings=lambda changed: None,
    )


def messages(*keys: str) -> list[OutgoingMessage]:
    return [OutgoingMessage(key=key, address="li@example.com", text="你好\n世界") for key in keys]


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def test_the_plugin_registers_one_sending_channel() -> None:
    found: list[Any] = []
    fairlead_register_channels(found.append)
    assert [channel.manifest.name for channel in found] == ["console"]
    assert isinstance(found[0], SendsMessages)
    assert found[0].idempotent is True


def test_a_message_is_one_line_and_a_repeat_is_none(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    first = ConsoleChannel().send(context_for(path), messages("a", "b", "a"))
    again = ConsoleChannel().send(context_for(path), messages("b", "c"))
    assert [result.state for result in (*first, *again)] == [SendState.SENT] * 5
    assert [result.key for result in first] == ["a", "b", "a"]
    assert first[0].external_id == first[2].external_id != first[1].external_id
    assert again[0].external_id == first[1].external_id
    written = lines_of(path)
    assert [line["key"] for line in written] == ["a", "b", "c"]
    assert written[0] == {
        "external_id": first[0].external_id,
        "key": "a",
        "at": "2026-01-05T10:00:00+00:00",
        "client": "acme",
        "account": "main",
        "address": "li@example.com",
        "purpose": "marketing",
        "subject": "",
        "text": "你好\n世界",
        "html": "",
        "variables": {},
        "unsubscribe_url": "",
    }
    assert path.stat().st_mode & 0o777 == 0o600


def test_one_channel_object_sees_what_another_process_wrote_and_a_file_that_was_replaced(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    channel, other = ConsoleChannel(), ConsoleChannel()
    channel.send(context_for(path), messages("a"))
    other.send(context_for(path), messages("b"))
    channel.send(context_for(path), messages("a", "b", "c"))
    assert [line["key"] for line in lines_of(path)] == ["a", "b", "c"]
    path.unlink()
    channel.send(context_for(path), messages("a"))
    assert [line["key"] for line in lines_of(path)] == ["a"]


def test_a_torn_line_is_cut_and_its_message_written_again(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    ConsoleChannel().send(context_for(path), messages("a", "b"))
    whole = path.read_bytes()
    first = whole.index(b"\n") + 1
    for cut in range(first, len(whole)):
        path.write_bytes(whole[:cut])
        ConsoleChannel().send(context_for(path), messages("b"))
        assert path.read_bytes() == whole


def test_lines_of_others_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_bytes(b'not json\n[1]\n{"external_id": 5}\n\xff\xfe\n' + b"[" * 200_000 + b"\n")
    ConsoleChannel().send(context_for(path), messages("a"))
    ConsoleChannel().send(context_for(path), messages("a"))
    assert path.read_bytes().count(b"\n") == 6


def test_a_full_disk_leaves_nothing_of_the_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "out.jsonl"
    channel = ConsoleChannel()
    channel.send(context_for(path), messages("a"))
    before = path.read_bytes()
    real_write = os.write
    calls = iter([7])

    def write(descriptor: int, data: bytes) -> int:
        for size in calls:
            return real_write(descriptor, data[:size])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", write)
    with pytest.raises(RetryLater):
        channel.send(context_for(path), messages("b", "c"))
    monkeypatch.undo()
    assert path.read_bytes() == before
    channel.send(context_for(path), messages("b", "c"))
    assert [line["key"] for line in lines_of(path)] == ["a", "b", "c"]


def test_check_says_where_it_cannot_write(tmp_path: Path) -> None:
    assert ConsoleChannel().check(context_for(tmp_path / "out.jsonl")).state is HealthState.OK
    with pytest.raises(FixSettings):
        ConsoleChannel().check(context_for(tmp_path / "missing" / "out.jsonl"))
    (tmp_path / "folder.jsonl").mkdir()
    with pytest.raises(FixSettings):
        ConsoleChannel().check(context_for(tmp_path / "folder.jsonl"))


@pytest.mark.parametrize("make", [lambda at, to: at.symlink_to(to), lambda at, to: os.mkfifo(at)])
def test_links_and_pipes_are_refused(tmp_path: Path, make: Callable[[Path, Path], None]) -> None:
    victim = tmp_path / "victim"
    victim.write_text("x")
    make(tmp_path / "out.jsonl", victim)
    with pytest.raises(FixSettings):
        ConsoleChannel().send(context_for(tmp_path / "out.jsonl"), messages("a"))
    assert victim.read_text() == "x"


@pytest.fixture
def allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The operator's folder, beside folders and files that are none of a client's business."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "there.jsonl").write_text("x")
    folder = tmp_path / "allowed"
    folder.mkdir()
    (folder / "way_out").symlink_to(tmp_path / "elsewhere")
    (folder / "loop").symlink_to(folder / "loop")
    (folder / "folder.jsonl").mkdir()
    monkeypatch.setenv("FAIRLEAD_CONSOLE_FOLDER", str(folder))
    return folder


def test_a_bare_name_lies_in_the_folder_of_its_client(allowed: Path) -> None:
    ConsoleChannel().send(context_for(Path("out.jsonl")), messages("a"))
    assert [line["key"] for line in lines_of(allowed / "acme" / "out.jsonl")] == ["a"]
    assert (allowed / "acme").stat().st_mode & 0o777 == 0o700
    ConsoleChannel().send(context_for(allowed / "acme" / "out.jsonl"), messages("a", "b"))
    assert [line["key"] for line in lines_of(allowed / "acme" / "out.jsonl")] == ["a", "b"]


def test_whose_folder_it_is_is_written_once(allowed: Path) -> None:
    ConsoleChannel().check(context_for(Path("out.jsonl")))
    owner = allowed / "acme" / ".client"
    os.utime(owner, (1, 1))
    ConsoleChannel().send(context_for(Path("out.jsonl")), messages("a"))
    assert (owner.read_text(), owner.stat().st_mtime) == ("acme", 1)
    assert sorted(path.name for path in owner.parent.iterdir()) == [".client", "out.jsonl"]


def test_senders_that_start_together_do_not_refuse_each_other(allowed: Path) -> None:
    at_once = threading.Barrier(8)

    def send(worker: int) -> None:
        for turn in range(20):
            context = replace(context_for(Path("out.jsonl")), client=f"client-{turn}")
            at_once.wait()
            ConsoleChannel().send(context, messages(f"k{worker}"))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(send, range(8)))
    written = [{line["key"] for line in lines_of(path)} for path in allowed.glob("client-*/out.jsonl")]
    assert written == [{f"k{worker}" for worker in range(8)}] * 20


def test_without_a_word_of_the_operator_files_lie_under_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FAIRLEAD_CONSOLE_FOLDER")
    monkeypatch.chdir(tmp_path)
    ConsoleChannel().send(context_for(Path("out.jsonl")), messages("a"))
    assert (tmp_path / ".fairlead" / "console" / "acme" / "out.jsonl").is_file()
    assert (tmp_path / ".fairlead" / "console").stat().st_mode & 0o777 == 0o700
    with pytest.raises(FixSettings):
        ConsoleChannel().check(context_for(tmp_path / "out.jsonl"))


@pytest.mark.parametrize(
    "name",
    [
        "/etc/x.jsonl",
        "/none/x.jsonl",
        "{allowed}/../elsewhere/there.jsonl",
        "{allowed}/../elsewhere/new.jsonl",
        "{allowed}/../allowed2/new.jsonl",
        "{allowed}/way_out/there.jsonl",
        "{allowed}/way_out/new.jsonl",
        "{allowed}/loop/new.jsonl",
        "{allowed}/none/new.jsonl",
        "{allowed}/folder.jsonl",
        "{allowed}/other/private.jsonl",
        "{allowed}/other/none.jsonl",
        "../other/private.jsonl",
        "../new.jsonl",
        "../../elsewhere/there.jsonl",
        "none/new.jsonl",
        "x" * 300 + ".jsonl",
    ],
)
def test_every_other_place_is_refused_in_the_same_words(allowed: Path, name: str) -> None:
    other = replace(context_for(Path("private.jsonl")), client="other")
    ConsoleChannel().send(other, messages("theirs"))
    before = sorted(allowed.parent.rglob("*"))
    context = context_for(Path(name.format(allowed=allowed)))
    told = set()
    for call in (lambda: ConsoleChannel().check(context), lambda: ConsoleChannel().send(context, messages("a"))):
        with pytest.raises(FixSettings) as caught:
            call()
        told.add(str(caught.value))
    assert told == {REFUSED}
    made = {path.name for path in set(allowed.parent.rglob("*")) - set(before)}
    assert made <= {"acme", ".client"}
    assert (allowed.parent / "elsewhere" / "there.jsonl").read_text() == "x"
    assert [line["key"] for line in lines_of(allowed / "other" / "private.jsonl")] == ["theirs"]


@pytest.mark.parametrize("name", ["/etc/passwd", "/tmp/x.json", "", "/tmp/x.jsonl\0.txt"])
def test_other_kinds_of_files_are_not_accepted(name: str) -> None:
    with pytest.raises(ValidationError):
        ConsoleSettings.model_validate({"path": name})


WRITER = """
import datetime as dt, sys
from pathlib import Path
from fairlead.plugins.contracts.channel import ChannelContext, OutgoingMessage
from fairlead_console.channel import ConsoleChannel
from fairlead_console.settings import ConsoleSettings
context = ChannelContext("acme", "main", ConsoleSettings(path=Path(sys.argv[1])), None,
                         lambda: dt.datetime(2026, 1, 5, tzinfo=dt.UTC), lambda changed: None)
channel, count = ConsoleChannel(), int(sys.argv[2])
for start in range(0, count, 5):
    batch = [OutgoingMessage(key=f"k{n}", address="a", text="x" * 3000) for n in range(start, start + 5)]
    for result in channel.send(context, batch):
        sys.stdout.write(result.key + " " + result.external_id + "\\n")
    sys.stdout.flush()
"""


def test_killed_and_competing_writers_write_every_key_once(tmp_path: Path) -> None:
    """Two writers at a time send the same 300 keys and are killed; a last pair runs through."""
    path = tmp_path / "out.jsonl"
    command = [sys.executable, "-c", WRITER, str(path), "300"]
    seeded = random.Random(7)
    told: dict[str, str] = {}
    for _ in range(6):
        pair = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(2)]
        for process in pair:
            assert process.stdout is not None
            for _ in range(seeded.randrange(1, 40)):
                key, _, name = process.stdout.readline().decode().strip().partition(" ")
                assert told.setdefault(key, name) == name
            process.send_signal(signal.SIGKILL)
        for process in pair:
            process.communicate()
        assert {line["key"] for line in lines_of_whole(path)} >= told.keys()
    for process in [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(2)]:
        answers, _ = process.communicate(timeout=120)
        assert process.returncode == 0
        assert len(answers.splitlines()) == 300
    keys = [line["key"] for line in lines_of(path)]
    assert len(keys) == 300
    assert set(keys) == {f"k{n}" for n in range(300)}


def lines_of_whole(path: Path) -> list[dict[str, Any]]:
    """The finished lines: a killed writer may have left half of one."""
    return [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]]
