"""From a template and a person to the message that leaves: the only place that opens addresses and names to send."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from fairlead.clients.service import get_client
from fairlead.customers.model import Profile
from fairlead.errors import InvalidInput
from fairlead.messaging.guards import Verdicts
from fairlead.messaging.model import Message, Template
from fairlead.messaging.templates import render
from fairlead.messaging.unsubscribe import unsubscribe_url
from fairlead.plugins.contracts.channel import OutgoingMessage
from fairlead.storage.crypto import KeyProblem
from fairlead.work import Work


def compose(
    work: Work, messages: Sequence[Message], verdicts: Verdicts
) -> tuple[list[OutgoingMessage], dict[int, str]]:
    """The messages ready to leave, and by id why some cannot be written."""
    if not messages:
        return [], {}
    templates = {
        row.id: row
        for row in work.session.scalars(
            sa.select(Template).where(Template.id.in_({row.template_id for row in messages}))
        )
    }
    people = person_values(work, {row.profile_id for row in messages})
    client = get_client(work.session, work.client_id)
    outgoing, unfit = [], {}
    for message in messages:
        template = templates.get(message.template_id or 0)
        if template is None:
            unfit[message.id] = "no_template"
            continue
        link = unsubscribe_url(work, message.profile_id, message.purpose, message.channel)
        try:
            text = render(
                template,
                {
                    **people[message.profile_id],
                    "unsubscribe_url": link,
                    "client": {"name": client.name, "slug": client.slug},
                },
            )
        except InvalidInput:
            unfit[message.id] = "template_does_not_render"
            continue
        try:
            address = work.vault.open(work.client_id, "identity.value", verdicts.addresses[message.id].value)
        except KeyProblem:
            unfit[message.id] = "address_does_not_open"
            continue
        outgoing.append(
            OutgoingMessage(
                key=message.key,
                address=address,
                subject=text.subject,
                text=text.text,
                html=text.html,
                unsubscribe_url=link,
                purpose=message.purpose,
            )
        )
    return outgoing, unfit


def person_values(work: Work, profile_ids: set[int]) -> dict[int, Mapping[str, Any]]:
    """What templates may say about people, by profile."""
    rows = work.session.execute(
        sa.select(Profile.id, Profile.name, Profile.gender, Profile.region, Profile.language, Profile.attributes).where(
            Profile.id.in_(profile_ids)
        )
    )
    return {
        profile_id: {
            "profile": {
                "name": work.vault.open(work.client_id, "profile.name", name) if name else "",
                "gender": gender or "",
                "region": region or "",
                "language": language or "",
            },
            "attributes": attributes,
        }
        for profile_id, name, gender, region, language, attributes in rows
    }
