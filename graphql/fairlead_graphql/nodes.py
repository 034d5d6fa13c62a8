"""``node`` and ``nodes``: any row by its global id, with the permission of its type at the row's own client.

A domain tells here how its types are found: :func:`node_type` for rows of a plan, :func:`node_loader` for others. An id
that leads to nothing, or to a client that does not exist for the caller, is null.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

import sqlalchemy as sa
import strawberry

from fairlead.errors import LimitReached, NotFound
from fairlead_graphql.context import Context
from fairlead_graphql.door import Cost
from fairlead_graphql.ids import split_global
from fairlead_graphql.listing import Plan, read_all
from fairlead_graphql.paging import MOST
from fairlead_graphql.policy import MEMBER, agency_field
from fairlead_graphql.scalars import Node
from fairlead_graphql.selection import Selection, selection_of

Load = Callable[[Context, Sequence[int], Selection], Mapping[int, Any]]

LOADERS: dict[str, Load] = {}
"""How the rows of a type are found, by the schema's name of the type."""


def node_type(plan: Plan, permission: str, *conditions: Any, also: str | None = None) -> None:
    """Let ``node`` find rows of ``plan`` that satisfy ``conditions``; its entity has the column ``client_id``.

    ``also`` is a second permission that it takes, for rows about people that stand elsewhere.
    """
    entity = plan.id_column.class_

    def load(context: Context, numbers: Sequence[int], selection: Selection) -> dict[int, Any]:
        found: dict[int, Any] = {}
        for client_id, own in rows_by_client(context, entity, numbers, permission, *conditions).items():
            if also is not None:
                context.require(also, client_id)
            query = sa.select(entity).where(plan.id_column.in_(own), *conditions)
            items = read_all(context.work(client_id), plan, query, selection)
            found |= {item.__dict__["_number"]: item for item in items}
        return found

    node_loader(plan.name, load)


def node_loader(type_name: str, load: Load) -> None:
    """Let ``node`` find rows of a type by ``load(context, numbers, selection)``, which checks the permission itself."""
    if type_name in LOADERS:
        raise ValueError(f"two ways to find a {type_name}")
    LOADERS[type_name] = load


def rows_by_client(
    context: Context, entity: Any, numbers: Sequence[int], permission: str, *conditions: Any
) -> dict[int, list[int]]:
    """Numbers of existing rows by client, those of clients that the caller does not see left out.

    Raises ``Forbidden`` where the client is there for the caller and the permission is not.
    """
    groups: dict[int, list[int]] = {}
    rows = context.agency_work().session.execute(
        sa.select(entity.id, entity.client_id).where(entity.id.in_(numbers), *conditions)
    )
    for number, client_id in rows:
        groups.setdefault(client_id, []).append(number)
    return {client_id: own for client_id, own in groups.items() if is_there(context, client_id, permission)}


def is_there(context: Context, client_id: int, permission: str) -> bool:
    """Whether the client exists for the caller; raises ``Forbidden`` when it does and the permission is not held."""
    try:
        context.client(client_id, permission)
    except NotFound:
        return False
    return True


def _find(info: strawberry.Info, ids: Sequence[str], path: str) -> list[Any]:
    wanted = [split_global(text, path=(path,)) for text in ids]
    numbers: dict[str, list[int]] = {}
    for name, number in wanted:
        if name in LOADERS:
            numbers.setdefault(name, []).append(number)
    selection = selection_of(info)
    found = {name: LOADERS[name](info.context, sorted(set(own)), selection) for name, own in numbers.items()}
    return [found.get(name, {}).get(number) for name, number in wanted]


@strawberry.type
class NodesQuery:
    """Mixed into ``Query``."""

    @agency_field(MEMBER, description="Anything by its global id; null when it does not exist for the caller.")
    def node(
        self,
        info: strawberry.Info,
        id: Annotated[strawberry.ID, strawberry.argument(description="A global id from an answer.")],
    ) -> Node | None:
        found: Node | None = _find(info, [id], "id")[0]
        return found

    @agency_field(
        MEMBER,
        description="Many by their global ids, at most 100, in the order given; null for what does not exist.",
        directives=[Cost(size=MOST)],
    )
    def nodes(
        self,
        info: strawberry.Info,
        ids: Annotated[list[strawberry.ID], strawberry.argument(description="Global ids, 1 to 100.")],
    ) -> list[Node | None]:
        if not 1 <= len(ids) <= MOST:
            raise LimitReached(f"ask for 1 to {MOST} ids at once", path=("ids",))
        return _find(info, ids, "ids")
