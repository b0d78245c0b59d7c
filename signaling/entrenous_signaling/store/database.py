"""Where the databases are: opening, checking and migrating them, and the operator's own look into them."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, insert, select
from sqlalchemy.exc import SQLAlchemyError

from . import schema
from .backend import Backend, Part, Result, StoreError, explain
from .requests import AccountTotals, CountAccounts, OpenRow, ReadClock, RemoveAccount, Removed
from .revisions import REVISIONS, revision
from .sqlite import SqliteFiles
from .statements import count_accounts, read_clock, remove_account

__all__ = [
    "Databases",
    "StoreError",
    "add_invites",
    "clock",
    "count",
    "migrate",
    "opened",
    "read_open_rows",
    "read_records",
    "remove",
]

_FETCHED: Final = 1000
"""Rows that an export holds in memory at a time."""


@dataclass(frozen=True, slots=True)
class Databases:
    """Where the databases are.

    Args:
        folder: the data directory, in which the SQLite files are.
        url: `postgresql://user@host:port/database` instead of those files; never with a password in it.
        password: for it; without one libpq looks where PGPASSFILE says.
    """

    folder: Path
    url: str = ""
    password: str | None = field(default=None, repr=False)

    def backend(self) -> Backend:
        """The kind of database, to open it with.

        Raises:
            StoreError: the URL cannot be used, or the driver for PostgreSQL is not installed.
        """
        if not self.url:
            return SqliteFiles(self.folder)
        try:
            from .postgresql import PostgresSchemas  # its driver is installed where it is used, and only there
        except ImportError:
            raise StoreError(
                "The driver for PostgreSQL is not installed: pip install 'entrenous[server,postgresql]'."
            ) from None
        return PostgresSchemas(self.url, self.password)


def migrate(databases: Databases) -> None:
    """Bring both parts to the version of this program, creating them when they are not there.

    Raises:
        StoreError: one is newer than this program, is no database, or cannot be written.
    """
    backend = databases.backend()
    for part in Part:
        _migrate(backend, part)


def _migrate(backend: Backend, part: Part) -> None:
    with opened(backend, part, writes=True) as connection:
        if _is_current(backend, part, connection):
            return
        from .upgrading import upgrade  # it takes a second to load, and is needed once a version

        with backend.migration(part, connection):
            if not _is_current(backend, part, connection):  # another process may have been faster
                upgrade(part, connection)


def _is_current(backend: Backend, part: Part, connection: Connection) -> bool:
    """Whether there is nothing to migrate; leaves no transaction open.

    Raises:
        StoreError: it is newer than this program.
    """
    current, known = revision(connection), REVISIONS[part]
    if current is not None and current not in known:
        raise StoreError(
            f"{backend.name(part)} was written by a newer version of this program: update entrenous-signaling, or "
            "name another data directory with --data."
        )
    settled = current == known[-1] and backend.is_settled(part, connection)
    connection.rollback()
    return settled


def read_open_rows(databases: Databases) -> list[OpenRow]:
    """The call records that are open.

    Raises:
        StoreError: they cannot be read.
    """
    table = schema.open_record
    with opened(databases.backend(), Part.USAGE, writes=False) as connection:
        rows = connection.execute(select(table.c.token, table.c.start, table.c.seen)).all()
    return [OpenRow(token, start, seen) for token, start, seen in rows]


def read_records(
    databases: Databases, since: int | None = None, until: int | None = None
) -> Generator[tuple[int, int], None, None]:
    """Start (Unix seconds) and duration (seconds) of the calls that have ended, oldest start first.

    They are fetched as they are taken, however many there are. A server may be writing to the same database meanwhile.

    Args:
        databases: where they are.
        since, until: Unix seconds; calls that started at `since` or later, and before `until`.

    Raises:
        StoreError: there is no such database, or it cannot be read.
    """
    backend = databases.backend()
    if not backend.exists(Part.USAGE):
        raise StoreError(f"There is no {backend.name(Part.USAGE)}: name the server's data directory with --data.")
    table = schema.call_record
    chosen = select(table.c.start, table.c.duration).order_by(table.c.start)
    if since is not None:
        chosen = chosen.where(table.c.start >= since)
    if until is not None:
        chosen = chosen.where(table.c.start < until)
    with opened(backend, Part.USAGE, writes=False) as connection:
        for start, duration in connection.execution_options(yield_per=_FETCHED).execute(chosen):
            yield int(start), int(duration)


def add_invites(databases: Databases, hashes: Iterable[bytes]) -> None:
    """Let each of the invite codes with these hashes be used once; a server may be running meanwhile.

    Raises:
        StoreError: they cannot be stored.
    """
    rows = [{"hash": value} for value in hashes]
    _write(databases, lambda connection: connection.execute(insert(schema.invite), rows))


def count(databases: Databases) -> AccountTotals:
    """How many accounts, devices and waiting messages there are; a server may be running meanwhile.

    Raises:
        StoreError: they cannot be read.
    """
    with opened(databases.backend(), Part.ACCOUNTS, writes=False) as connection:
        return count_accounts(connection, CountAccounts())


def clock(databases: Databases) -> float | None:
    """What the clock of the database shows, in Unix seconds; None when it has none but that of this machine.

    Raises:
        StoreError: it cannot be read.
    """
    backend = databases.backend()
    if not backend.exists(Part.ACCOUNTS):
        return None
    with opened(backend, Part.ACCOUNTS, writes=False) as connection:
        return read_clock(connection, ReadClock()).seconds


def remove(databases: Databases, username: str) -> Removed | None:
    """Delete an account with all that is its own, while no server runs, or one that does not know of it.

    Returns:
        What went with it, or None when there is no such account.

    Raises:
        StoreError: it cannot be deleted.
    """
    return _write(databases, lambda connection: remove_account(connection, RemoveAccount(username)))


def _write(databases: Databases, work: Callable[[Connection], Result]) -> Result:
    migrate(databases)
    with opened(databases.backend(), Part.ACCOUNTS, writes=True) as connection, connection.begin():
        return work(connection)


@contextmanager
def opened(backend: Backend, part: Part, *, writes: bool) -> Iterator[Connection]:
    """A connection to one part whose errors are sentences.

    Raises:
        StoreError: it cannot be used, or something in the block was refused.
    """
    engine = backend.engine(part, writes=writes)
    try:
        with engine.connect() as connection:
            yield connection
    except SQLAlchemyError as error:
        verb = "used" if writes else "read"
        raise StoreError(f"{backend.name(part)} cannot be {verb}: {explain(error)}") from None
    finally:
        engine.dispose()
