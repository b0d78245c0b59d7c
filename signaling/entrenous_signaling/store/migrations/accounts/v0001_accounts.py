"""Accounts, devices, prekeys and invites."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "accounts_0001"
down_revision = None
branch_labels = None
depends_on = None

WIDE = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make the first tables."""
    op.create_table(
        "account",
        sa.Column("username", sa.String, primary_key=True),
        sa.Column("identity_key", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "device",
        sa.Column("username", sa.String, sa.ForeignKey("account.username", ondelete="CASCADE"), primary_key=True),
        sa.Column("device", sa.String, primary_key=True),
        sa.Column("certificate", sa.LargeBinary, nullable=False),
        sa.Column("not_after", WIDE, nullable=False),
    )
    op.create_table(
        "prekey",
        sa.Column("username", sa.String, primary_key=True),
        sa.Column("device", sa.String, primary_key=True),
        sa.Column("position", sa.Integer, primary_key=True),
        sa.Column("prekey", sa.LargeBinary, nullable=False),
        sa.ForeignKeyConstraint(["username", "device"], ["device.username", "device.device"], ondelete="CASCADE"),
    )
    op.create_table("invite", sa.Column("hash", sa.LargeBinary, primary_key=True))
