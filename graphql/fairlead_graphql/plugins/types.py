"""Plugins, what they offer, and how a client has set them up."""

from __future__ import annotations

import enum

import strawberry
from pydantic import BaseModel
from strawberry.scalars import JSON

from fairlead.plugins.settings_schema import json_schema
from fairlead_graphql.door import Cost
from fairlead_graphql.mutation import UserError
from fairlead_graphql.policy import reached_with
from fairlead_graphql.rows import rows
from fairlead_graphql.scalars import Title


@strawberry.enum(description="What sort of thing a plugin offers; a name is unique within its kind.")
class PluginKind(enum.Enum):
    """Kinds of things, by the values of :class:`fairlead.plugins.manifest.Kind`."""

    CHANNEL = strawberry.enum_value(
        "channel", description="Reaches people or brings facts in; its settings belong to each account."
    )
    ATTRIBUTION_MODEL = strawberry.enum_value(
        "attribution_model", description="Says which channels earned the conversions."
    )
    SCORING_SCHEME = strawberry.enum_value("scoring_scheme", description="Gives profiles a score.")
    NOTIFIER = strawberry.enum_value("notifier", description="Tells people of the agency what happened.")
    JOURNEY_NODE = strawberry.enum_value("journey_node", description="A step of a journey.")
    RULE_OPERATOR = strawberry.enum_value("rule_operator", description="A condition of the rule language.")
    CONTENT_RULE = strawberry.enum_value("content_rule", description="Checks templates when they are saved.")
    IMPORTER = strawberry.enum_value("importer", description="Knows the columns of a file that has no mapping.")


@reached_with("plugins:read")
@strawberry.type(description="Where a plugin stands in one rule of quality.")
class QualityRule:
    """A rule and its state."""

    rule: str = strawberry.field(description="Name of the rule.")
    state: str = strawberry.field(description="done, todo, or `exempt:` and why.")


@reached_with("plugins:read")
@strawberry.type(description="One thing that a plugin offers: a channel, a model, a node.")
class PluginThing:
    """A registered thing."""

    model: strawberry.Private[type[BaseModel]]
    kind: PluginKind = strawberry.field(description="What sort of thing.")
    name: str = strawberry.field(description="Its name, unique within the kind.")
    version: str = strawberry.field(description="Version of the thing.")
    title: Title = strawberry.field(description="Its name for people.")
    description: Title = strawberry.field(description="What it does.")
    capabilities: list[str] = strawberry.field(
        description="What a channel can do: messages, orders, webhooks and so on."
    )
    quality: list[QualityRule] = rows(50, "Where it stands, by the plugin's own account.")
    region: str = strawberry.field(
        description="Country that personal data goes to; `*` when the settings decide, empty when none leaves."
    )
    docs: str = strawberry.field(description="Where to read on; may be empty.")

    @strawberry.field(
        description="JSON Schema (draft 2020-12) of its settings. A secret has `secret: true` and `writeOnly: true`, "
        "an address that secrets are sent to has `address: true`."
    )
    def settings_schema(self) -> JSON:
        return JSON(json_schema(self.model))


@reached_with("plugins:read")
@strawberry.type(description="A plugin of this installation.")
class Plugin:
    """An installed plugin."""

    name: str = strawberry.field(description="Its name, by which clients switch it on.")
    distribution: str = strawberry.field(description="The package it came with.")
    version: str = strawberry.field(description="Version of that package.")
    state: str = strawberry.field(description="on, failed or blocked.")
    error: str | None = strawberry.field(description="Why it is not on; null when it is.")
    hooks: list[str] = strawberry.field(description="The hooks it implements.")
    things: list[PluginThing] = strawberry.field(description="What it offers.", directives=[Cost(size=20)])


@reached_with("plugins:read")
@strawberry.type(description="A thing of a plugin as one client has set it up: schema and values of its form.")
class ClientThing:
    """A thing and its settings."""

    thing: PluginThing = strawberry.field(description="The thing, with the JSON Schema of its settings.")
    settings: JSON | None = strawberry.field(
        description='The values of the form; a secret is only `{"set": true}` or `{"set": false}`. Null while the '
        "plugin is off, and for a channel, whose settings belong to its accounts."
    )
    problems: list[UserError] = strawberry.field(
        description="What is missing or wrong in the settings; empty when it can be used."
    )


@reached_with("plugins:read")
@strawberry.type(description="A plugin as one client sees it.")
class ClientPlugin:
    """A plugin and whether it is on."""

    name: str = strawberry.field(description="Name of the plugin.")
    enabled: bool = strawberry.field(description="Whether it is on for this client.")
    installed: bool = strawberry.field(
        description="Whether this installation has it; one that is gone can be on still."
    )
    version: str = strawberry.field(description="Version of its package; empty when it is gone.")
    state: str = strawberry.field(description="on, failed or blocked on this installation, or missing.")
    things: list[ClientThing] = strawberry.field(
        description="What it offers, with settings.", directives=[Cost(size=20)]
    )
