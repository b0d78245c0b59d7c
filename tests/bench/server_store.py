"""How many messages a second the server's store writes to disk and deletes again, for many who wait at a time.

Each waiter stores a message for a device of its own, waits until it is on disk, deletes it, waits again, and begins
anew, through `Store.submit` and with the answers carried into an event loop as the server does it. Beside it in the
same run: the same store with one waiter, which is what it would do statement by statement; and the drivers with
nothing around them, which write what 64 waiters ask for as one transaction and look at no bound.

Run it with `python -m bench.server_store` in `tests/`, on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from entrenous_signaling.limits import MessageBounds
from entrenous_signaling.store.database import Databases, migrate
from entrenous_signaling.store.requests import DeleteMessages, Done, MessageOutcome, StoreMessage
from entrenous_signaling.store.session import Answer
from entrenous_signaling.store.writer import Store
from lab.postgres import Cluster, find_programs, running_cluster
from world.storeworld import registration

WAITERS = 64
BODY = bytes(range(256)) * 3
"""As large as a sealed notice of a missed call."""
SECONDS = 3.0
EXPIRES = 20_000 * 86_400


@dataclass(frozen=True)
class Measured:
    """One row of the table.

    Args:
        name: of what was measured.
        waiters: who waited at a time.
        pairs: messages stored and deleted, a second.
        median, high: milliseconds until one was on disk, for half and for 99 % of them.
        cpu: microseconds of this process for one of them, all threads together.
    """

    name: str
    waiters: int
    pairs: float
    median: float
    high: float
    cpu: float


class _Load:
    """Waiters who never rest.

    Args:
        store: which is asked.
        waiters: how many wait at a time.
        seconds: for how long.
    """

    def __init__(self, store: Store, waiters: int, seconds: float) -> None:
        self._store = store
        self._waiters = waiters
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._bounds = MessageBounds()
        self._asked_at: dict[int, float] = {}
        self._numbers = [0] * waiters
        self._going = 0
        self._until = 0.0
        self._over = self._loop.create_future()
        self.latencies: list[float] = []
        self.pairs = 0

    async def run(self) -> float:
        """Ask until the time is over; the seconds that it took."""
        self._store.start(lambda answers: self._loop.call_soon_threadsafe(self._take, answers))
        for number in range(self._waiters):
            self._store.submit(-1 - number, registration(f"user{number}"))
        self._going = self._waiters
        await self._over
        self._over = self._loop.create_future()
        self._going = self._waiters
        begun = time.perf_counter()
        self._until = begun + self._seconds
        for waiter in range(self._waiters):
            self._ask(waiter)
        await self._over
        return time.perf_counter() - begun

    def _ask(self, waiter: int) -> None:
        self._numbers[waiter] += 1
        self._asked_at[waiter] = time.perf_counter()
        name = self._numbers[waiter].to_bytes(16, "big")
        wanted = StoreMessage(f"user{waiter}", "d1", name, b"t" * 16, BODY, EXPIRES, self._bounds)
        self._store.submit(2 * waiter, wanted)

    def _take(self, answers: Sequence[Answer]) -> None:
        now = time.perf_counter()
        for ticket, result in answers:
            waiter, deleted = divmod(ticket, 2)
            if ticket < 0:
                self._one_less()
            elif deleted:
                assert result is Done.DONE
                self.pairs += 1
                if now < self._until:
                    self._ask(waiter)
                else:
                    self._one_less()
            else:
                assert result is MessageOutcome.STORED
                self.latencies.append(now - self._asked_at[waiter])
                name = self._numbers[waiter].to_bytes(16, "big")
                self._store.submit(ticket + 1, DeleteMessages(f"user{waiter}", "d1", (name,)))

    def _one_less(self) -> None:
        self._going -= 1
        if not self._going:
            self._over.set_result(None)


def measure_store(name: str, databases: Databases, waiters: int, seconds: float = SECONDS) -> Measured:
    """The store as the server uses it."""
    store = Store(databases)

    async def run() -> Measured:
        load = _Load(store, waiters, seconds)
        cpu = time.process_time()
        took = await load.run()
        cpu = time.process_time() - cpu
        return _measured(name, waiters, load.pairs, took, load.latencies, cpu)

    try:
        return asyncio.run(run())
    finally:
        store.close()


def measure_sqlite3(folder: Path, seconds: float = SECONDS) -> Measured:
    """`sqlite3` with nothing around it, on the same tables and with the same promises about the disk."""
    migrate(Databases(folder))
    database = sqlite3.connect(folder / "accounts.sqlite3", isolation_level=None)
    for pragma in ("synchronous=FULL", "secure_delete=ON", "foreign_keys=ON"):
        database.execute(f"PRAGMA {pragma}")
    users = [f"user{number}" for number in range(WAITERS)]
    database.executemany("INSERT INTO account VALUES (?, 'key', 1)", [(user,) for user in users])
    database.executemany("INSERT INTO device VALUES (?, 'd1', 'certificate', 1)", [(user,) for user in users])

    def write(rows: list[tuple[object, ...]]) -> None:
        database.execute("BEGIN IMMEDIATE")
        database.executemany("INSERT INTO message VALUES (NULL, ?, ?, ?, ?, ?, ?)", rows)
        database.execute("COMMIT")

    def delete(rows: list[tuple[object, ...]]) -> None:
        database.execute("BEGIN IMMEDIATE")
        database.executemany("DELETE FROM message WHERE username = ? AND device = ? AND id = ?", rows)
        database.execute("COMMIT")

    try:
        return _measure_driver("sqlite3, executemany", users, write, delete, seconds)
    finally:
        database.close()


def measure_psycopg(databases: Databases, seconds: float = SECONDS) -> Measured:
    """psycopg with nothing around it."""
    import psycopg

    migrate(databases)
    with psycopg.connect(databases.url) as connection, connection.cursor() as cursor:
        cursor.execute("SET search_path TO accounts")
        users = [f"user{number}" for number in range(WAITERS)]
        cursor.executemany("INSERT INTO account VALUES (%s, 'key', 1)", [(user,) for user in users])
        cursor.executemany("INSERT INTO device VALUES (%s, 'd1', 'certificate', 1)", [(user,) for user in users])
        connection.commit()

        def write(rows: list[tuple[object, ...]]) -> None:
            names = "username, device, id, sender_tag, body, expires"
            cursor.executemany(f"INSERT INTO message ({names}) VALUES (%s, %s, %s, %s, %b, %s)".encode(), rows)
            connection.commit()

        def delete(rows: list[tuple[object, ...]]) -> None:
            cursor.executemany("DELETE FROM message WHERE username = %s AND device = %s AND id = %s", rows)
            connection.commit()

        return _measure_driver("psycopg, executemany", users, write, delete, seconds)


def _measure_driver(
    name: str,
    users: Sequence[str],
    write: Callable[[list[tuple[object, ...]]], None],
    delete: Callable[[list[tuple[object, ...]]], None],
    seconds: float,
) -> Measured:
    latencies: list[float] = []
    pairs = 0
    cpu, begun = time.process_time(), time.perf_counter()
    while (now := time.perf_counter()) < begun + seconds:
        message = pairs.to_bytes(16, "big")
        write([(user, "d1", message, b"t" * 16, BODY, EXPIRES) for user in users])
        latencies.append(time.perf_counter() - now)
        delete([(user, "d1", message) for user in users])
        pairs += len(users)
    took = time.perf_counter() - begun
    return _measured(name, len(users), pairs, took, latencies, time.process_time() - cpu)


def _measured(name: str, waiters: int, pairs: int, took: float, latencies: list[float], cpu: float) -> Measured:
    cuts = statistics.quantiles(latencies, n=100)
    return Measured(name, waiters, pairs / took, cuts[49] * 1e3, cuts[98] * 1e3, cpu / pairs * 1e6)


def flush_milliseconds(folder: Path) -> float:
    """How long the disk takes to flush 64 kB, which bounds everything here: half of the flushes were faster."""
    times = []
    with (folder / "flushed").open("wb", buffering=0) as file:
        for _ in range(50):
            file.seek(0)
            file.write(bytes(65536))
            begun = time.perf_counter()
            os.fdatasync(file.fileno())
            times.append((time.perf_counter() - begun) * 1e3)
    return statistics.median(times)


def measure_all(seconds: float = SECONDS) -> Iterator[Measured]:
    """Everything, each in databases of its own; PostgreSQL only where it is installed."""
    with _own_core(0), ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (folder / "driver").mkdir()
        yield measure_sqlite3(folder / "driver", seconds)
        yield measure_store("store, SQLite", Databases(folder / "many"), WAITERS, seconds)
        yield measure_store("store, SQLite", Databases(folder / "one"), 1, seconds)
        if find_programs() is not None:
            with _own_core(-1):
                cluster = stack.enter_context(running_cluster(on_disk=True))
            yield measure_psycopg(_empty(cluster, folder), seconds)
            yield measure_store("store, PostgreSQL", _empty(cluster, folder), WAITERS, seconds)
            yield measure_store("store, PostgreSQL", _empty(cluster, folder), 1, seconds)


def _empty(cluster: Cluster, folder: Path) -> Databases:
    return Databases(folder / "lock", cluster.url(cluster.empty()))


@contextmanager
def _own_core(which: int) -> Iterator[None]:
    """Run on one core, and let what is started meanwhile do so too."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {sorted(before | os.sched_getaffinity(1))[which]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of each measurement")
    seconds = parser.parse_args().seconds
    with tempfile.TemporaryDirectory() as folder:
        print(f"The disk flushes 64 kB in {flush_milliseconds(Path(folder)):.2f} ms.")
    print(f"{'':24}{'waiters':>8}{'store + delete/s':>18}{'p50 ms':>9}{'p99 ms':>9}{'CPU µs each':>13}")
    for row in measure_all(seconds):
        print(f"{row.name:24}{row.waiters:8}{row.pairs:18,.0f}{row.median:9.2f}{row.high:9.2f}{row.cpu:13.0f}")


if __name__ == "__main__":
    main()
