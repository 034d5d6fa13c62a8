"""A client whose people can be written to through a channel of the test's choice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from fairlead.channels.model import ChannelAccount
from fairlead.channels.service import connect_account
from fairlead.clients.plugin_sets import set_plugin
from fairlead.clients.service import create_agency, create_client
from fairlead.customers.consent import grant
from fairlead.customers.linking import ClaimColumn, link
from fairlead.messaging.dispatch import Dispatched, dispatch
from fairlead.messaging.model import Message
from fairlead.messaging.outbox import queue_messages
from fairlead.messaging.policy import Policy, set_policy
from fairlead.messaging.templates import save_template
from fairlead.runtime import Fairlead
from fairlead.work import Work

NO_LIMITS = Policy(quiet_from=0, quiet_until=0, caps=())


@dataclass
class Post:
    """The client ``acme`` with people, an account and a template ``hello``."""

    runtime: Fairlead
    channel: Any
    account: int = 0
    people: list[int] = field(default_factory=list)
    client: str = "acme"

    def work(self) -> Any:
        """A unit of work in the client."""
        return self.runtime.work(self.client)

    def queue(self, key: str = "k", *, people: list[int] | None = None, purpose: str = "marketing") -> None:
        """One message to each person, under keys that begin with ``key``."""
        chosen = self.people if people is None else people
        with self.work() as work:
            keys = [f"{key}/{person}" for person in chosen]
            queue_messages(work, "desk", "hello", purpose, np.array(chosen), keys)

    def send(self, **more: Any) -> Dispatched:
        """Dispatch what is due."""
        with self.runtime.reading(self.client) as work:
            client_id = work.client_id
        return dispatch(self.runtime, client_id, self.account, **more)

    def reconnect(self) -> None:
        """Make the account usable again, as a person does after mending it."""
        with self.work() as work:
            account = work.session.get_one(ChannelAccount, self.account)
            account.state, account.last_error = "connected", ""

    def states(self) -> Counter[tuple[str, str]]:
        """Messages by state and reason."""
        with self.runtime.reading(self.client) as work:
            return Counter(tuple(row) for row in work.session.execute(sa.select(Message.state, Message.reason)))

    def messages(self) -> list[Message]:
        """All messages by id."""
        with self.runtime.reading(self.client) as work:
            return list(work.session.scalars(sa.select(Message).order_by(Message.id)))


def add_people(work: Work, count: int) -> list[int]:
    """People with a phone, even ones with a mail address, all consenting."""
    phones = ClaimColumn("phone", [f"+86138{at:08d}" for at in range(count)])
    mails = ClaimColumn("email", [None if at % 2 else f"p{at}@example.com" for at in range(count)])
    people = link(work, [phones, mails], "test").profile_ids.tolist()
    for person in people:
        grant(work, person, "marketing", "*", source="test", evidence={})
    return people


@pytest.fixture
def post(build_runtime: Callable[..., Fairlead]) -> Callable[..., Post]:
    """``post(channel, people=10)`` makes the client with the channel's account ``desk``."""

    def make(channel: Any, people: int = 10, policy: Policy = NO_LIMITS, **settings: Any) -> Post:
        runtime = build_runtime(channel, cache_seconds=0)
        with runtime.agency_work("test") as work:
            create_client(work, create_agency(work, "main", "Agency").id, "acme", "Acme")
        made = Post(runtime, channel)
        with made.work() as work:
            set_plugin(work, runtime.plugins, next(iter(runtime.plugins.names)), True)
        with made.work() as work:
            made.people = add_people(work, people)
            set_policy(work, policy)
            save_template(work, "hello", subject="Hi", text="Hello {{ unsubscribe_url }}")
            name = channel.manifest.name
            made.account = connect_account(work, name, "desk", settings, permission_level="write").id
        return made

    return make
