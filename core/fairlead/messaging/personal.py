"""From a template and a person to the message that leaves: the only place that opens addresses and names to send.

It is done in two steps: what must be read is read with the claim, and the writing, which may take time, comes after.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from fairlead.clients.service import get_client
from fairlead.customers.model import Profile
from fairlead.errors import InvalidInput
from fairlead.messaging.guards import Verdicts
from fairlead.messaging.model import Message, Template
from fairlead.messaging.templates import render
from fairlead.messaging.unsubscribe import unsubscribe_url
from fairlead.plugins.contracts.channel import OutgoingMessage, SendResult, SendState
from fairlead.storage.crypto import KeyProblem
from fairlead.storage.types import Sealed
from fairlead.work import Work


@dataclass(frozen=True, slots=True)
class Draft:
    """All that one message is written from."""

    key: str
    purpose: str
    address: str
    link: str
    template: Template
    values: Mapping[str, Any]


def draft(work: Work, messages: Sequence[Message], verdicts: Verdicts) -> tuple[list[Draft], dict[int, str]]:
    """Read what the messages are written from, and by id why some cannot be written."""
    if not messages:
        return [], {}
    templates = {
        row.id: row
        for row in work.session.scalars(
            sa.select(Template).where(Template.id.in_({row.template_id for row in messages}))
        )
    }
    people = person_values(work, {row.profile_id for row in messages})
    found = get_client(work.session, work.client_id)
    client = {"name": found.name, "slug": found.slug}
    drafts, unfit = [], {}
    for message in messages:
        template = templates.get(message.template_id or 0)
        if template is None:
            unfit[message.id] = "no_template"
            continue
        try:
            address = work.vault.open(work.client_id, "identity.value", verdicts.addresses[message.id].value)
        except KeyProblem:
            unfit[message.id] = "address_does_not_open"
            continue
        link = unsubscribe_url(work, message.profile_id, message.purpose, message.channel)
        values = {**people[message.profile_id], "unsubscribe_url": link, "client": client}
        drafts.append(Draft(message.key, message.purpose, address, link, template, values))
    return drafts, unfit


def write(
    drafts: Sequence[Draft], is_time_up: Callable[[], bool]
) -> tuple[list[OutgoingMessage], dict[str, SendResult]]:
    """The messages ready to leave, and by key the fate of those that cannot be written or were not in time."""
    outgoing: list[OutgoingMessage] = []
    results: dict[str, SendResult] = {}
    for one in drafts:
        # The first is written in any case, or a slow machine would never send any.
        if (outgoing or results) and is_time_up():
            results[one.key] = SendResult(one.key, SendState.NOT_TRIED)
            continue
        try:
            text = render(one.template, one.values)
        except InvalidInput:
            readable = "name" in one.values["profile"]
            reason = "template_does_not_render" if readable else "name_does_not_open"
            results[one.key] = SendResult(one.key, SendState.REFUSED, reason=reason)
            continue
        outgoing.append(
            OutgoingMessage(
                key=one.key,
                address=one.address,
                subject=text.subject,
                text=text.text,
                html=text.html,
                unsubscribe_url=one.link,
                purpose=one.purpose,
            )
        )
    return outgoing, results


def person_values(work: Work, profile_ids: set[int]) -> dict[int, Mapping[str, Any]]:
    """What templates may say about people, by profile. A name that does not open is left out: using it is an error."""
    rows = work.session.execute(
        sa.select(Profile.id, Profile.name, Profile.gender, Profile.region, Profile.language, Profile.attributes).where(
            Profile.id.in_(profile_ids)
        )
    )
    return {
        profile_id: {
            "profile": {
                **_name(work, name),
                "gender": gender or "",
                "region": region or "",
                "language": language or "",
            },
            "attributes": attributes,
        }
        for profile_id, name, gender, region, language, attributes in rows
    }


def _name(work: Work, sealed: Sealed | None) -> dict[str, str]:
    try:
        return {"name": work.vault.open(work.client_id, "profile.name", sealed) if sealed else ""}
    except KeyProblem:
        return {}
