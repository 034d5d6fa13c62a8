"""What a plugin's author hands to the contract kit so that it can exercise the plugin without an account.

A harness function takes nothing and returns one of these, or a context manager that yields one (for a twin that is a
server). It is called anew for each check, so that no check sees what another left behind.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from fairlead.plugins.contracts.channel import ChannelContext, InboundRequest, OutgoingMessage, Window
from fairlead.plugins.contracts.rule_operator import RuleSubject
from fairlead.plugins.manifest import Manifest
from fairlead.testing.fakes import START, fake_context
from fairlead.testing.samples import sample_settings


def sample_messages(addresses: Sequence[str] = ("a@example.com", "b@example.com", "c@example.com")) -> Sequence[Any]:
    """One message per address, with keys of the shape the core uses."""
    return [
        OutgoingMessage(
            key=f"kit-{number}",
            address=address,
            subject="新品上架 New arrivals",
            text="您好，夏季新品已上架。拒收请回复R",
            html="<p>您好，夏季新品已上架。</p>",
            variables={"name": "顾客", "code": "1234"},
            unsubscribe_url="https://shop.example/u/1",
        )
        for number, address in enumerate(addresses, start=1)
    ]


@dataclass(slots=True)
class ChannelHarness:
    """An account at the twin of the platform, for channels and notifiers.

    ``context`` reaches the twin. ``messages`` are ones the twin accepts. ``delivered`` lists the keys the twin took,
    with repeats. ``window`` holds orders at the twin. ``genuine`` is a request signed as the platform signs it, and
    ``signs_body`` says whether that signature covers the body. ``failing`` gives contexts on which the far side fails,
    by description; without it the kit breaks ``context.http`` in every way it knows. A description that is one of the
    kit's own faults (``nobody answers``, ``the answer is lost``, …) is judged as that fault is.
    """

    context: ChannelContext
    messages: Sequence[OutgoingMessage] = field(default_factory=sample_messages)
    delivered: Callable[[], Sequence[str]] | None = None
    window: Window = field(default_factory=lambda: Window(START - dt.timedelta(days=1), START))
    genuine: InboundRequest | None = None
    signs_body: bool = True
    failing: Callable[[], Iterable[tuple[str, ChannelContext]]] | None = None


@dataclass(slots=True)
class NodeHarness:
    """A database on which a journey node can run, and the settings to run it with.

    ``session`` is on whatever tables the node reads. ``profile_ids`` are people who exist there. ``work`` is the unit
    of work that a node which compiles itself to SQL is given.
    """

    settings: Any
    session: Session
    profile_ids: Sequence[int] = tuple(range(1, 201))
    client_id: int = 1
    work: Any = None


@dataclass(slots=True)
class RuleHarness:
    """People twice: as rows and as subjects, so that SQL and memory can be compared.

    ``profile_id`` is the column of a table that ``session`` can read, and ``subjects`` describes exactly its people.
    """

    arguments: Sequence[Any]
    session: Session
    profile_id: sa.ColumnElement[int]
    subjects: Sequence[RuleSubject]
    client_id: int = 1
    now: dt.datetime = START


@dataclass(slots=True)
class ImporterHarness:
    """A header the importer recognises, as the platform exports it."""

    header: Sequence[str]


@dataclass(slots=True)
class ContentHarness:
    """Texts with the least number of findings each must have for ``channel``."""

    texts: Mapping[str, int]
    channel: str = "sms"
    settings: Any = None


def default_channel_harness(manifest: Manifest) -> ChannelHarness:
    """Sample settings and an HTTP side that answers 200 ``{}``: enough for a channel that needs no platform."""
    return ChannelHarness(fake_context(sample_settings(manifest.settings)))


def scratch_session() -> Session:
    """A session on an empty SQLite database in memory."""
    return Session(sa.create_engine("sqlite://"))


def default_node_harness(manifest: Manifest) -> NodeHarness:
    """Sample settings and an empty database: enough for a node that reads no table."""
    return NodeHarness(sample_settings(manifest.settings), scratch_session())


def default_rule_harness(manifest: Manifest) -> RuleHarness:
    """200 people with nothing but an id: enough for an operator that reads no table."""
    session = scratch_session()
    people = sa.Table("people", sa.MetaData(), sa.Column("profile_id", sa.BigInteger, primary_key=True))
    people.create(session.connection())
    session.execute(people.insert(), [{"profile_id": number} for number in range(1, 201)])
    subjects = [
        RuleSubject(number, {}, (), frozenset(), {}, frozenset(), frozenset(), START) for number in range(1, 201)
    ]
    return RuleHarness([sample_settings(manifest.settings)], session, people.c.profile_id, subjects)
