"""The two SQLite files: opening, checking and migrating them, and the operator's own look into them.

Write-ahead log with synchronous=FULL, so that what was acknowledged survives a power cut; secure_delete, so that
the token of a closed record is overwritten and not only unlinked. Copies of it in the log go when the log is folded in,
which `writer` sees to.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, event, insert, select
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry, NullPool

from . import schema
from .requests import OpenRow

BUSY_SECONDS: Final = 1.0
"""How long a statement waits for another process that holds the database locked."""

_FETCHED: Final = 1000
"""Rows that an export holds in memory at a time."""

_MIGRATIONS: Final = Path(__file__).parent / "migrations"


class StoreError(Exception):
    """The databases cannot be used; `str()` is a sentence for the operator."""


@dataclass(frozen=True, slots=True)
class Databases:
    """The files in a data directory.

    Args:
        folder: the data directory.
    """

    folder: Path

    @property
    def accounts(self) -> Path:
        """Who can be called."""
        return self.folder / "accounts.sqlite3"

    @property
    def usage(self) -> Path:
        """That there were calls."""
        return self.folder / "usage.sqlite3"


def open_engine(path: Path, *, writes: bool) -> Engine:
    """An engine on one file, which it creates when it writes; each of its connections belongs to one thread.

    Args:
        path: the file.
        writes: take the write lock at the begin of a transaction, instead of failing in the middle of it.
    """
    mode = "rwc" if writes else "ro"

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(
            f"{path.absolute().as_uri()}?mode={mode}",
            uri=True,
            timeout=BUSY_SECONDS,
            isolation_level=None,  # transactions begin where `begin` below says so
            check_same_thread=False,  # opened in one thread and handed over to another, never shared
        )

    engine = create_engine("sqlite://", creator=connect, poolclass=NullPool)

    @event.listens_for(engine, "connect")
    def prepare(connection: DBAPIConnection, entry: ConnectionPoolEntry) -> None:
        cursor = connection.cursor()
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.execute("PRAGMA temp_store=MEMORY")
        if writes:
            cursor.execute("PRAGMA journal_mode=WAL")
            cursor.execute("PRAGMA synchronous=FULL")
            cursor.execute("PRAGMA secure_delete=ON")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def migrate(path: Path) -> None:
    """Bring one file to the version of this program, creating it when it is not there.

    Raises:
        StoreError: it is newer than this program, is no database, or cannot be written.
    """
    config = Config()
    config.set_main_option("script_location", _escape(_MIGRATIONS))
    config.set_main_option("version_locations", _escape(_MIGRATIONS / path.stem))
    config.set_main_option("path_separator", "newline")
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    engine = open_engine(path, writes=True)
    try:
        with engine.connect() as connection:
            current = MigrationContext.configure(connection).get_current_revision()
            if current is not None and current not in known:
                raise StoreError(
                    f"{path} was written by a newer version of this program: update entrenous-signaling, or name "
                    "another data directory with --data."
                )
            connection.rollback()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            connection.commit()
    except SQLAlchemyError as error:
        raise StoreError(f"{path} cannot be used: {explain(error)}") from None
    finally:
        engine.dispose()


def read_open_rows(databases: Databases) -> list[OpenRow]:
    """The call records that are open.

    Raises:
        StoreError: the file cannot be read.
    """
    table = schema.open_record
    with _reading(databases.usage) as connection:
        rows = connection.execute(select(table.c.token, table.c.start, table.c.seen)).all()
    return [OpenRow(token, start, seen) for token, start, seen in rows]


def read_records(databases: Databases, since: int | None = None, until: int | None = None) -> Iterator[tuple[int, int]]:
    """Start (Unix seconds) and duration (seconds) of the calls that have ended, oldest start first.

    They are fetched as they are taken, however many there are. A server may be writing to the same file meanwhile.

    Args:
        databases: where they are.
        since, until: Unix seconds; calls that started at `since` or later, and before `until`.

    Raises:
        StoreError: there is no such file, or it cannot be read.
    """
    if not databases.usage.exists():
        raise StoreError(f"There is no {databases.usage}: name the server's data directory with --data.")
    table = schema.call_record
    chosen = select(table.c.start, table.c.duration).order_by(table.c.start)
    if since is not None:
        chosen = chosen.where(table.c.start >= since)
    if until is not None:
        chosen = chosen.where(table.c.start < until)
    with _reading(databases.usage) as connection:
        for start, duration in connection.execution_options(yield_per=_FETCHED).execute(chosen):
            yield int(start), int(duration)


def add_invites(databases: Databases, hashes: Iterable[bytes]) -> None:
    """Let each of the invite codes with these hashes be used once; a server may be running meanwhile.

    Raises:
        StoreError: they cannot be stored.
    """
    migrate(databases.accounts)
    engine = open_engine(databases.accounts, writes=True)
    try:
        with engine.begin() as connection:
            connection.execute(insert(schema.invite), [{"hash": value} for value in hashes])
    except SQLAlchemyError as error:
        raise StoreError(f"{databases.accounts} cannot be written: {explain(error)}") from None
    finally:
        engine.dispose()


def explain(error: SQLAlchemyError) -> str:
    """The reason that the database gave, without the statement and its values."""
    return str(getattr(error, "orig", None) or "the database refused.")


class _reading:  # noqa: N801 - used like a function, in `with`
    """A read-only connection whose errors are sentences."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._engine = open_engine(path, writes=False)
        self._connection: Connection | None = None

    def __enter__(self) -> Connection:
        try:
            self._connection = self._engine.connect()
        except SQLAlchemyError as error:
            raise StoreError(f"{self._path} cannot be read: {explain(error)}") from None
        return self._connection

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if self._connection is not None:
            self._connection.close()
        self._engine.dispose()
        if isinstance(error, SQLAlchemyError):
            raise StoreError(f"{self._path} cannot be read: {explain(error)}") from None


def _escape(path: Path) -> str:
    return str(path).replace("%", "%%")
