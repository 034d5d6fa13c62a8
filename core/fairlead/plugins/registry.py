"""What is registered, under which name, and whose it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Generic, NamedTuple, TypeVar

from fairlead.plugins.contracts.attribution import AttributionModel
from fairlead.plugins.contracts.channel import (
    Channel,
    ReceivesWebhooks,
    RefreshesCredentials,
    SendsMessages,
    SyncsOrders,
)
from fairlead.plugins.contracts.importer import ContentRule, Importer
from fairlead.plugins.contracts.journey_node import JourneyNode
from fairlead.plugins.contracts.notifier import Notifier
from fairlead.plugins.contracts.rule_operator import RuleOperator
from fairlead.plugins.contracts.scoring import ScoringScheme
from fairlead.plugins.manifest import Capability, Kind, Manifest

T = TypeVar("T")


class KindSpec(NamedTuple):
    """How one kind is registered and what it must be."""

    hook: str
    protocol: type[Any]


KINDS: Mapping[Kind, KindSpec] = MappingProxyType(
    {
        Kind.CHANNEL: KindSpec("fairlead_register_channels", Channel),
        Kind.NOTIFIER: KindSpec("fairlead_register_notifiers", Notifier),
        Kind.IMPORTER: KindSpec("fairlead_register_importers", Importer),
        Kind.ATTRIBUTION_MODEL: KindSpec("fairlead_register_attribution_models", AttributionModel),
        Kind.SCORING_SCHEME: KindSpec("fairlead_register_scoring_schemes", ScoringScheme),
        Kind.JOURNEY_NODE: KindSpec("fairlead_register_journey_nodes", JourneyNode),
        Kind.RULE_OPERATOR: KindSpec("fairlead_register_rule_operators", RuleOperator),
        Kind.CONTENT_RULE: KindSpec("fairlead_register_content_rules", ContentRule),
    }
)

CAPABILITY_PROTOCOLS: Mapping[Capability, type[Any]] = MappingProxyType(
    {
        Capability.MESSAGES: SendsMessages,
        Capability.ORDERS: SyncsOrders,
        Capability.WEBHOOKS: ReceivesWebhooks,
        Capability.CREDENTIALS: RefreshesCredentials,
    }
)
"""The protocol behind each capability that the core calls today."""


@dataclass(frozen=True, slots=True)
class Registered(Generic[T]):
    """One registered thing and whose it is: entry point, distribution and that distribution's version."""

    thing: T
    plugin: str
    distribution: str
    version: str

    @property
    def manifest(self) -> Manifest:
        """The thing's manifest."""
        manifest: Manifest = self.thing.manifest  # type: ignore[attr-defined]
        return manifest

    @property
    def name(self) -> str:
        """The thing's name, unique within its kind."""
        return self.manifest.name

    @property
    def kind(self) -> Kind:
        """The thing's kind."""
        return self.manifest.kind


class PluginClash(Exception):
    """Two installed plugins claim one name. The message names both distributions and what to do."""

    def __init__(self, what: str, first: tuple[str, str], second: tuple[str, str]) -> None:
        self.first, self.second = first, second
        one, two = (f"plugin {plugin!r} of {distribution}" for plugin, distribution in (first, second))
        off = second[0] if second[0] != first[0] else first[0]
        remedy = (
            f"uninstall one of them, or set FAIRLEAD_PLUGINS_BLOCK={off}"
            if first[0] != second[0]
            else "uninstall one of them: they share the entry point name, so blocking it would block both"
        )
        super().__init__(f"{what} is claimed by {one} and by {two}; {remedy}")


class NotAPlugin(TypeError):
    """What was handed to ``register`` does not keep the contract of its kind."""


class Registry:
    """All registered things by kind and name. Filled at start-up, then only read."""

    def __init__(self) -> None:
        self._things: dict[Kind, dict[str, Registered[Any]]] = {kind: {} for kind in Kind}

    def __iter__(self) -> Iterator[Registered[Any]]:
        for things in self._things.values():
            yield from things.values()

    def add(self, entry: Registered[Any]) -> None:
        """Add one entry. Raise :class:`PluginClash` when its name is taken within its kind."""
        things = self._things[entry.kind]
        other = things.get(entry.name)
        if other is not None:
            raise PluginClash(
                f"{entry.kind.value.replace('_', ' ')} {entry.name!r}",
                (other.plugin, other.distribution),
                (entry.plugin, entry.distribution),
            )
        things[entry.name] = entry

    def of(self, kind: Kind) -> Mapping[str, Registered[Any]]:
        """The entries of one kind by name, read only."""
        return MappingProxyType(self._things[kind])

    def only(self, plugins: frozenset[str]) -> Registry:
        """A registry with the entries of ``plugins`` alone."""
        part = Registry()
        for entry in self:
            if entry.plugin in plugins:
                part.add(entry)
        return part


def verify(kind: Kind, thing: object) -> None:
    """Check what ``register`` was given, before anybody calls it. Raise :class:`NotAPlugin` with what to change."""
    label = type(thing).__name__
    if isinstance(thing, type):
        raise NotAPlugin(f"register({thing.__name__}) got the class; hand over an instance: {thing.__name__}()")
    manifest = getattr(thing, "manifest", None)
    if not isinstance(manifest, Manifest):
        raise NotAPlugin(f"{label} has no `manifest`; give it a fairlead.plugins.Manifest")
    if manifest.kind is not kind:
        raise NotAPlugin(
            f"{label} says it is a {manifest.kind.value} but was registered by {KINDS[kind].hook}; "
            f"use {KINDS[manifest.kind].hook} or change the manifest's kind"
        )
    missing = missing_members(thing, KINDS[kind].protocol)
    if missing:
        raise NotAPlugin(f"{label} is registered as a {kind.value} but has no {', '.join(missing)}")
    for capability in sorted(manifest.capabilities & CAPABILITY_PROTOCOLS.keys()):
        missing = missing_members(thing, CAPABILITY_PROTOCOLS[capability])
        if missing:
            raise NotAPlugin(f"{label} declares the capability {capability.value!r} but has no {', '.join(missing)}")


def missing_members(thing: object, protocol: type[Any]) -> list[str]:
    """Names of the protocol's members that ``thing`` lacks; methods are shown with brackets."""
    names = [*getattr(protocol, "__annotations__", {}), *(n for n, v in vars(protocol).items() if callable(v))]
    wanted = [name for name in dict.fromkeys(names) if not name.startswith("_") and not hasattr(thing, name)]
    return [f"{name}()" if callable(getattr(protocol, name, None)) else name for name in wanted]
