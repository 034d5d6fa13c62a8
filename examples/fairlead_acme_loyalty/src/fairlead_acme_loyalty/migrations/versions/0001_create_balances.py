"""Create the table of balances

Revision ID: acme_loyalty_0001
Revises:
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from fairlead_migrations import security

revision = "acme_loyalty_0001"
down_revision = None
branch_labels = None
depends_on = None

TABLE = "acme_loyalty_balance"


def upgrade() -> None:
    """One row per person; row-level security keeps clients apart on PostgreSQL."""
    op.create_table(
        TABLE,
        sa.Column("client_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("profile_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("points", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("client_id", "profile_id", name=f"pk_{TABLE}"),
    )
    security.grant(TABLE)
    security.separate_clients(TABLE)


def downgrade() -> None:
    """The policy and the grants go with the table."""
    op.drop_table(TABLE)
