"""Letting one plugin in: import it, hold it against the hook specs, and collect all that it registers.

Each plugin is asked through a pluggy manager of its own. So an exception, a misspelt hook or a wrong argument has
exactly one owner, and what a failing plugin registered before it failed is simply dropped.
"""

from __future__ import annotations

import difflib
import inspect
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pluggy

from fairlead.plugins import hookspecs
from fairlead.plugins.discovery import PluginSource
from fairlead.plugins.extensions import GraphQLRegistry, MigrationSource
from fairlead.plugins.manifest import Kind
from fairlead.plugins.registry import KINDS, NotAPlugin, verify

EVENT_HOOK = "fairlead_on_event"


class BadHook(Exception):
    """A plugin implements a hook that does not exist, or forgot ``@hookimpl``."""


@dataclass(slots=True)
class Admitted:
    """Everything one plugin registered, still without an owner."""

    plugin: object
    hooks: tuple[str, ...]
    graphql: GraphQLRegistry
    things: list[Any] = field(default_factory=list)
    migrations: list[MigrationSource] = field(default_factory=list)


def new_manager(trace: bool = False) -> pluggy.PluginManager:
    """A pluggy manager with the core's hook specs; ``trace`` writes each call and its implementations to stderr."""
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    if trace:
        manager.add_hookcall_monitoring(_before, _after)
    return manager


def admit(source: PluginSource, *, trace: bool = False) -> Admitted:
    """Load ``source`` and return what it registers. Whatever the plugin raises comes out as it is."""
    plugin = source.load()
    hash(plugin)  # pluggy keeps plugins in sets, and would fail for all of them later
    manager = new_manager(trace)
    _refuse_unmarked(manager, plugin)
    manager.register(plugin, name=source.name)
    _refuse_unknown(manager, plugin)
    callers = manager.get_hookcallers(plugin) or []
    admitted = Admitted(plugin, tuple(sorted(caller.name for caller in callers)), GraphQLRegistry(source.name))
    if not admitted.hooks:
        raise BadHook(f"no function of {_label(plugin)} is marked with @hookimpl, so it adds nothing")
    for kind, spec in KINDS.items():
        getattr(manager.hook, spec.hook)(register=partial(_collect, admitted.things, kind))
    manager.hook.fairlead_register_migrations(register=partial(_collect_migration, admitted.migrations))
    manager.hook.fairlead_graphql(register=admitted.graphql)
    return admitted


def _collect(things: list[Any], kind: Kind, thing: object) -> None:
    verify(kind, thing)
    name = thing.manifest.name  # type: ignore[attr-defined]
    if any(other.manifest.kind is kind and other.manifest.name == name for other in things):
        raise NotAPlugin(f"the {kind.value} {name!r} is registered twice by the same plugin")
    things.append(thing)


def _collect_migration(migrations: list[MigrationSource], source: MigrationSource) -> None:
    if not isinstance(source, MigrationSource):
        raise NotAPlugin(f"fairlead_register_migrations got {type(source).__name__}; register a MigrationSource")
    if len(source.prefix) < 2:
        raise NotAPlugin(f"the migrations {source.name!r} need a table prefix of at least 2 characters")
    migrations.append(source)


def _refuse_unmarked(manager: pluggy.PluginManager, plugin: object) -> None:
    for name, _ in sorted(inspect.getmembers(plugin, inspect.isfunction)):
        if name.startswith("fairlead_") and manager.parse_hookimpl_opts(plugin, name) is None:
            raise BadHook(f"{name}() in {_label(plugin)} has no @hookimpl, so it would never be called")


def _refuse_unknown(manager: pluggy.PluginManager, plugin: object) -> None:
    try:
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        hooks = [caller.name for caller in manager.get_hookcallers(plugin) or []]
        unknown = [name for name in hooks if name not in hookspecs.HOOKS]
        near = {name: difflib.get_close_matches(name, hookspecs.HOOKS, 1) for name in unknown}
        hints = [f"{name} (did you mean {near[name][0]}?)" if near[name] else name for name in unknown]
        raise BadHook(f"unknown hook in {_label(plugin)}: {', '.join(hints)}") from error


def _label(plugin: object) -> str:
    return str(getattr(plugin, "__name__", type(plugin).__name__))


def _before(hook: str, implementations: Sequence[Any], arguments: Mapping[str, Any]) -> None:
    names = ", ".join(impl.plugin_name for impl in implementations) or "nobody"
    sys.stderr.write(f"fairlead: {hook}({', '.join(arguments)}) -> {names}\n")


def _after(outcome: Any, hook: str, implementations: Sequence[Any], arguments: Mapping[str, Any]) -> None:
    del implementations, arguments
    if outcome.exception is not None:
        sys.stderr.write(f"fairlead: {hook} raised {type(outcome.exception).__name__}\n")
