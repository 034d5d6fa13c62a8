"""Fields of ``Agency`` and ``Client`` about plugins."""

from __future__ import annotations

import strawberry

from fairlead_graphql.arguments import After, Before, First, Last
from fairlead_graphql.listing import Connection, list_page, page_of
from fairlead_graphql.plugins import loaders
from fairlead_graphql.plugins.types import ClientPlugin, Plugin
from fairlead_graphql.policy import agency_field, client_field
from fairlead_graphql.selection import selection_of


@strawberry.type
class PluginsOfAgency:
    """Mixed into ``Agency``."""

    @agency_field("plugins:read", on="Agency", description="Every installed plugin, those that failed too, by name.")
    def plugins(
        self,
        info: strawberry.Info,
        first: First = strawberry.UNSET,
        after: After = strawberry.UNSET,
        last: Last = strawberry.UNSET,
        before: Before = strawberry.UNSET,
    ) -> Connection[Plugin]:
        plugins = info.context.runtime.plugins
        rows = [(status.name, loaders.plugin_of(plugins, status)) for status in plugins.statuses()]
        return list_page(rows, page_of(first, after, last, before), selection_of(info))


@strawberry.type
class PluginsOfClient:
    """Mixed into ``Client``."""

    client_id: strawberry.Private[int]

    @client_field("plugins:read", description="Every installed plugin and every one that is on here, by name.")
    def plugins(
        self,
        info: strawberry.Info,
        first: First = strawberry.UNSET,
        after: After = strawberry.UNSET,
        last: Last = strawberry.UNSET,
        before: Before = strawberry.UNSET,
    ) -> Connection[ClientPlugin]:
        page, selection = page_of(first, after, last, before), selection_of(info)
        wanted = selection.below("edges", "node") | selection.below("nodes")
        work = info.context.work(self.client_id)
        rows = loaders.client_plugins(work, info.context.runtime.plugins, wanted)
        return list_page([(row.name, row) for row in rows], page, selection)
