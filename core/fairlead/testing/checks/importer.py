"""What an importer promises."""

from __future__ import annotations

import random

from fairlead.customers.proposals import mapping_of
from fairlead.plugins.errors import PluginError
from fairlead.plugins.manifest import Manifest
from fairlead.testing.harness import ImporterHarness
from fairlead.testing.subject import CheckList, Subject, broken, require

CHECKS = CheckList()

STRANGE: tuple[list[str], ...] = (
    [],
    [""],
    ["a", "b", "c"],
    ["id", "id"],
    ["\ufeffid", "name "],
    ["列" * 500],
    ["date", "spend", "clicks", "\u0000"],
)


def _none(manifest: Manifest) -> ImporterHarness:
    broken(f"give the kit a header that {manifest.name!r} recognises: contract_tests(..., harness=...)")


@CHECKS.add()
def a_strange_header_is_left_alone(subject: Subject) -> None:
    """propose() returns None for a header it does not know, and never raises."""
    for header in STRANGE:
        shown = [name[:12] for name in header]
        try:
            proposal = subject.thing.propose(header)
        except Exception as error:  # noqa: BLE001 - a stranger's code; the sentence names what came
            broken(f"propose({shown!r}) raised {type(error).__name__}; return None for what you do not know")
        require(proposal is None, f"propose({shown!r}) claims to know that header: {proposal!r}")


@CHECKS.add(twin=True)
def a_known_header_is_mapped(subject: Subject) -> None:
    """propose() maps columns that exist to one field each, the same in any order of the columns."""
    with subject.open(ImporterHarness, _none) as harness:
        header = list(harness.header)
    proposal = subject.thing.propose(header)
    require(proposal, "propose() does not recognise the header of its own harness")
    unknown = sorted(set(proposal) - set(header))
    require(not unknown, f"propose() maps {unknown}, which the header does not have")
    require(all(isinstance(field, str) and field for field in proposal.values()), "propose() maps a column to no field")
    fields = list(proposal.values())
    double = sorted({field for field in fields if fields.count(field) > 1})
    require(not double, f"propose() maps two columns to {double}")
    try:
        mapping_of(subject.manifest.name, subject.thing.fact, proposal)
    except PluginError as error:
        broken(error.message)
    mixed = header[:]
    random.Random(1).shuffle(mixed)  # noqa: S311 - a test's order, not a secret
    require(subject.thing.propose(mixed) == proposal, "propose() depends on the order of the columns")
