"""The files: how durable and how forgetful they are, and that they get smaller."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest

from entrenous_signaling.limits import MessageBounds
from entrenous_signaling.store import sqlite
from entrenous_signaling.store.backend import Part, StoreError
from entrenous_signaling.store.database import Databases, count, migrate
from entrenous_signaling.store.requests import DeleteMessages, Done, Expire, StoreMessage
from entrenous_signaling.store.sqlite import SqliteFiles
from world.storeworld import RunningStore, registration, running

BODY = b"\xc5SEALED-BODY-OF-A-MESSAGE" * 100


def test_the_files_are_as_durable_and_forgetful_as_promised(tmp_path: Path) -> None:
    migrate(Databases(tmp_path))
    with SqliteFiles(tmp_path).engine(Part.USAGE, writes=True).connect() as connection:
        pragma = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "secure_delete", "temp_store", "foreign_keys", "auto_vacuum")
        }
    assert list(pragma.values()) == ["wal", 2, 1, 2, 1, 2]


def test_opening_writes_nothing(tmp_path: Path) -> None:
    migrate(Databases(tmp_path))
    lock = sqlite3.connect(tmp_path / "usage.sqlite3", isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    with SqliteFiles(tmp_path).engine(Part.USAGE, writes=True).connect():
        pass
    lock.close()


def test_a_transaction_that_will_write_waits_at_its_begin_and_not_in_the_middle(tmp_path: Path) -> None:
    migrate(Databases(tmp_path))
    other = sqlite3.connect(tmp_path / "usage.sqlite3", isolation_level=None, timeout=0.0)
    for writes in (True, False):
        refused = pytest.raises(sqlite3.OperationalError, match="locked") if writes else contextlib.nullcontext()
        engine = SqliteFiles(tmp_path).engine(Part.USAGE, writes=writes)
        with engine.connect() as connection, connection.begin(), refused:
            other.execute("BEGIN IMMEDIATE")
    other.close()


def test_what_only_reads_cannot_write(tmp_path: Path) -> None:
    migrate(Databases(tmp_path))
    with SqliteFiles(tmp_path).engine(Part.USAGE, writes=False).connect() as connection:
        driver = connection.connection.driver_connection
        assert isinstance(driver, sqlite3.Connection)
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            driver.execute("DELETE FROM call_record")


def test_a_file_of_an_earlier_version_that_cannot_be_written_anew_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.1)
    path = tmp_path / "usage.sqlite3"
    old = sqlite3.connect(path, isolation_level=None)
    old.execute("PRAGMA journal_mode=WAL")
    old.execute("CREATE TABLE call_record (start INTEGER, duration INTEGER)")
    files = SqliteFiles(tmp_path)
    with (
        files.engine(Part.USAGE, writes=True).connect() as connection,
        pytest.raises(StoreError, match=r"usage\.sqlite3 cannot be written anew"),
        files.migration(Part.USAGE, connection),
    ):
        old.execute("BEGIN IMMEDIATE")
    old.close()


def fill(store: RunningStore, count: int) -> None:
    for first in range(0, count, 250):
        tickets = [
            store.submit(
                StoreMessage("bob", "d1", b"%d" % number, b"%d" % number, BODY, 100, MessageBounds(per_receiver=count))
            )
            for number in range(first, min(count, first + 250))
        ]
        for ticket in tickets:
            store.wait(ticket)


def kept(folder: Path) -> bool:
    return any(BODY[:25] in path.read_bytes() for path in folder.iterdir())


def test_messages_that_are_deleted_are_gone_and_the_file_gets_smaller(tmp_path: Path) -> None:
    with running(Databases(tmp_path)) as store:
        store.do(registration())
        fill(store, 1000)
        assert kept(tmp_path)
        store.do(DeleteMessages("bob", "d1", tuple(b"%d" % number for number in range(500))))
        assert store.do(Expire(100, 0, 0)) is Done.DONE
        assert count(Databases(tmp_path)).messages == 0
    assert not kept(tmp_path)
    assert (tmp_path / "accounts.sqlite3").stat().st_size < 100_000 < 1000 * len(BODY)
