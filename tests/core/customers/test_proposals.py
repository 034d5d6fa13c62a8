"""Importers are asked in order who knows a file's columns; what they propose is held to the fact's mapping."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from fairlead.clients.plugin_sets import set_plugin
from fairlead.customers.imports import import_file
from fairlead.customers.mapping import ConsentMapping, EventMapping
from fairlead.customers.proposals import mapping_of
from fairlead.errors import InvalidInput
from fairlead.plugins import Kind, Manifest, Title, hookimpl
from fairlead.plugins.errors import Abort
from fairlead.runtime import Fairlead


class Knows:
    """Proposes what it is told, or raises it."""

    fact = "events"

    def __init__(self, name: str, proposal: Any) -> None:
        self.manifest = Manifest(
            name=name, kind=Kind.IMPORTER, version="1.0", title=Title("测", name), description=Title("测", name)
        )
        self.proposal = proposal
        self.asked: list[tuple[str, ...]] = []

    def propose(self, header: Sequence[str]) -> Mapping[str, str] | None:
        self.asked.append(tuple(header))
        if isinstance(self.proposal, Exception):
            raise self.proposal
        return self.proposal  # type: ignore[no-any-return]


class Importers:
    name = "importers"

    def __init__(self, *importers: Knows) -> None:
        self.importers = importers

    @hookimpl
    def fairlead_register_importers(self, register: Callable[[Any], None]) -> None:
        for importer in self.importers:
            register(importer)


EVENTS = {"what": "type", "when": "at"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "visits.csv"
    path.write_text("\ufeff what ,when\nvisit,2026-01-05T09:00:00+08:00\n", "utf-8")
    return path


@pytest.fixture
def take(build_runtime: Callable[..., Fairlead], agency: Any, file: Path) -> Callable[..., Any]:
    def take(*importers: Knows) -> Any:
        runtime = build_runtime(Importers(*importers))
        runtime.run(agency.acme, lambda work: set_plugin(work, runtime.plugins, "importers", True))
        return import_file(runtime, "acme", file)

    return take


def test_the_first_by_name_that_recognises_the_header_wins(take: Callable[..., Any]) -> None:
    not_mine, mine, late = Knows("a_none", None), Knows("b_mine", EVENTS), Knows("c_late", EVENTS)
    summary = take(late, not_mine, mine)
    assert (summary.importer, summary.read, summary.accepted) == ("b_mine", 1, 1)
    assert not_mine.asked == mine.asked == [("what", "when")]
    assert late.asked == []


def test_a_header_that_nobody_knows_is_refused_with_the_next_step(take: Callable[..., Any]) -> None:
    with pytest.raises(InvalidInput, match="none of a_none, b_none recognises") as refused:
        take(Knows("a_none", None), Knows("b_none", None))
    assert refused.value.path == ("mapping",)
    assert refused.value.next_step


@pytest.mark.parametrize(
    ("proposal", "says"),
    [
        (KeyError("what"), "'odd' failed with KeyError"),
        ([("what", "type")], "proposed no mapping but a list"),
        ({"what": "type"}, "is no mapping of events: see at"),
        ({**EVENTS, "x": "colour"}, "see colour"),
        ({**EVENTS, "x": "identities"}, "see identities"),
    ],
)
def test_an_importer_that_breaks_its_contract_is_named(take: Callable[..., Any], proposal: Any, says: str) -> None:
    with pytest.raises(Abort, match=says):
        take(Knows("odd", proposal))


def test_a_proposal_becomes_the_mapping_of_its_fact() -> None:
    events = mapping_of("till", "events", {"what": "type", "when": "at", "where": "channel"})
    assert isinstance(events, EventMapping)
    assert (events.source, events.type.column, events.channel.column, events.at) == ("till", "what", "where", "when")
    consents = mapping_of("till", "consents", {"for": "purpose", "is": "state", "since": "at"})
    assert isinstance(consents, ConsentMapping)
    assert (consents.purpose.column, consents.channel.constant) == ("for", "till")
    with pytest.raises(Abort, match="for 'boats', which is none of"):
        mapping_of("till", "boats", {})
