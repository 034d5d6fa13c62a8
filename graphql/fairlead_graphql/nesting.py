"""A page of a list below one parent or many: the same result, by an index when there is one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from fairlead.work import Work
from fairlead_graphql.listing import Connection, Page, Plan, read_nested, read_page
from fairlead_graphql.selection import Selection


def read_under(
    work: Work,
    plan: Plan,
    query: sa.Select[Any],
    parent: Any,
    parents: Sequence[int],
    key: Any,
    page: Page,
    selection: Selection,
    *,
    descending: bool = False,
) -> dict[int, Connection[Any]]:
    """The same page for each of ``parents``, values of the column ``parent``, in one statement.

    Ranking rows within their parents reads all rows of all parents; below a single one, a keyset page reads its own.
    """
    if len(parents) == 1 and not page.backward and page.before is None:
        under = query.where(parent == parents[0])
        return {parents[0]: read_page(work, plan, under, key, page, selection, descending=descending)}
    return read_nested(
        work, plan, query.where(parent.in_(parents)), parent, key, page, selection, descending=descending
    )
