"""Plugins from memory, and the settings of a client in one statement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from strawberry.scalars import JSON

from fairlead.clients.plugin_sets import CatalogueEntry, catalogue, forms_of
from fairlead.errors import DomainError
from fairlead.plugins.manager import Plugins, PluginStatus
from fairlead.plugins.manifest import Kind
from fairlead.plugins.quality import BadQuality, read_quality
from fairlead.plugins.registry import Registered
from fairlead.plugins.settings_schema import validate_settings
from fairlead.work import Work
from fairlead_graphql.mutation import UserError, user_errors
from fairlead_graphql.plugins import types
from fairlead_graphql.scalars import Title
from fairlead_graphql.selection import Selection


def plugin_of(plugins: Plugins, status: PluginStatus) -> types.Plugin:
    """An installed plugin as operators see it."""
    return types.Plugin(
        name=status.name,
        distribution=status.distribution,
        version=status.version,
        state=status.state,
        error=status.reason or None,
        hooks=sorted(status.hooks),
        things=things_of(plugins, status),
    )


def things_of(plugins: Plugins, status: PluginStatus) -> list[types.PluginThing]:
    """What a plugin offers."""
    return [thing_of(plugins, entry) for entry in status.things]


def thing_of(plugins: Plugins, entry: Registered[Any]) -> types.PluginThing:
    """A registered thing by its manifest."""
    manifest = entry.manifest
    try:
        quality = read_quality(plugins.module(entry.plugin), manifest)
    except BadQuality:
        quality = manifest.quality
    return types.PluginThing(
        model=manifest.settings,
        kind=types.PluginKind(manifest.kind.value),
        name=manifest.name,
        version=manifest.version,
        title=Title(zh=manifest.title.zh, en=manifest.title.en),
        description=Title(zh=manifest.description.zh, en=manifest.description.en),
        capabilities=sorted(capability.value for capability in manifest.capabilities),
        quality=[types.QualityRule(rule=rule, state=state) for rule, state in sorted(quality.rules.items())],
        region=manifest.region,
        docs=manifest.docs,
    )


def client_plugins(
    work: Work, plugins: Plugins, wanted: Selection, only: str | None = None
) -> list[types.ClientPlugin]:
    """The plugins of the client of ``work``, or one of them; settings are read only when ``wanted`` asks for them."""
    entries = [entry for entry in catalogue(work, plugins) if only in (None, entry.name)]
    asked = wanted.below("things")
    forms = _forms(work, entries) if "settings" in asked or "problems" in asked else {}
    return [_client_plugin(plugins, entry, forms) for entry in entries]


def client_thing(work: Work, plugins: Plugins, kind: Kind, name: str) -> types.ClientThing:
    """One thing that is on for the client, with its settings."""
    entry = work.plugins.find(kind, name)
    return _client_thing(plugins, entry, _read(work, [entry]))


Forms = dict[tuple[Kind, str], tuple[dict[str, Any], list[UserError]]]


def _forms(work: Work, entries: Sequence[CatalogueEntry]) -> Forms:
    on = [thing for entry in entries if entry.enabled and entry.status for thing in entry.status.things]
    return _read(work, [thing for thing in on if thing.kind is not Kind.CHANNEL])


def _read(work: Work, things: Sequence[Registered[Any]]) -> Forms:
    forms: Forms = {}
    for (kind, name), form in forms_of(work, things).items():
        try:
            validate_settings(form.manifest, form.public, form.secrets, path=("settings",))
        except DomainError as error:
            forms[kind, name] = (form.shown, user_errors(error))
        else:
            forms[kind, name] = (form.shown, [])
    return forms


def _client_plugin(plugins: Plugins, entry: CatalogueEntry, forms: Forms) -> types.ClientPlugin:
    status = entry.status
    return types.ClientPlugin(
        name=entry.name,
        enabled=entry.enabled,
        installed=status is not None,
        version=status.version if status is not None else "",
        state=status.state if status is not None else "missing",
        things=[_client_thing(plugins, thing, forms) for thing in status.things] if status is not None else [],
    )


def _client_thing(plugins: Plugins, entry: Registered[Any], forms: Forms) -> types.ClientThing:
    settings, problems = forms.get((entry.kind, entry.name), (None, []))
    shown = None if settings is None else JSON(settings)
    return types.ClientThing(thing=thing_of(plugins, entry), settings=shown, problems=problems)
