"""What the content rules of plugins say about a template."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from fairlead.clients.plugin_sets import settings_of
from fairlead.errors import Conflict, InvalidInput, Refusals
from fairlead.plugins.contracts.importer import Finding
from fairlead.plugins.manifest import Kind
from fairlead.work import Work

ERROR = "error"
MOST = 100
# What is never closed ends with the text, as browsers take it; so no text is looked at more than once.
_MARKUP = re.compile(
    r"<(style|script)\b.*?(?:</\1\s*>|\Z)|<!--.*?(?:-->|\Z)|</?[a-z!][^<>]*>", re.IGNORECASE | re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Remark:
    """What ``rule`` found in one field of a template; the finding's offsets count characters of the field's source."""

    rule: str
    field: str
    finding: Finding


def remarks_on(work: Work, fields: Mapping[str, str]) -> list[Remark]:
    """Everything that the content rules that are on for the client find in ``fields`` (Liquid by field), by rule.

    A template may go through any channel, so rules are asked with the channel ``""``. Of HTML they see the text, at its
    place. Raises :class:`Conflict` when a rule lacks its settings or fails: what was not checked is not taken for good.
    """
    remarks: list[Remark] = []
    for name in sorted(work.plugins.content_rules):
        entry = work.plugins.content_rule(name)
        try:
            settings = settings_of(work, Kind.CONTENT_RULE, name)
        except Refusals:
            raise Conflict(
                f"the content rule {name!r} is on, but its settings are not acceptable",
                next_step="fill in its settings, or switch its plugin off",
            ) from None
        for field, source in fields.items():
            text = _MARKUP.sub(lambda tag: " " * len(tag.group()), source) if field == "html" else source
            try:
                findings = entry.thing.check(text, "", settings) if text else ()
                remarks.extend(Remark(name, field, _known(finding)) for finding in findings)
            except Exception as error:
                raise Conflict(
                    f"the content rule {name!r} failed with {type(error).__name__}",
                    path=(field,),
                    next_step="switch its plugin off, and tell its author",
                ) from error
    return remarks


def refuse_forbidden(work: Work, fields: Mapping[str, str]) -> None:
    """Raise :class:`Refusals` with the field of each thing that the client's content rules call an error."""
    remarks = [remark for remark in remarks_on(work, fields) if remark.finding.severity == ERROR]
    if remarks:
        raise Refusals(
            InvalidInput(
                f"{remark.rule}: {remark.finding.message} (characters {remark.finding.start} to {remark.finding.end})",
                path=(remark.field,),
                next_step=remark.finding.suggestion,
            )
            for remark in remarks[:MOST]
        )


def _known(finding: object) -> Finding:
    if not isinstance(finding, Finding):
        raise TypeError(type(finding).__name__)
    return finding
