"""What plugins add to the schema: root fields and fields of core types, each off where its plugin is off.

The schema is one per process, so a plugin's field exists for every client; where the plugin is not switched on it
answers with ``PLUGIN_OFF``. Fields are added to the strawberry types before the schema is built and never twice.
"""

from __future__ import annotations

from typing import Any

import strawberry
from strawberry.types.base import StrawberryObjectDefinition
from strawberry.types.field import StrawberryField

from fairlead.errors import Conflict
from fairlead.plugins.extensions import BatchField, GraphQLRegistry
from fairlead.plugins.manager import Plugins
from fairlead_graphql.context import Context
from fairlead_graphql.listing import batched
from fairlead_graphql.policy import FIELDS, camel

ROOT = "Query"


class FieldClash(Conflict):
    """A plugin's field that cannot be part of the schema, such as one whose name is taken; says what to do."""


def add_plugin_fields(plugins: Plugins) -> list[Any]:
    """Add what all plugins registered; the answer is their types that no field returns directly."""
    targets = plugin_targets()
    types: list[Any] = []
    for registry in plugins.graphql_registries():
        batches = [
            (one.type_name, one.name, _batch_field(one, registry), one.permission) for one in registry.batch_fields
        ]
        for type_name, name, field, permission in (*registry.fields, *batches):
            if type_name not in targets:
                known = ", ".join(sorted(targets))
                raise FieldClash(f"plugin {registry.plugin!r} adds {name!r} to {type_name!r}, which is none of {known}")
            _add(targets[type_name], type_name, name, field, permission, registry)
        types += registry.types
    return types


def plugin_targets() -> dict[str, StrawberryObjectDefinition]:
    """The core types that plugins may add fields to, by name."""
    from fairlead_graphql.clients.types import Client
    from fairlead_graphql.customers.types import Profile
    from fairlead_graphql.schema import Query

    targets: tuple[Any, ...] = (Client, Profile, Query)
    return {type_.__name__: type_.__strawberry_definition__ for type_ in targets}


def _batch_field(one: BatchField, registry: GraphQLRegistry) -> StrawberryField:
    """A field looked up once for all rows of a page; an object that was read alone is a page of one."""
    if one.type_name == ROOT:
        raise FieldClash(
            f"plugin {registry.plugin!r} adds the batch field {one.name!r} to {ROOT}, which has no rows; use field_on()"
        )
    # Rows of one client are read together; clients are not, for each of them is seen by its own session only.
    is_client = one.type_name == "Client"

    def resolve(root: Any, info: strawberry.Info) -> Any:
        work = info.context.work(root.client_id)
        if "_batch" in vars(root) and not is_client:
            key = ("plugin", registry.plugin, one.name)
            return batched(root, key, lambda numbers: one.resolve(work, numbers), lambda: one.missing)
        return one.resolve(work, [root.client_id]).get(root.client_id, one.missing)

    # Written out, since the names here are not those of the resolver's module.
    returns = one.returns if one.missing is not None else one.returns | None
    resolve.__annotations__ = {"root": Any, "info": strawberry.Info, "return": returns}
    made = strawberry.field(resolver=resolve, description=one.description)
    assert isinstance(made, StrawberryField)
    return made


def _add(
    target: StrawberryObjectDefinition,
    type_name: str,
    name: str,
    field: StrawberryField,
    permission: str,
    registry: GraphQLRegistry,
) -> None:
    taken = next((known for known in target.fields if known.python_name == name), None)
    if taken is not None:
        owner = getattr(taken, "fairlead_plugin", None)
        if owner == registry.plugin:
            return
        raise FieldClash(
            f"plugin {registry.plugin!r} adds the field {type_name}.{camel(name)}, which "
            f"{f'plugin {owner!r}' if owner else 'the core'} has already; block one of the plugins or rename the field"
        )
    if field.base_resolver is None:
        raise FieldClash(f"the field {type_name}.{camel(name)} of plugin {registry.plugin!r} has no resolver")
    if type_name == ROOT:
        client = next((given for given in field.arguments if given.python_name == "client"), None)
        if client is None or client.type is not str or client.default is not strawberry.UNSET:
            raise FieldClash(
                f"the field {type_name}.{camel(name)} of plugin {registry.plugin!r} needs the argument `client: str`, "
                "the slug of the client that it answers for"
            )
    _gate(field, permission, registry.plugin)
    field.python_name = name
    field.origin = target.origin
    field.fairlead_plugin = registry.plugin  # type: ignore[attr-defined]
    target.fields.append(field)
    FIELDS[type_name, camel(name)] = permission


def _gate(field: StrawberryField, permission: str, plugin: str) -> None:
    """Let the field's resolver run only where the caller has the permission and the plugin is on."""
    answer = field.get_result

    def checked(source: Any, info: Any, args: list[Any], kwargs: Any) -> Any:
        context: Context = info.context
        client_id = context.client(kwargs["client"], permission).id if source is None else source.client_id
        context.require(permission, client_id)
        context.runtime.plugins_of(client_id).require(plugin)
        return answer(source, info, args, kwargs)

    field.get_result = checked  # type: ignore[method-assign]
