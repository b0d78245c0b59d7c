"""After a working day, whoever has the disk, the log, the pages and the answers of a server has what is published.

Every byte of them is searched for every name, address, id, token and body of the day: while it runs, as a SIGKILL
leaves it, when it is back, and when it has ended. What is published may be in the place that is published, and is
looked for there too: a search that finds nothing anywhere proves nothing.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from entrenous_signaling.logs import LOGGED
from entrenous_signaling.store.database import Databases
from lab.postgres import Cluster
from world.canaries import search
from world.seizure import answers_of, files_of, files_of_server, rows_of
from world.serverproc import ServerProcess, running_server
from world.working_day import (
    CLOSED_RECORD,
    DEVICE,
    GONE_DEVICE,
    GONE_NAME,
    LETTER,
    LETTER_BODY,
    NAME,
    OPEN_RECORD,
    TAKEN,
    TAKEN_BODY,
    WorkingDay,
)

PATIENCE = 60.0
"""Seconds after which what a test waits for will not come any more."""

IN_ACCOUNTS = {NAME, DEVICE, LETTER, LETTER_BODY}
IN_USAGE = {OPEN_RECORD}
"""What is published to be in the two databases; nothing is published to be anywhere else."""

DELETED = {GONE_NAME, GONE_DEVICE, TAKEN, TAKEN_BODY}
"""What was among the accounts and is deleted."""

BLOCK = 8192
"""Bytes that PostgreSQL writes at a time."""

FILES = {
    *(f"{name}.sqlite3{suffix}" for name in ("accounts", "usage") for suffix in ("", "-wal", "-shm")),
    "message-secret",
    "server.lock",
    "log",
}


def settings(folder: Path, **more: str) -> Path:
    """A configuration that is an operator's, but for how long a drain takes, and how long devices may be away."""
    file = folder / "server.toml"
    values = {"trusted_proxies": '["127.0.0.1"]', "drain_seconds": "1.0", "grace_seconds": "600.0", **more}
    lines = [f"{key} = {value}" for key, value in values.items()]
    file.write_text("\n".join([*lines, "[limits]", "limit_loopback = true", ""]))
    return file


def kinds_by_place(places: dict[str, bytes], day: WorkingDay) -> dict[str, set[str]]:
    """What is found in each place."""
    looked_for = day.canaries
    return {place: {trace.what for trace in search(place, data, looked_for)} for place, data in places.items()}


def check_sqlite(places: dict[str, bytes], day: WorkingDay, *, open_records: set[str]) -> None:
    found = kinds_by_place(places, day)
    in_accounts, in_usage = set[str](), set[str]()
    for place, kinds in found.items():
        if place.startswith("accounts.sqlite3"):
            in_accounts |= kinds
        elif place.startswith("usage.sqlite3"):
            in_usage |= kinds
        else:
            assert kinds == set(), (place, kinds)
    assert in_accounts == IN_ACCOUNTS
    assert in_usage == open_records


def check_rows(databases: Databases, day: WorkingDay) -> None:
    """No row leads from one person to another: not who has left a letter for whom, nor whose a call is."""
    for table, rows in rows_of(databases).items():
        named = [{who for who, names in day.people.items() if search(table, row, names)} for row in rows]
        if table.startswith("usage."):
            assert not any(named), table
        else:
            assert all(len(people) <= 1 for people in named), table
            assert any(named) or table in ("accounts.invite", "accounts.alembic_version"), table


async def folded(server: ServerProcess) -> None:
    """Wait until SQLite's logs are folded in, which happens two seconds after a write at the latest."""
    logs = [server.data / f"{name}.sqlite3-wal" for name in ("accounts", "usage")]
    async with asyncio.timeout(PATIENCE):
        while any(log.stat().st_size for log in logs):  # noqa: ASYNC110 - a file of another process has no event
            await asyncio.sleep(0.05)


async def test_with_sqlite(tmp_path: Path) -> None:
    config = settings(tmp_path)
    async with running_server(tmp_path, config=config, admin_listen="127.0.0.1:0") as server, WorkingDay(server) as day:
        databases = Databases(server.data)
        await day.morning()
        await folded(server)
        running = files_of_server(server)
        assert set(running) == FILES
        check_sqlite(running | await answers_of(server, databases), day, open_records=set())
        check_rows(databases, day)
        await day.crash()
        left = files_of_server(server)
        assert set(left) == FILES
        check_sqlite(left, day, open_records={OPEN_RECORD})
        await server.start()
        await day.recovery()
        await folded(server)
        check_sqlite(files_of_server(server) | await answers_of(server, databases), day, open_records={OPEN_RECORD})
        await day.evening()
        check_sqlite(files_of_server(server), day, open_records={OPEN_RECORD})


