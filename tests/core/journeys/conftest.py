"""A client with people who can be reached, a console account, and a journey to send them through."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fairlead_console
from fairlead.audiences.segments import create_segment, refresh_segment
from fairlead.channels.service import connect_account
from fairlead.clients.plugin_sets import set_plugin
from fairlead.clients.service import create_agency, create_client
from fairlead.customers.consent import grant
from fairlead.customers.linking import ClaimColumn, link
from fairlead.journeys.advance import advance
from fairlead.journeys.service import activate_journey, create_journey
from fairlead.messaging.dispatch import dispatch
from fairlead.messaging.templates import save_template
from fairlead.messaging.workflows import due_accounts
from fairlead.runtime import Fairlead

GRAPH: dict[str, Any] = {
    "nodes": [
        {"id": "start", "kind": "trigger_segment", "settings": {"segment": "everybody"}},
        {"id": "think", "kind": "wait", "settings": {"hours": 1}},
        {"id": "mail", "kind": "condition", "settings": {"rule": {"identity": {"kind": "email"}}}},
        {"id": "hello", "kind": "send", "settings": {"account": "desk", "template": "hello"}},
        {
            "id": "bought",
            "kind": "goal",
            "settings": {"rule": {"attribute": {"name": "bought", "op": "eq", "value": True}}, "days": 1},
        },
        {"id": "end", "kind": "exit"},
    ],
    "edges": [
        {"source": "start", "target": "think"},
        {"source": "think", "target": "mail"},
        {"source": "mail", "outlet": "yes", "target": "hello"},
        {"source": "mail", "outlet": "no", "target": "end"},
        {"source": "hello", "target": "bought"},
        {"source": "bought", "outlet": "reached", "target": "end"},
        {"source": "bought", "outlet": "missed", "target": "end"},
    ],
}


@dataclass
class Shop:
    """A client on a runtime, and what was delivered to its console."""

    runtime: Fairlead
    client: str
    client_id: int
    file: Path
    people: list[int]

    def delivered(self) -> list[dict[str, Any]]:
        """The console's lines."""
        return [json.loads(line) for line in self.file.read_text("utf-8").splitlines()] if self.file.exists() else []

    def send(self) -> Any:
        """Dispatch what is due through every account; the last answer."""
        done = None
        for account in due_accounts(self.runtime, self.client_id):
            done = dispatch(self.runtime, self.client_id, account)
        return done

    def advance(self) -> int:
        """Move people."""
        return advance(self.runtime, self.client)


def make_shop(runtime: Fairlead, folder: Path, people: int, *, graph: dict[str, Any] | None = None) -> Shop:
    """The client ``acme`` with ``people`` people: all have a member id, even ones a mail address, all consented."""
    client = "acme"
    with runtime.work(client) as work:
        for name in runtime.plugins.names:
            set_plugin(work, runtime.plugins, name, True)
    file = folder / "desk.jsonl"
    with runtime.work(client) as work:
        members = ClaimColumn("member", [f"m{number}" for number in range(people)])
        mails = ClaimColumn(
            "email", [f"p{number}@example.com" if number % 2 == 0 else None for number in range(people)]
        )
        linked = link(work, [members, mails], "test")
        profiles = linked.profile_ids.tolist()
        for profile in profiles:
            grant(work, profile, "marketing", "*", source="test", evidence={})
        segment = create_segment(work, "everybody", "Everybody", {"identity": {"kind": "member"}})
        refresh_segment(work, segment.id)
        save_template(work, "hello", subject="Hi", text="Hello {{ profile.name }} {{ unsubscribe_url }}")
        connect_account(work, "console", "desk", {"path": str(file)}, permission_level="write")
        journey = create_journey(work, "hello", "Hello", graph or GRAPH)
        activate_journey(work, journey.id)
        client_id = work.client_id
    assert len(np.unique(profiles)) == people
    return Shop(runtime, client, client_id, file, profiles)


@pytest.fixture
def shop(build_runtime: Callable[..., Fairlead], tmp_path: Path) -> Callable[..., Shop]:
    """``shop(people)`` makes the client with that many people; ``plugins`` are on beside the console."""

    def make(people: int, *, plugins: Sequence[object] = (), **more: Any) -> Shop:
        runtime = build_runtime(fairlead_console, *plugins, cache_seconds=0)
        with runtime.agency_work("test") as work:
            create_client(work, create_agency(work, "main", "Agency").id, "acme", "Acme")
        return make_shop(runtime, tmp_path, people, **more)

    return make
