"""The store as the server uses it: requests go in without waiting, answers come back in batches.

One thread writes; whatever waits for it goes into one transaction a part, as few statements, so that many wait for
one flush of the disk (group commit). Another thread reads, so that a locked writer stops no login. A batch that the
database cannot take now (locked, full, away) fails as a whole.

What a batch deletes is overwritten in a SQLite file at once but stands in the write-ahead log until that is folded in:
half a second after the last write, and within two seconds however busy the server is. Only somebody who reads the file
meanwhile (`entrenous-signaling calls`, a backup) puts that off until they are done. What `postgresql` says about its
own log is another matter.
"""

from __future__ import annotations

import fcntl
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import IO, Final

from .backend import Backend, Part
from .database import Databases, StoreError, migrate
from .expiry import expire, sweep
from .records import RecordRequest
from .requests import Closed, Done, Expire, Failed, StoreRequest, SweepRecords
from .session import Answer, BatchItem, Request, Session
from .statements import ReadRequest

LOCK_NAME: Final = "server.lock"
"""The file in the data directory that a running server has locked."""

_LOCK_LOOKS: Final = 10
_LOCK_PAUSE_SECONDS: Final = 0.02
"""Who only looks whether a server is there (`is_held`) has the lock for a moment, which is no reason not to start."""

_BATCH: Final = 256
_IDLE_SECONDS: Final = 0.5
_LONGEST_SECONDS: Final = 2.0
"""How long a write may stand in the write-ahead log: until nothing more comes, and while more comes."""
_LAST_CHORES_SECONDS: Final = 10.0
"""How long housekeeping goes on when it is time to stop; the next start begins with it anew."""

Answered = Callable[[Sequence[Answer]], None]


class Store:
    """The databases of one server; its data directory is held for this process alone.

    Args:
        databases: where they are; the data directory is made when it is not there.

    Raises:
        StoreError: they cannot be used, or another server uses the directory.
    """

    def __init__(self, databases: Databases) -> None:
        self._lock = _lock(databases.folder)
        migrate(databases)
        self._backend = databases.backend()
        self._writes: queue.SimpleQueue[Request | None] = queue.SimpleQueue()
        self._reads: queue.SimpleQueue[Request | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []

    def start(self, answered: Answered) -> None:
        """Begin to carry out requests.

        Args:
            answered: called in the store's threads with what was carried out, in the order of the requests of
                each thread; of those that concern accounts, and of those that concern records.
        """
        self._threads = [
            threading.Thread(target=lambda: _Writer(self._backend, self._writes, answered).run(), name="store-writer"),
            threading.Thread(target=self._read, args=(answered,), name="store-reader"),
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, ticket: int, request: StoreRequest) -> None:
        """Ask for something; the answer carries the ticket."""
        (self._reads if isinstance(request, ReadRequest) else self._writes).put((ticket, request))

    def close(self) -> None:
        """Carry out what was submitted, fold the write-ahead logs in, and let go of the directory.

        Housekeeping that takes too long for that is left where it is, and has no answer.
        """
        self._writes.put(None)
        self._reads.put(None)
        for thread in self._threads:
            thread.join()
        self._backend.close()
        self._lock.close()

    def _read(self, answered: Answered) -> None:
        accounts = Session(self._backend, Part.ACCOUNTS, writes=False)
        going_on = True
        while going_on:
            batch, going_on = _take(self._reads, None)
            items: list[BatchItem] = [(ticket, wanted) for ticket, wanted in batch if isinstance(wanted, ReadRequest)]
            if items:
                answered(accounts.answer(items))
        accounts.close()


class _Writer:
    """What the writing thread does.

    Args:
        backend: the kind of database.
        source: what it is asked; None ends it.
        answered: whom it tells.
    """

    def __init__(self, backend: Backend, source: queue.SimpleQueue[Request | None], answered: Answered) -> None:
        self._accounts = Session(backend, Part.ACCOUNTS, writes=True)
        self._usage = Session(backend, Part.USAGE, writes=True)
        self._source = source
        self._answered = answered
        self._chores: deque[tuple[int, Generator[None, None, Closed | None]]] = deque()

    def run(self) -> None:
        """Write until it is time to stop."""
        dirty_since: float | None = None
        going_on = True
        while going_on:
            timeout = None if dirty_since is None else _IDLE_SECONDS
            batch, going_on = _take(self._source, 0.0 if self._chores else timeout)
            worked = bool(batch or self._chores)
            self._carry_out(batch)
            if self._chores:
                self._do_chore()
            now = time.monotonic()
            if worked and dirty_since is None:
                dirty_since = now
            if dirty_since is not None and (not worked or now - dirty_since >= _LONGEST_SECONDS):
                folded = [self._accounts.fold(), self._usage.fold()]
                dirty_since = None if all(folded) else now
        until = time.monotonic() + _LAST_CHORES_SECONDS
        while self._chores and time.monotonic() < until:
            self._do_chore()
        for session in (self._accounts, self._usage):
            session.fold()
            session.close()

    def _carry_out(self, batch: Sequence[Request]) -> None:
        accounts: list[BatchItem] = []
        usage: list[BatchItem] = []
        for ticket, request in batch:
            if isinstance(request, Expire):
                self._chores.append((ticket, expire(self._accounts, self._usage, request)))
            elif isinstance(request, SweepRecords):
                self._chores.append((ticket, sweep(self._usage, request)))
            elif isinstance(request, RecordRequest):
                usage.append((ticket, request))
            else:
                accounts.append((ticket, request))
        for session, items in ((self._accounts, accounts), (self._usage, usage)):
            if items:
                self._answered(session.answer(items))

    def _do_chore(self) -> None:
        """Take one step of housekeeping."""
        ticket, steps = self._chores[0]
        try:
            next(steps)
        except StopIteration as end:
            self._finish_chore(ticket, end.value or Done.DONE)
        except Exception:  # whatever keeps it from its work, requests are answered
            self._finish_chore(ticket, Failed.FAILED)

    def _finish_chore(self, ticket: int, result: Done | Closed | Failed) -> None:
        self._chores.popleft()
        self._answered([(ticket, result)])


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
        lock = (folder / LOCK_NAME).open("wb")
    except OSError as error:
        raise StoreError(f"The data directory {folder} cannot be written: {error.strerror}.") from None
    for _ in range(_LOCK_LOOKS):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            time.sleep(_LOCK_PAUSE_SECONDS)
        else:
            return lock
    lock.close()
    raise StoreError(
        f"Another server uses the data directory {folder}: stop it, or name another directory with --data."
    )


def is_held(folder: Path) -> bool:
    """Whether a server uses a data directory now."""
    try:
        with (folder / LOCK_NAME).open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
