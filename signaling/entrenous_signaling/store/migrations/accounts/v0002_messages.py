"""Messages that wait for their devices, and the week in which an account was last active."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "accounts_0002"
down_revision = "accounts_0001"
branch_labels = None
depends_on = None

WIDE = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Add a column and a table."""
    op.add_column("account", sa.Column("active_week", sa.Integer))
    op.create_table(
        "message",
        sa.Column("number", WIDE, sa.Identity(), primary_key=True),
        sa.Column("username", sa.String, nullable=False),
        sa.Column("device", sa.String, nullable=False),
        sa.Column("id", sa.LargeBinary, nullable=False),
        sa.Column("sender_tag", sa.LargeBinary, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("expires", WIDE, nullable=False),
        sa.UniqueConstraint("username", "device", "id", name="message_once"),
        sa.ForeignKeyConstraint(["username", "device"], ["device.username", "device.device"], ondelete="CASCADE"),
        sqlite_autoincrement=True,
    )
    op.create_index("message_expires", "message", ["expires"])
    if op.get_bind().dialect.name == "postgresql":
        # Sealed bodies cannot be made smaller. Rows come and go, so dead ones are cleared away early and in full.
        op.execute("ALTER TABLE message ALTER COLUMN body SET STORAGE EXTERNAL")
        settings = "autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000"
        op.execute(f"ALTER TABLE message SET ({settings}, toast.autovacuum_vacuum_scale_factor = 0)")
