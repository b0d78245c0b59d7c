"""Which version the tables of a database are of; what changes them is `upgrading`, which takes a second to load."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, inspect, text

from .backend import Part

REVISIONS: Final[dict[Part, tuple[str, ...]]] = {
    Part.ACCOUNTS: ("accounts_0001", "accounts_0002"),
    Part.USAGE: ("usage_0001", "usage_0002", "usage_0003"),
}
"""Every version of each half, the oldest first, which a test compares with the steps in `migrations`."""


def revision(connection: Connection) -> str | None:
    """The version of one half; None when there is none yet."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return found
