"""Brings the tables of a database to the version of this program: the one module that needs Alembic."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection

from .backend import Part

_MIGRATIONS: Final = Path(__file__).parent / "migrations"


def migrations(part: Part) -> Config:
    """Where Alembic finds the versions of one half."""
    config = Config()
    config.set_main_option("script_location", _escape(_MIGRATIONS))
    config.set_main_option("version_locations", _escape(_MIGRATIONS / part.value))
    config.set_main_option("path_separator", "newline")
    return config


def upgrade(part: Part, connection: Connection) -> None:
    """Take every step that is left, on a connection that is in no transaction.

    Raises:
        SQLAlchemyError: the database refused a step; none of them was taken.
    """
    config = migrations(part)
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    connection.commit()


def _escape(path: Path) -> str:
    return str(path).replace("%", "%%")
