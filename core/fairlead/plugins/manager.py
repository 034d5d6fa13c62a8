"""The ``Plugins`` object: what is installed, what is on, what failed and why. There is no module global.

A plugin is admitted as a whole: imported, checked against the hook specs and asked for everything it registers. If any
of that fails, nothing of it stays.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Literal

from fairlead.plugins.admission import EVENT_HOOK, Admitted, BadHook, admit, new_manager
from fairlead.plugins.client_set import ClientPlugins, Listener
from fairlead.plugins.contracts.attribution import AttributionModel
from fairlead.plugins.contracts.channel import Channel
from fairlead.plugins.contracts.importer import ContentRule, Importer
from fairlead.plugins.contracts.journey_node import JourneyNode
from fairlead.plugins.contracts.notifier import Notifier
from fairlead.plugins.contracts.rule_operator import RuleOperator
from fairlead.plugins.contracts.scoring import ScoringScheme
from fairlead.plugins.discovery import Choice, PluginSource, installed
from fairlead.plugins.events import DomainEvent
from fairlead.plugins.extensions import GraphQLRegistry, MigrationSource
from fairlead.plugins.manifest import Kind
from fairlead.plugins.registry import NotAPlugin, PluginClash, Registered, Registry

TRACE = "FAIRLEAD_TRACE_PLUGINS"

KEPT_SUBSETS = 1024

Policy = Literal["report", "strict"]


@dataclass(frozen=True, slots=True)
class FailedPlugin:
    """A plugin that stays off because it could not be imported or its register hook failed."""

    name: str
    distribution: str
    error: str


@dataclass(frozen=True, slots=True)
class PluginStatus:
    """One installed plugin as operators see it. ``reason`` says why it is not on."""

    name: str
    distribution: str
    version: str
    state: Literal["on", "failed", "blocked"]
    reason: str = ""
    things: tuple[Registered[Any], ...] = ()
    hooks: tuple[str, ...] = ()


class PluginFailed(Exception):
    """Under the policy ``strict``: a plugin could not be loaded."""

    def __init__(self, failed: FailedPlugin) -> None:
        self.failed = failed
        super().__init__(f"plugin {failed.name!r} of {failed.distribution or 'no distribution'}: {failed.error}")


class Plugins:
    """All plugins of this process. Build one at start-up and hand it on.

    ``policy`` decides about a plugin that cannot be loaded: ``report`` keeps it off and lists it in :attr:`failed`,
    ``strict`` raises :class:`PluginFailed`. A clash of names always raises
    :class:`~fairlead.plugins.registry.PluginClash`, since nobody could say which of the two is meant.
    """

    def __init__(
        self,
        sources: Iterable[PluginSource],
        *,
        choice: Choice | None = None,
        policy: Policy = "report",
        trace: bool = False,
    ) -> None:
        sources, choice = list(sources), choice or Choice()
        self._registry = Registry()
        self._manager = new_manager(trace)
        self._statuses: dict[str, PluginStatus] = {}
        self._graphql: dict[str, GraphQLRegistry] = {}
        self._migrations: dict[str, tuple[PluginSource, MigrationSource]] = {}
        for source in sources:
            reason = choice.why_blocked(source.name)
            if reason:
                self._note(source, "blocked", reason)
                continue
            try:
                admitted = admit(source, trace=trace)
            except (Exception, SystemExit) as error:  # noqa: BLE001 - a stranger's code may raise anything
                self._fail(FailedPlugin(source.name, source.distribution, _sentence(error)), source, policy, error)
            else:
                self._take(source, admitted)
        for name in choice.missing(sources):
            nobody = PluginSource(name, "", "", load=lambda: None)
            failed = FailedPlugin(name, "", "named in FAIRLEAD_PLUGINS_ONLY, but no distribution offers it")
            self._fail(failed, nobody, policy, None)
        self._listeners = self._build_listeners()
        self._subsets: dict[frozenset[str], ClientPlugins] = {}

    @classmethod
    def discover(cls, *, policy: Policy = "report", environ: Mapping[str, str] | None = None) -> Plugins:
        """Load what is installed, by the entry points of the group ``fairlead``.

        ``FAIRLEAD_PLUGINS_BLOCK`` and ``FAIRLEAD_PLUGINS_ONLY`` hold names separated by commas and are obeyed before
        anything is imported. ``FAIRLEAD_TRACE_PLUGINS=1`` writes each hook call and its implementations to stderr.
        """
        environ = os.environ if environ is None else environ
        choice = Choice.from_environment(environ)
        return cls(installed(), choice=choice, policy=policy, trace=environ.get(TRACE, "") not in ("", "0"))

    @classmethod
    def for_tests(cls, *plugins: object, policy: Policy = "strict") -> Plugins:
        """Load the given modules or objects without entry points, under their own names."""

        def source(plugin: object) -> PluginSource:
            fallback = plugin.__name__ if isinstance(plugin, ModuleType) else type(plugin).__name__
            name = str(getattr(plugin, "name", fallback)).removeprefix("fairlead_")
            return PluginSource(name, f"tests-{name}", "0", load=lambda: plugin)

        return cls([source(plugin) for plugin in plugins], policy=policy)

    # -- what is there ----------------------------------------------------------------------------------------------

    @property
    def names(self) -> frozenset[str]:
        """Entry names of the plugins that are loaded; a client's plugin set is a subset of these."""
        return frozenset(name for name, status in self._statuses.items() if status.state == "on")

    @property
    def failed(self) -> tuple[FailedPlugin, ...]:
        """The plugins that stay off because of an error."""
        return tuple(
            FailedPlugin(status.name, status.distribution, status.reason)
            for status in self._statuses.values()
            if status.state == "failed"
        )

    def module(self, name: str) -> object:
        """The loaded module (or object) behind the entry ``name``; ``None`` when it is not loaded."""
        return self._manager.get_plugin(name)

    def statuses(self) -> tuple[PluginStatus, ...]:
        """Every installed plugin with its state, by name."""
        return tuple(self._statuses[name] for name in sorted(self._statuses))

    def __iter__(self) -> Iterator[Registered[Any]]:
        """Iterate over every :class:`Registered` thing."""
        return iter(self._registry)

    @property
    def channels(self) -> Mapping[str, Registered[Channel]]:
        """Channels by name."""
        return self._registry.of(Kind.CHANNEL)

    @property
    def notifiers(self) -> Mapping[str, Registered[Notifier]]:
        """Notifiers by name."""
        return self._registry.of(Kind.NOTIFIER)

    @property
    def importers(self) -> Mapping[str, Registered[Importer]]:
        """Importers by name."""
        return self._registry.of(Kind.IMPORTER)

    @property
    def attribution_models(self) -> Mapping[str, Registered[AttributionModel]]:
        """Attribution models by name."""
        return self._registry.of(Kind.ATTRIBUTION_MODEL)

    @property
    def scoring_schemes(self) -> Mapping[str, Registered[ScoringScheme]]:
        """Scoring schemes by name."""
        return self._registry.of(Kind.SCORING_SCHEME)

    @property
    def journey_nodes(self) -> Mapping[str, Registered[JourneyNode]]:
        """Journey nodes by name."""
        return self._registry.of(Kind.JOURNEY_NODE)

    @property
    def rule_operators(self) -> Mapping[str, Registered[RuleOperator]]:
        """Rule operators by name."""
        return self._registry.of(Kind.RULE_OPERATOR)

    @property
    def content_rules(self) -> Mapping[str, Registered[ContentRule]]:
        """Content rules by name."""
        return self._registry.of(Kind.CONTENT_RULE)

    def of_kind(self, kind: Kind) -> Mapping[str, Registered[Any]]:
        """The things of ``kind`` by name."""
        return self._registry.of(kind)

    def graphql_registries(self) -> tuple[GraphQLRegistry, ...]:
        """What plugins add to the GraphQL schema, one registry per plugin that adds something, by plugin name."""
        return tuple(self._graphql[name] for name in sorted(self._graphql))

    def migrations(self) -> tuple[MigrationSource, ...]:
        """The Alembic script directories of plugins with tables of their own, by name."""
        return tuple(self._migrations[name][1] for name in sorted(self._migrations))

    # -- per client -------------------------------------------------------------------------------------------------

    def subset(self, enabled: Iterable[str]) -> ClientPlugins:
        """What a client with the plugins ``enabled`` has. Kept by set: clients with equal sets share one object.

        Names that are not loaded here are ignored, so that a client keeps its choice while a plugin is away.
        """
        key = self.names & frozenset(enabled)
        known = self._subsets.get(key)
        if known is None:
            if len(self._subsets) >= KEPT_SUBSETS:
                self._subsets.clear()
            known = self._subsets[key] = ClientPlugins(
                key,
                self._registry.only(key),
                self._registry,
                [listener for listener in self._listeners if listener.plugin in key],
            )
        return known

    def on_event(self, event: DomainEvent, enabled: Iterable[str]) -> None:
        """Tell the plugins in ``enabled`` of ``event``. One that raises is logged by name; the others still hear."""
        self.subset(enabled).on_event(event)

    # -- building ---------------------------------------------------------------------------------------------------

    def _take(self, source: PluginSource, admitted: Admitted) -> None:
        entries = tuple(
            Registered(thing, source.name, source.distribution, source.version) for thing in admitted.things
        )
        for entry in entries:
            self._registry.add(entry)
        for migration in admitted.migrations:
            self._add_migration(source, migration)
        if admitted.graphql.fields or admitted.graphql.types or admitted.graphql.batch_fields:
            self._graphql[source.name] = admitted.graphql
        self._manager.register(admitted.plugin, name=source.name)
        self._note(source, "on", "", entries, admitted.hooks)

    def _add_migration(self, source: PluginSource, migration: MigrationSource) -> None:
        for owner, other in self._migrations.values():
            if migration.name == other.name or _overlap(migration.prefix, other.prefix):
                raise PluginClash(
                    f"the name of the tables {migration.prefix}*",
                    (owner.name, owner.distribution),
                    (source.name, source.distribution),
                )
        self._migrations[migration.name] = (source, migration)

    def _fail(self, failed: FailedPlugin, source: PluginSource, policy: Policy, error: BaseException | None) -> None:
        if policy == "strict":
            raise PluginFailed(failed) from error
        self._note(source, "failed", failed.error)

    def _note(
        self,
        source: PluginSource,
        state: Literal["on", "failed", "blocked"],
        reason: str,
        things: tuple[Registered[Any], ...] = (),
        hooks: tuple[str, ...] = (),
    ) -> None:
        self._statuses[source.name] = PluginStatus(
            source.name, source.distribution, source.version, state, reason, things, hooks
        )

    def _build_listeners(self) -> list[Listener]:
        """One kept caller per plugin, not one for all: pluggy stops at the first exception, and each must be heard.

        Built after the last registration, since a kept caller would also reach plugins that come later.
        """
        everyone = {name: self._manager.get_plugin(name) for name in sorted(self.names)}
        return [
            Listener(name, self._manager.subset_hook_caller(EVENT_HOOK, [p for n, p in everyone.items() if n != name]))
            for name in everyone
            if EVENT_HOOK in self._statuses[name].hooks
        ]


def _overlap(one: str, two: str) -> bool:
    return one.startswith(two) or two.startswith(one)


def _sentence(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return text if isinstance(error, NotAPlugin | BadHook) else f"{type(error).__name__}: {text}"
