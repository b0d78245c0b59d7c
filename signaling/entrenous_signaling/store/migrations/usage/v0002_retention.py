"""Records found by their start, which housekeeping deletes the oldest by."""

from __future__ import annotations

from alembic import op

revision = "usage_0002"
down_revision = "usage_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the index."""
    op.create_index("call_record_start", "call_record", ["start"])
    if op.get_bind().dialect.name == "postgresql":
        # Every row comes, is touched and goes within one call: nothing waits there for a share of it to be dead.
        op.execute(
            "ALTER TABLE open_record SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000)"
        )
