"""The store as the server uses it: requests go in without waiting, answers come back in batches.

One thread writes both databases; whatever waits for it goes into one transaction a database, so that many wait for
one flush of the disk (group commit). Another thread reads, so that a locked writer stops no login. A batch that the
database refuses (locked, full) fails as a whole, and nothing of it happened.

What a batch deletes is overwritten in the database at once but stands in the write-ahead log until that is folded in:
half a second after the last write, and within two seconds however busy the server is. Only somebody who reads the file
meanwhile (`entrenous-signaling calls`, a backup) puts that off until they are done.
"""

from __future__ import annotations

import contextlib
import fcntl
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Final

from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from .database import BUSY_SECONDS, Databases, StoreError, migrate, open_engine, read_open_rows
from .requests import Failed, OpenRow, ReadAccount, StoreRequest, StoreResult
from .statements import AccountsRequest, UsageRequest, carry_out

Request = tuple[int, StoreRequest]
"""A ticket and what was asked with it."""
Answer = tuple[int, StoreResult | Failed]
"""A ticket and what came of it."""

_BATCH: Final = 256
_IDLE_SECONDS: Final = 0.5
_LONGEST_SECONDS: Final = 2.0
"""How long a write may stand in the write-ahead log: until nothing more comes, and while more comes."""


class Store:
    """The databases of one data directory, held for this process alone.

    Args:
        folder: the data directory; it is made when it is not there.

    Raises:
        StoreError: it cannot be used, or another server uses it.
    """

    def __init__(self, folder: Path) -> None:
        self._lock = _lock(folder)
        self._databases = Databases(folder)
        migrate(self._databases.accounts)
        migrate(self._databases.usage)
        self._writes: queue.SimpleQueue[Request | None] = queue.SimpleQueue()
        self._reads: queue.SimpleQueue[Request | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []

    def open_rows(self) -> list[OpenRow]:
        """The call records that an earlier run of the server left open.

        Raises:
            StoreError: they cannot be read.
        """
        return read_open_rows(self._databases)

    def start(self, answered: Callable[[Sequence[Answer]], None]) -> None:
        """Begin to carry out requests.

        Args:
            answered: called in the store's threads with what was carried out, in the order of the requests of
                each thread.
        """
        self._threads = [
            threading.Thread(target=self._write, args=(answered,), name="store-writer"),
            threading.Thread(target=self._read, args=(answered,), name="store-reader"),
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, ticket: int, request: StoreRequest) -> None:
        """Ask for something; the answer carries the ticket."""
        (self._reads if isinstance(request, ReadAccount) else self._writes).put((ticket, request))

    def close(self) -> None:
        """Carry out what was submitted, fold the write-ahead logs in, and let go of the directory."""
        self._writes.put(None)
        self._reads.put(None)
        for thread in self._threads:
            thread.join()
        self._lock.close()

    def _read(self, answered: Callable[[Sequence[Answer]], None]) -> None:
        file = _File(self._databases.accounts, writes=False)
        going_on = True
        while going_on:
            batch, going_on = _take(self._reads, None)
            if batch:
                answered(file.transact(batch))
        file.close()

    def _write(self, answered: Callable[[Sequence[Answer]], None]) -> None:
        accounts = _File(self._databases.accounts, writes=True)
        usage = _File(self._databases.usage, writes=True)
        dirty_since: float | None = None
        going_on = True
        while going_on:
            batch, going_on = _take(self._writes, None if dirty_since is None else _IDLE_SECONDS)
            for file, part in (
                (accounts, [item for item in batch if isinstance(item[1], AccountsRequest)]),
                (usage, [item for item in batch if isinstance(item[1], UsageRequest)]),
            ):
                if part:
                    answered(file.transact(part))
            now = time.monotonic()
            if batch and dirty_since is None:
                dirty_since = now
            if dirty_since is not None and (not batch or now - dirty_since >= _LONGEST_SECONDS):
                folded = [accounts.checkpoint(), usage.checkpoint()]
                dirty_since = None if all(folded) else now
        for file in (accounts, usage):
            file.checkpoint()
            file.close()


class _File:
    """One database file, as one thread uses it; a connection that failed is opened again for the next batch."""

    def __init__(self, path: Path, *, writes: bool) -> None:
        self._engine = open_engine(path, writes=writes)
        self._connection: Connection | None = None
        self._folded = True

    def transact(self, batch: Sequence[Request]) -> list[Answer]:
        """Carry out a batch in one transaction, all of it or nothing."""
        self._folded = False
        try:
            connection = self._connected()
            with connection.begin():
                return [(ticket, carry_out(connection, request)) for ticket, request in batch]
        except (OperationalError, sqlite3.OperationalError):
            self._drop_connection()
            return [(ticket, Failed.FAILED) for ticket, _ in batch]
        except Exception:  # whatever one request does, the others and the thread go on
            self._drop_connection()
            if len(batch) == 1:
                return [(batch[0][0], Failed.FAILED)]
            return [answer for item in batch for answer in self.transact([item])]

    def checkpoint(self) -> bool:
        """Fold the write-ahead log into the file and empty it, so that no deleted token stays there.

        Returns:
            False when another process was reading, or the database refused: try again later.
        """
        if self._folded:
            return True
        try:
            # On the driver's own connection, since it has to happen outside of any transaction.
            cursor = self._connected().connection.cursor()
            try:
                # It waits for nobody who reads: requests would wait with it.
                cursor.execute("PRAGMA busy_timeout=0")
                cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                busy, _, _ = cursor.fetchone() or (True, 0, 0)
                cursor.execute(f"PRAGMA busy_timeout={BUSY_SECONDS * 1000:.0f}")
            finally:
                cursor.close()
        except (SQLAlchemyError, sqlite3.Error):
            self._drop_connection()
            return False
        self._folded = not busy
        return self._folded

    def close(self) -> None:
        """Let go of the file."""
        self._drop_connection()
        self._engine.dispose()

    def _connected(self) -> Connection:
        if self._connection is None:
            self._connection = self._engine.connect()
        return self._connection

    def _drop_connection(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(SQLAlchemyError, sqlite3.Error):
                connection.close()


def _take(source: queue.SimpleQueue[Request | None], timeout: float | None) -> tuple[list[Request], bool]:
    """Wait for a request and take what waits behind it; False when it is time to stop."""
    batch: list[Request] = []
    try:
        item = source.get(timeout=timeout)
        while item is not None:
            batch.append(item)
            if len(batch) == _BATCH:
                return batch, True
            item = source.get_nowait()
    except queue.Empty:
        return batch, True
    return batch, False


def _lock(folder: Path) -> IO[bytes]:
    """Make the data directory and keep other servers out of it; the lock ends with the process."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = (folder / "server.lock").open("wb")
    except OSError as error:
        raise StoreError(f"The data directory {folder} cannot be written: {error.strerror}.") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise StoreError(
            f"Another server uses the data directory {folder}: stop it, or name another directory with --data."
        ) from None
    return lock
