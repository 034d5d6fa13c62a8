"""Lists without pages: each says how many objects it holds at most, so that the door can count them."""

from __future__ import annotations

from typing import Any

import strawberry

from fairlead_graphql.door import Cost


def rows(most: int, description: str) -> Any:
    """A field that is a list of at most ``most`` small objects, read together with the rows they belong to.

    They cost what is asked of them and nothing for themselves: one statement reads those of a whole page.
    """
    return strawberry.field(description=description, directives=[Cost(weight=0, size=most)])
