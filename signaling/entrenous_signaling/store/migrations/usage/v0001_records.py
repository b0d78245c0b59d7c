"""Open and closed call records."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "usage_0001"
down_revision = None
branch_labels = None
depends_on = None

WIDE = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make the first tables."""
    op.create_table(
        "open_record",
        sa.Column("token", sa.LargeBinary, primary_key=True),
        sa.Column("start", WIDE, nullable=False),
        sa.Column("seen", WIDE, nullable=False),
    )
    op.create_table(
        "call_record",
        sa.Column("start", WIDE, nullable=False),
        sa.Column("duration", WIDE, nullable=False),
    )
