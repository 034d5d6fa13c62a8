"""Which plugins are on for a client, and with which settings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from fairlead.clients.model import ClientPlugin, PluginSettings
from fairlead.errors import NotFound, PathSegment
from fairlead.governance.audit import record
from fairlead.governance.secrets import open_object, seal_object
from fairlead.plugins.events import DomainEvent
from fairlead.plugins.manager import Plugins, PluginStatus
from fairlead.plugins.manifest import Kind, Manifest
from fairlead.plugins.registry import Registered
from fairlead.plugins.settings_schema import replace_settings, show, validate_settings
from fairlead.storage.locks import lock
from fairlead.storage.session import ScopedSession
from fairlead.work import Work

PLUGINS_CHANGED = "plugins.changed"
SECRETS = "plugin_settings.secrets"


@dataclass(frozen=True, slots=True)
class CatalogueEntry:
    """One installed plugin as a client sees it. ``missing`` marks one that is on but not installed any more."""

    name: str
    enabled: bool
    status: PluginStatus | None

    @property
    def missing(self) -> bool:
        """Whether nothing by this name is installed here."""
        return self.status is None


def enabled_plugins(session: ScopedSession) -> frozenset[str]:
    """Entry names of the plugins that are switched on for the session's client, installed or not."""
    return frozenset(session.scalars(sa.select(ClientPlugin.plugin).where(ClientPlugin.enabled.is_(True))))


def catalogue(work: Work, plugins: Plugins) -> list[CatalogueEntry]:
    """Every installed plugin and every one that is on, by name."""
    work.actor.require("plugins:read", work.client_id)
    enabled = enabled_plugins(work.session)
    statuses = {status.name: status for status in plugins.statuses()}
    return [CatalogueEntry(name, name in enabled, statuses.get(name)) for name in sorted(statuses.keys() | enabled)]


def set_plugin(work: Work, plugins: Plugins, name: str, enabled: bool) -> bool:
    """Switch a plugin on or off; says whether that changed anything. It holds from the next unit of work on.

    Its settings stay when it goes off. Raises ``NotFound`` for switching on what is not loaded here; what is gone can
    still be switched off.
    """
    work.actor.require("plugins:write", work.client_id)
    if enabled and name not in plugins.names:
        status = next((status for status in plugins.statuses() if status.name == name), None)
        if status is None:
            raise NotFound("there is no such plugin", path=("plugin",), next_step="ask for the catalogue of plugins")
        raise NotFound(
            f"the plugin is {status.state} on this installation",
            path=("plugin",),
            next_step="ask the operator of the server; `fairlead plugin list` says why",
        )
    lock(work.session, f"plugins/{work.client_id}")
    row = work.session.get(ClientPlugin, (work.client_id, name))
    if row is None and not enabled:
        return False
    before = row is not None and row.enabled
    if before == enabled:
        return False
    if row is None:
        row = ClientPlugin(plugin=name, enabled=enabled, changed_at=work.now)
        work.session.add(row)
    row.enabled, row.changed_at = enabled, work.now
    record(work, "plugin.switched", "plugin", name, {"enabled": before}, {"enabled": enabled})
    key = f"{PLUGINS_CHANGED}/{work.client_id}/{name}/{work.now.timestamp():.3f}"
    data = {"plugin": name, "enabled": enabled}
    work.events.append(DomainEvent(key, PLUGINS_CHANGED, work.client_id, work.now, f"plugin:{name}", data))
    return True


# -- settings -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SettingsForm:
    """The settings of one thing. Only ``shown`` may leave the program: ``secrets`` is in clear."""

    manifest: Manifest
    shown: dict[str, Any]
    public: dict[str, Any] = field(repr=False)
    secrets: dict[str, Any] = field(repr=False)


def forms_of(work: Work, things: Iterable[Registered[Any]]) -> dict[tuple[Kind, str], SettingsForm]:
    """The settings of many things by kind and name, in one statement; those never filled in are empty."""
    work.actor.require("plugins:read", work.client_id)
    things = list(things)
    rows = {(row.kind, row.name): row for row in work.session.scalars(sa.select(PluginSettings))} if things else {}
    forms: dict[tuple[Kind, str], SettingsForm] = {}
    for thing in things:
        row = rows.get((thing.kind.value, thing.name))
        public, secrets = ({}, {}) if row is None else _opened(work, thing.kind, thing.name, row)
        shown = show(thing.manifest.settings, public, secrets)
        forms[thing.kind, thing.name] = SettingsForm(thing.manifest, shown, public, secrets)
    return forms


def set_settings(work: Work, kind: Kind, name: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """Replace the settings by a filled form and return them as shown.

    A secret that is left out stays, unless an address changes. Raises ``Refusals`` that name each bad field under
    ``settings``, and ``PluginOff`` for what is off.
    """
    work.actor.require("plugins:write", work.client_id)
    manifest = work.plugins.find(kind, name).manifest
    lock(work.session, f"plugin settings/{work.client_id}")
    row = work.session.get(PluginSettings, (work.client_id, str(kind), name))
    old_public, old_secrets = _stored(work, kind, name)
    public, secrets = replace_settings(manifest.settings, old_public, old_secrets, data, path=("settings",))
    validate_settings(manifest, public, secrets, path=("settings",))
    if row is None:
        row = PluginSettings(kind=str(kind), name=name, public=public, changed_at=work.now)
        work.session.add(row)
    row.public, row.changed_at = public, work.now
    row.secrets = seal_object(work.vault, work.client_id, SECRETS, _row(kind, name), secrets)
    record(work, "plugin.settings_changed", str(kind), name, *_difference(old_public, public, old_secrets != secrets))
    return show(manifest.settings, public, secrets)


def settings_of(
    work: Work,
    kind: Kind,
    name: str,
    given: Mapping[str, Any] | None = None,
    *,
    path: tuple[PathSegment, ...] = ("settings",),
) -> Any:
    """An instance of the thing's settings model, of what is ``given`` or else of what is saved for the client.

    Secrets are readable in it: it is for calling the plugin, never for showing. Raises ``PluginOff`` for what is off
    and ``Refusals``, each with its path below ``path``, for what does not fit or was never filled in.
    """
    manifest: Manifest = work.plugins.find(kind, name).manifest
    public, secrets = _stored(work, kind, name) if given is None else (given, {})
    return validate_settings(manifest, public, secrets, path=path)


def _stored(work: Work, kind: Kind, name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    row = work.session.get(PluginSettings, (work.client_id, str(kind), name))
    return ({}, {}) if row is None else _opened(work, kind, name, row)


def _opened(work: Work, kind: Kind, name: str, row: PluginSettings) -> tuple[dict[str, Any], dict[str, Any]]:
    return dict(row.public), open_object(work.vault, work.client_id, SECRETS, _row(kind, name), row.secrets)


def _row(kind: Kind, name: str) -> str:
    return f"{kind.value}/{name}"


def _difference(
    before: Mapping[str, Any], after: Mapping[str, Any], secrets_changed: bool
) -> tuple[dict[str, Any], dict[str, Any]]:
    names = [name for name in sorted(before.keys() | after.keys()) if before.get(name) != after.get(name)]
    old = {name: before[name] for name in names if name in before}
    new: dict[str, Any] = {name: after[name] for name in names if name in after}
    # The name avoids the redaction of everything called a secret: that they changed is worth knowing.
    return old, {**new, "sealed_part_changed": True} if secrets_changed else new
