"""SQLite: one file a part in the data directory, for a server that is one process.

Write-ahead log with synchronous=FULL, so that what was acknowledged survives a power cut; secure_delete, so that
the token of a closed record, or a message that was delivered, is overwritten and not only unlinked. Copies of it in
the log go when the log is folded in, which `writer` sees to. With auto_vacuum=INCREMENTAL the pages that are left over
can be cut off the file without writing all of it anew.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.pool import ConnectionPoolEntry, NullPool

from .backend import Part, StoreError, Transact

BUSY_SECONDS: Final = 1.0
"""How long a statement waits for another process that holds the database locked."""

_PAGES_A_STEP: Final = 256
_INCREMENTAL: Final = 2


class SqliteFiles:
    """The files in a data directory.

    Args:
        folder: the data directory.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, part: Part) -> Path:
        """The file of a part."""
        return self._folder / f"{part.value}.sqlite3"

    def name(self, part: Part) -> str:
        """The path."""
        return str(self.path(part))

    def exists(self, part: Part) -> bool:
        """Whether there is such a file; behind a folder that is closed to this user there may be one."""
        try:
            return self.path(part).exists()
        except PermissionError:
            return True

    def engine(self, part: Part, *, writes: bool) -> Engine:
        """An engine on one file, which it creates when it writes.

        What writes takes the write lock at the begin of a transaction, instead of failing in the middle of it.
        """
        place = f"{self.path(part).absolute().as_uri()}?mode={'rwc' if writes else 'ro'}"

        def connect() -> sqlite3.Connection:
            return sqlite3.connect(
                place,
                uri=True,
                timeout=BUSY_SECONDS,
                isolation_level=None,  # transactions begin where `begin` below says so
                check_same_thread=False,  # opened in one thread and handed over to another, never shared
            )

        engine = create_engine("sqlite://", creator=connect, poolclass=NullPool, hide_parameters=True)

        @event.listens_for(engine, "connect")
        def prepare(connection: sqlite3.Connection, entry: ConnectionPoolEntry) -> None:
            cursor = connection.cursor()
            cursor.execute("PRAGMA foreign_keys=ON")
            cursor.execute("PRAGMA temp_store=MEMORY")
            if writes:
                if cursor.execute("PRAGMA page_count").fetchone() == (0,):  # only a file without any table can change
                    cursor.execute(f"PRAGMA auto_vacuum={_INCREMENTAL}")
                cursor.execute("PRAGMA journal_mode=WAL")
                cursor.execute("PRAGMA synchronous=FULL")
                cursor.execute("PRAGMA secure_delete=ON")
            cursor.close()

        @event.listens_for(engine, "begin")
        def begin(connection: Connection) -> None:
            connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

        return engine

    def is_settled(self, part: Part, connection: Connection) -> bool:
        """Whether space can be given back in the file."""
        return connection.exec_driver_sql("PRAGMA auto_vacuum").scalar() == _INCREMENTAL

    @contextmanager
    def migration(self, part: Part, connection: Connection) -> Iterator[None]:
        """Take the steps, and write a file of an earlier version anew so that space can be given back in it."""
        yield
        cursor = _driver_cursor(connection)
        try:
            if cursor.execute("PRAGMA auto_vacuum").fetchone() != (_INCREMENTAL,):
                cursor.execute(f"PRAGMA auto_vacuum={_INCREMENTAL}")
                cursor.execute("VACUUM")
        except sqlite3.Error as error:
            raise StoreError(f"{self.name(part)} cannot be written anew, as this update asks for: {error}.") from None
        finally:
            cursor.close()

    def fold(self, connection: Connection) -> bool:
        """Fold the write-ahead log into the file and empty it."""
        # On the driver's own connection, since it has to happen outside of any transaction.
        cursor = _driver_cursor(connection)
        try:
            # It waits for nobody who reads: requests would wait with it.
            cursor.execute("PRAGMA busy_timeout=0")
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            busy, _, _ = cursor.fetchone() or (True, 0, 0)
            cursor.execute(f"PRAGMA busy_timeout={BUSY_SECONDS * 1000:.0f}")
        finally:
            cursor.close()
        return not busy

    def give_back(self, part: Part, transact: Transact) -> Iterator[None]:
        """Cut free pages off the file, some at a time."""

        def some(connection: Connection) -> bool:
            cursor = _driver_cursor(connection)
            try:
                # Each row that it is asked for frees one page more.
                cursor.execute(f"PRAGMA incremental_vacuum({_PAGES_A_STEP})").fetchall()
                (left,) = cursor.execute("PRAGMA freelist_count").fetchone() or (0,)
            finally:
                cursor.close()
            return bool(left)

        while transact(some):
            yield

    def indiscretions(self, connection: Connection) -> list[tuple[str, str]]:
        """It has no log."""
        return []

    def close(self) -> None:
        """Nothing goes on beside the store's threads."""


def _driver_cursor(connection: Connection) -> sqlite3.Cursor:
    driver = connection.connection.driver_connection
    if not isinstance(driver, sqlite3.Connection):
        raise TypeError("this is no connection to SQLite")
    return driver.cursor()
