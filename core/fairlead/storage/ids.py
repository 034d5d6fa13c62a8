"""One sequence of 64-bit ids for all tables, taken in blocks, so a bulk load knows its ids before it writes.

PostgreSQL hands out blocks of :data:`BLOCK` from a sequence, without a lock. SQLite has one writer, so the block is a
row that the running transaction moves on; a rollback gives it back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from fairlead.storage.base import Base
from fairlead.storage.types import BigInt

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

BLOCK = 64
SEQUENCE = "fairlead_id_seq"


class IdBlock(Base):
    """The next free id on SQLite; one row."""

    __tablename__ = "id_block"
    name: Mapped[str] = mapped_column(sa.String(16), primary_key=True)
    next: Mapped[int] = mapped_column(BigInt)


def reserve(connection: sa.Connection, count: int) -> npt.NDArray[np.int64]:
    """``count`` fresh ids, rising, shape ``(count,)``. The connection must be in a writing transaction."""
    import numpy as np

    if count <= 0:
        return np.empty(0, np.int64)
    if connection.dialect.name == "postgresql":
        blocks = -(-count // BLOCK)
        rows = connection.execute(
            sa.text(f"SELECT nextval('{SEQUENCE}') FROM generate_series(1, :blocks)"),  # noqa: S608 -- a constant
            {"blocks": blocks},
        )
        starts = np.fromiter((row[0] for row in rows), np.int64, blocks)
        ids = (starts[:, None] + np.arange(BLOCK)).ravel()[:count]
        ids.sort()
        return ids
    moved = connection.execute(
        sa.update(IdBlock.__table__).values(next=IdBlock.next + count).returning(IdBlock.next)  # type: ignore[arg-type]
    ).scalar_one()
    return np.arange(moved - count, moved, dtype=np.int64)
