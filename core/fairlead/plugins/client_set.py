"""The plugins of one client: the look-ups of :class:`~fairlead.plugins.manager.Plugins`, narrowed to what is on."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pluggy import HookCaller

from fairlead.errors import NotFound, PluginOff
from fairlead.plugins.contracts.attribution import AttributionModel
from fairlead.plugins.contracts.channel import Channel
from fairlead.plugins.contracts.importer import ContentRule, Importer
from fairlead.plugins.contracts.journey_node import JourneyNode
from fairlead.plugins.contracts.notifier import Notifier
from fairlead.plugins.contracts.rule_operator import RuleOperator
from fairlead.plugins.contracts.scoring import ScoringScheme
from fairlead.plugins.events import DomainEvent
from fairlead.plugins.manifest import Kind
from fairlead.plugins.registry import Registered, Registry

log = logging.getLogger("fairlead.plugins")


@dataclass(frozen=True, slots=True)
class Listener:
    """A plugin that hears events, and the kept caller that reaches it alone."""

    plugin: str
    call: HookCaller


class ClientPlugins:
    """What exists for a client whose plugin set is ``enabled``.

    A look-up by name answers with the thing's :class:`Registered` entry, raises
    :class:`~fairlead.errors.PluginOff` when it is installed but off for the client, and
    :class:`~fairlead.errors.NotFound` when nobody installed it.
    """

    def __init__(
        self, enabled: frozenset[str], on: Registry, installed: Registry, listeners: Sequence[Listener]
    ) -> None:
        self.enabled = enabled
        self._on = on
        self._installed = installed
        self._listeners = tuple(listeners)

    # -- everything of a kind, by name ------------------------------------------------------------------------------

    @property
    def channels(self) -> Mapping[str, Registered[Channel]]:
        """Channels that are on."""
        return self._on.of(Kind.CHANNEL)

    @property
    def notifiers(self) -> Mapping[str, Registered[Notifier]]:
        """Notifiers that are on."""
        return self._on.of(Kind.NOTIFIER)

    @property
    def importers(self) -> Mapping[str, Registered[Importer]]:
        """Importers that are on."""
        return self._on.of(Kind.IMPORTER)

    @property
    def attribution_models(self) -> Mapping[str, Registered[AttributionModel]]:
        """Attribution models that are on."""
        return self._on.of(Kind.ATTRIBUTION_MODEL)

    @property
    def scoring_schemes(self) -> Mapping[str, Registered[ScoringScheme]]:
        """Scoring schemes that are on."""
        return self._on.of(Kind.SCORING_SCHEME)

    @property
    def journey_nodes(self) -> Mapping[str, Registered[JourneyNode]]:
        """Journey nodes that are on."""
        return self._on.of(Kind.JOURNEY_NODE)

    @property
    def rule_operators(self) -> Mapping[str, Registered[RuleOperator]]:
        """Rule operators that are on."""
        return self._on.of(Kind.RULE_OPERATOR)

    @property
    def content_rules(self) -> Mapping[str, Registered[ContentRule]]:
        """Content rules that are on."""
        return self._on.of(Kind.CONTENT_RULE)

    # -- one by name ------------------------------------------------------------------------------------------------

    def channel(self, name: str) -> Registered[Channel]:
        """The channel ``name``."""
        return self.find(Kind.CHANNEL, name)

    def notifier(self, name: str) -> Registered[Notifier]:
        """The notifier ``name``."""
        return self.find(Kind.NOTIFIER, name)

    def importer(self, name: str) -> Registered[Importer]:
        """The importer ``name``."""
        return self.find(Kind.IMPORTER, name)

    def attribution_model(self, name: str) -> Registered[AttributionModel]:
        """The attribution model ``name``."""
        return self.find(Kind.ATTRIBUTION_MODEL, name)

    def scoring_scheme(self, name: str) -> Registered[ScoringScheme]:
        """The scoring scheme ``name``."""
        return self.find(Kind.SCORING_SCHEME, name)

    def journey_node(self, name: str) -> Registered[JourneyNode]:
        """The journey node ``name``."""
        return self.find(Kind.JOURNEY_NODE, name)

    def rule_operator(self, name: str) -> Registered[RuleOperator]:
        """The rule operator ``name``."""
        return self.find(Kind.RULE_OPERATOR, name)

    def content_rule(self, name: str) -> Registered[ContentRule]:
        """The content rule ``name``."""
        return self.find(Kind.CONTENT_RULE, name)

    def find(self, kind: Kind, name: str) -> Registered[Any]:
        """The thing ``name`` of ``kind``; raise ``PluginOff`` or ``NotFound``."""
        entry = self._on.of(kind).get(name)
        if entry is not None:
            return entry
        label = kind.value.replace("_", " ")
        other = self._installed.of(kind).get(name)
        if other is None:
            raise NotFound(f"there is no {label} {name!r}", next_step="ask for the catalogue of plugins")
        raise PluginOff(
            f"the {label} {name!r} is not switched on for this client",
            next_step=f"switch on the plugin {other.plugin!r} for this client",
        )

    def require(self, plugin: str) -> None:
        """Raise ``PluginOff`` unless the plugin with this entry name is on."""
        if plugin not in self.enabled:
            raise PluginOff(
                f"the plugin {plugin!r} is not switched on for this client",
                next_step=f"switch on the plugin {plugin!r} for this client",
            )

    # -- events -----------------------------------------------------------------------------------------------------

    def on_event(self, event: DomainEvent) -> None:
        """Tell every plugin that is on. What one raises is logged with its name and place, and the next still hears.

        The exception's text is left out: a stranger's message may hold a person's data.
        """
        for listener in self._listeners:
            try:
                listener.call(event=event)
            except Exception as error:  # noqa: BLE001 - a stranger's code, and an event must reach the others
                place = traceback.extract_tb(error.__traceback__)[-1]
                log.error(
                    "plugin %s failed on event %s with %s at %s:%s",
                    listener.plugin,
                    event.type,
                    type(error).__name__,
                    place.filename.rpartition("/")[2],
                    place.lineno,
                )
