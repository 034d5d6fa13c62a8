"""The page arguments every list takes, described once."""

from __future__ import annotations

from typing import Annotated

import strawberry

First = Annotated[
    int | None, strawberry.argument(description="Rows of a page from its start, 1 to 100, 20 by default.")
]
After = Annotated[str | None, strawberry.argument(description="Cursor of the row before the page.")]
Last = Annotated[int | None, strawberry.argument(description="Rows of a page from its end, 1 to 100.")]
Before = Annotated[str | None, strawberry.argument(description="Cursor of the row after the page.")]
