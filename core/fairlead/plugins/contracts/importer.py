"""What an importer and a content rule implement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from fairlead.plugins.manifest import Manifest


@runtime_checkable
class Importer(Protocol):
    """Knows one export format: proposes a mapping from its column names to the fields of a fact.

    ``fact`` says what a row is: ``events``, ``touches``, ``orders``, ``refunds``, ``profiles`` or ``consents``. The
    fields are those of that fact's mapping in :mod:`fairlead.customers.mapping` that take a column. It is asked when a
    file is imported without a mapping; the name of the importer becomes source and channel of the facts.
    """

    manifest: Manifest
    fact: str

    def propose(self, header: Sequence[str]) -> Mapping[str, str] | None:
        """Field by column name for a header it recognises, ``None`` for any other.

        The names in ``header`` are trimmed, with single blanks inside and without a byte-order mark.
        """
        ...


@dataclass(frozen=True, slots=True)
class Finding:
    """One place in a text that a rule objects to; ``start`` and ``end`` count characters.

    ``severity`` is ``error``, which refuses the text, or ``warning`` or ``info``, which are shown.
    """

    start: int
    end: int
    severity: str
    message: str
    suggestion: str = ""


@runtime_checkable
class ContentRule(Protocol):
    """Checks a text before it is sent or published."""

    manifest: Manifest

    def check(self, text: str, channel: str, settings: Any) -> Sequence[Finding]:
        """What is wrong with ``text`` for ``channel``; empty when nothing is.

        It is called when a template is saved, for each part of it as it was written (Liquid). ``channel`` is ``""``
        where the text may go through any.
        """
        ...
