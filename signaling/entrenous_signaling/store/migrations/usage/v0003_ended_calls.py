"""Calls that are over, for some minutes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "usage_0003"
down_revision = "usage_0002"
branch_labels = None
depends_on = None

WIDE = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "ended_call",
        sa.Column("hash", sa.LargeBinary, primary_key=True),
        sa.Column("ended", WIDE, nullable=False),
    )
    if op.get_bind().dialect.name == "postgresql":
        # As with open records: all rows come and go.
        op.execute(
            "ALTER TABLE ended_call SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000)"
        )
