"""Sending notices in the background: one run per event and notifier, repeated by the error ladder."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from fairlead.clients.plugin_sets import forms_of
from fairlead.engine.port import Engine, Retry
from fairlead.notices.wording import NOTICED, notice_of
from fairlead.plugins.contracts.channel import ChannelContext
from fairlead.plugins.events import DomainEvent
from fairlead.plugins.manifest import Kind
from fairlead.plugins.settings_schema import validate_settings
from fairlead.work import Work

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fairlead.runtime import Fairlead

NOTIFY = "notices.notify"
QUEUE = "notices"


def register(runtime: Fairlead, engine: Engine) -> None:
    """Make the workflow known, and let the runtime's events reach it."""
    engine.register(NOTIFY, lambda payload: notify(runtime, payload), Retry(attempts=6, first=5.0, longest=120.0))
    runtime.listeners.append(lambda event: enqueue_notices(runtime, engine, event))


def enqueue_notices(runtime: Fairlead, engine: Engine, event: DomainEvent) -> int:
    """One run per notifier that is on for the client and has its settings; the answer is how many."""
    if event.type not in NOTICED:
        return 0
    with runtime.reading(event.client_id) as work:
        names = configured_notifiers(work)
    payload = {
        "client_id": event.client_id,
        "key": event.key,
        "type": event.type,
        "at": event.at.isoformat(),
        "subject": event.subject,
        "data": dict(event.data),
    }
    for name in names:
        engine.enqueue(
            NOTIFY,
            {**payload, "notifier": name},
            key=f"{NOTIFY}/{name}/{event.key}",
            queue=QUEUE,
            partition=f"{event.client_id}/{name}",
        )
    return len(names)


def configured_notifiers(work: Work) -> list[str]:
    """Names of the client's notifiers whose settings were filled in."""
    forms = forms_of(work, work.plugins.notifiers.values())
    return sorted(name for (_, name), form in forms.items() if form.public or form.secrets)


def notify(runtime: Fairlead, payload: dict[str, Any]) -> None:
    """Tell one notifier. Its errors of the ladder decide whether the engine tries again."""
    event = DomainEvent(
        payload["key"],
        payload["type"],
        payload["client_id"],
        dt.datetime.fromisoformat(payload["at"]),
        payload["subject"],
        payload["data"],
    )
    client = runtime.client(event.client_id)
    with runtime.reading(client.id) as work:
        entry = work.plugins.notifier(payload["notifier"])
        form = forms_of(work, [entry])[Kind.NOTIFIER, entry.name]
        settings = validate_settings(entry.manifest, form.public, form.secrets)
    context = ChannelContext(
        client=client.slug,
        account=entry.name,
        settings=settings,
        http=runtime.http,
        now=runtime.clock,
        save_settings=_no_saving,
    )
    entry.thing.notify(context, notice_of(event, client.slug))


def _no_saving(_changes: Mapping[str, Any]) -> None:
    raise TypeError("a notifier has no settings of its own to save")