async def test_with_postgresql(tmp_path: Path, own_cluster: Cluster) -> None:
    database = own_cluster.empty()
    # As signaling/README.md tells operators to.
    for setting in ("log_error_verbosity = terse", "wal_recycle = off"):
        own_cluster.execute("postgres", f"ALTER SYSTEM SET {setting}")
    own_cluster.execute("postgres", "SELECT pg_reload_conf()")
    databases = Databases(tmp_path / "server-data", own_cluster.url(database))
    config = settings(tmp_path, database=f'"{databases.url}"', log='"json"')
    async with running_server(tmp_path, config=config, admin_listen="127.0.0.1:0") as server, WorkingDay(server) as day:

        async def check(*, running: bool, deleted: set[str]) -> None:
            """Look everywhere; of what is deleted, `deleted` may still be in the files of PostgreSQL."""
            own = files_of_server(server)
            assert set(own) == {"message-secret", "server.lock", "log"}
            places = own | (await answers_of(server, databases) if running else {})
            places["log of PostgreSQL"] = own_cluster.log.read_bytes()[logged:]
            assert {place: kinds for place, kinds in kinds_by_place(places, day).items() if kinds} == {}
            written = {place: changed(data) for place, data in files_of(own_cluster.folder / "data").items()}
            kept = set().union(*kinds_by_place(written, day).values())
            assert IN_ACCOUNTS <= kept <= IN_ACCOUNTS | IN_USAGE | deleted

        deleted_today = DELETED | {CLOSED_RECORD}
        logged = own_cluster.log.stat().st_size
        changed = changes_since(files_of(own_cluster.folder / "data"))
        await day.morning()
        await check(running=True, deleted=deleted_today)
        check_rows(databases, day)
        await day.crash()
        await check(running=False, deleted=deleted_today)
        await server.start()
        await day.recovery()
        await check(running=True, deleted=deleted_today)
        await day.evening()
        check_log(server.log.read_text())
        give_space_back(own_cluster, database, "VACUUM")
        assert samples(own_cluster, database) == []
        for place, data in files_of(own_cluster.folder / "data").items():
            if not place.startswith("base/"):  # what is left of a row in a page that others still use
                assert kinds_by_place({place: changed(data)}, day)[place] & deleted_today == set(), place
        give_space_back(own_cluster, database, "VACUUM FULL")
        await check(running=False, deleted=set())


def changes_since(files: dict[str, bytes]) -> Callable[[bytes], bytes]:
    """Tells what of a file PostgreSQL has written since then: most of its files are the same in every database."""
    known = {block for data in files.values() for block in blocks_of(data)} | {bytes(BLOCK)}
    return lambda data: b"".join(block for block in blocks_of(data) if block not in known)


def blocks_of(data: bytes) -> Iterator[bytes]:
    return (data[start : start + BLOCK] for start in range(0, len(data), BLOCK))


def give_space_back(cluster: Cluster, database: str, vacuum: str) -> None:
    """What housekeeping, autovacuum and time do, or the operator."""
    for statement in (vacuum, "ANALYZE", "CHECKPOINT", "SELECT pg_switch_wal()", "CHECKPOINT"):
        cluster.execute(database, statement)


def samples(cluster: Cluster, database: str) -> Sequence[tuple[object, ...]]:
    """What PostgreSQL has noted for its planner of what is in the tables."""
    return cluster.execute(database, "SELECT * FROM pg_stats WHERE schemaname IN ('accounts', 'usage')")


def check_log(text: str) -> None:
    """Every line has the fields that are published for its event, and each of them is of its type."""
    published = {event.value[0]: {field.value for field in fields} for event, fields in LOGGED.items()}
    seen = set()
    for line in text.splitlines():
        said = json.loads(line)
        event = said.pop("event")
        time.strptime(said.pop("time"), "%Y-%m-%dT%H:%M:%SZ")
        assert said.pop("level") in ("info", "warning", "error")
        assert said.keys() <= published[event], line
        assert all(isinstance(value, int) or name == "source" for name, value in said.items()), line
        seen.add(event)
    assert {"started", "draining", "stopped"} <= seen
