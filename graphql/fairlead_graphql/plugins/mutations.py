"""Switching plugins on and off for a client, and filling in their settings."""

from __future__ import annotations

import strawberry
from strawberry.scalars import JSON

from fairlead.clients import plugin_sets as service
from fairlead.errors import InvalidInput
from fairlead.plugins.manifest import Kind
from fairlead.work import Work
from fairlead_graphql.context import Context
from fairlead_graphql.inputs import client_slug, errors, idempotency_key
from fairlead_graphql.mutation import Answer, UserError, client_mutation, done
from fairlead_graphql.plugins import loaders
from fairlead_graphql.plugins.types import ClientPlugin, ClientThing, PluginKind
from fairlead_graphql.policy import reached_with
from fairlead_graphql.selection import Selection


@strawberry.input(description="A plugin to switch.")
class SetPluginInput:
    """Input of ``setPlugin``."""

    client: str = client_slug()
    plugin: str = strawberry.field(description="Name of the plugin.")
    enabled: bool = strawberry.field(description="Whether it shall be on. Its settings stay when it goes off.")
    idempotency_key: str | None = idempotency_key()


@strawberry.input(description="A filled settings form.")
class SetPluginSettingsInput:
    """Input of ``setPluginSettings``."""

    client: str = client_slug()
    kind: PluginKind = strawberry.field(description="What sort of thing the settings are for.")
    name: str = strawberry.field(description="Name of the thing.")
    settings: JSON = strawberry.field(
        description='The whole form, as its JSON Schema says. A secret that is left out or `{"set": true}` stays, '
        "unless a field marked as an address changes; null removes it."
    )
    idempotency_key: str | None = idempotency_key()


@reached_with("plugins:read")
@strawberry.type(description="Answer of `setPlugin`.")
class ClientPluginPayload:
    """Payload with a plugin."""

    plugin: ClientPlugin | None = strawberry.field(description="The plugin as it is now for the client.")
    errors: list[UserError] = errors()


@reached_with("plugins:read")
@strawberry.type(description="Answer of `setPluginSettings`.")
class ClientThingPayload:
    """Payload with a thing."""

    thing: ClientThing | None = strawberry.field(description="The thing with its settings as they are now.")
    errors: list[UserError] = errors()


def _plugin(context: Context, client_id: int | None, answer: Answer, selection: Selection) -> ClientPluginPayload:
    assert client_id is not None
    wanted, plugins = selection.below("plugin"), context.runtime.plugins
    found = loaders.client_plugins(context.work(client_id), plugins, wanted, only=answer["plugin"])
    return done(ClientPluginPayload, plugin=found[0] if found else None)


def _thing(context: Context, client_id: int | None, answer: Answer, _selection: Selection) -> ClientThingPayload:
    assert client_id is not None
    work, kind = context.work(client_id), Kind(answer["kind"])
    return done(ClientThingPayload, thing=loaders.client_thing(work, context.runtime.plugins, kind, answer["name"]))


@strawberry.type
class PluginsMutation:
    """Mixed into ``Mutation``."""

    @client_mutation(
        "plugins:write",
        payload=ClientPluginPayload,
        present=_plugin,
        description="Switch a plugin on or off for one client; what it offers exists there only while it is on.",
    )
    def set_plugin(work: Work, given: SetPluginInput, context: Context) -> Answer:
        service.set_plugin(work, context.runtime.plugins, given.plugin, given.enabled)
        return {"plugin": given.plugin}

    @client_mutation(
        "plugins:write",
        payload=ClientThingPayload,
        present=_thing,
        description="Fill in the settings of a thing that is on; they are checked against its JSON Schema.",
    )
    def set_plugin_settings(work: Work, given: SetPluginSettingsInput) -> Answer:
        kind = Kind[given.kind.name]
        if kind is Kind.CHANNEL:
            raise InvalidInput(
                "the settings of a channel belong to its accounts", path=("kind",), next_step="change the account"
            )
        if not isinstance(given.settings, dict):
            raise InvalidInput("settings are an object", path=("settings",))
        service.set_settings(work, kind, given.name, given.settings)
        return {"kind": kind.value, "name": given.name}
