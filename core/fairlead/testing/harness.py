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


def default_node_harness(manifest: Manifest) -> NodeHarness:
    """Sample settings, and random people in the core's tables."""
    from fairlead.testing.people import core_node_harness

    return core_node_harness(sample_settings(manifest.settings))


def default_rule_harness(manifest: Manifest) -> RuleHarness:
    """Sample arguments, and random people in the core's tables, as rows and as subjects."""
    from fairlead.testing.people import core_rule_harness

    return core_rule_harness([sample_settings(manifest.settings)])
