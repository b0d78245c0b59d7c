"""Opening, migrating and refusing databases, and the operator's look into them."""

from __future__ import annotations

import sqlite3
import sys
import time
from pathlib import Path

import pytest

from entrenous_signaling.store.backend import Part
from entrenous_signaling.store.database import (
    Databases,
    StoreError,
    add_invites,
    clock,
    count,
    migrate,
    read_open_rows,
    read_records,
    remove,
)
from entrenous_signaling.store.requests import (
    WEEK_SECONDS,
    Account,
    AccountTotals,
    Closed,
    CloseRecord,
    DatabaseClock,
    Done,
    Expire,
    OpenRecord,
    OpenRow,
    ReadAccount,
    ReadClock,
    RegisterOutcome,
    Removed,
    StoredDevice,
)
from world.storeworld import registration, running


def test_migrating_again_changes_nothing(tmp_path: Path) -> None:
    migrate(Databases(tmp_path))
    before = (tmp_path / "accounts.sqlite3").read_bytes()
    migrate(Databases(tmp_path))
    assert (tmp_path / "accounts.sqlite3").read_bytes() == before


def test_postgresql_has_a_clock_and_sqlite_that_of_this_machine(databases: Databases) -> None:
    assert clock(databases) is None or databases.url
    migrate(databases)
    before = time.time()
    there = clock(databases)
    with running(databases) as store:
        assert (there is None) == (store.do(ReadClock()) == DatabaseClock(None)) == (not databases.url)
    assert there is None or before - 1.0 <= there <= time.time() + 1.0


def test_a_path_with_odd_characters_works(tmp_path: Path) -> None:
    folder = tmp_path / "a b%20?#:c"
    folder.mkdir()
    add_invites(Databases(folder), [b"hash"])
    assert (folder / "accounts.sqlite3").exists()


def test_a_database_of_a_newer_program_is_refused_and_left_alone(databases: Databases) -> None:
    migrate(databases)
    engine = databases.backend().engine(Part.USAGE, writes=True)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = 'usage_9999'")
    engine.dispose()
    with pytest.raises(StoreError, match="newer version"):
        migrate(databases)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "usage.sqlite3").write_bytes(b"this is a shopping list\n" * 100)
    with pytest.raises(StoreError, match="not a database"):
        migrate(Databases(tmp_path))


def test_a_database_that_cannot_be_reached_is_named_without_host_and_user(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="database calls cannot be used"):
        migrate(Databases(tmp_path, f"postgresql://nobody@/calls?host={tmp_path}"))


def test_a_password_has_no_place_in_the_address_of_a_database(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="PGPASSFILE") as caught:
        migrate(Databases(tmp_path, "postgresql://nobody:hush@localhost/calls"))
    assert "hush" not in str(caught.value)
    assert "hush" not in repr(Databases(tmp_path, "postgresql://nobody@localhost/calls", "hush"))


def test_without_its_driver_postgresql_is_asked_for_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    monkeypatch.delitem(sys.modules, "entrenous_signaling.store.postgresql", raising=False)
    with pytest.raises(StoreError, match="pip install"):
        migrate(Databases(tmp_path, "postgresql://nobody@localhost/calls"))


def test_records_are_read_from_a_directory_that_has_some(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="--data"):
        list(read_records(Databases(tmp_path)))
    sqlite3.connect(tmp_path / "usage.sqlite3").close()
    with pytest.raises(StoreError, match="no such table"):
        list(read_records(Databases(tmp_path)))


def test_records_are_read_in_the_order_and_of_the_time_that_is_asked_for(databases: Databases) -> None:
    with running(databases) as store:
        for start in (30, 10, 20, 40):
            store.do(OpenRecord(bytes([start]), start))
        for start in (30, 10, 20):
            store.do(CloseRecord(bytes([start]), 2 * start + 1))
    assert list(read_records(databases)) == [(10, 11), (20, 21), (30, 31)]
    assert list(read_records(databases, since=20)) == [(20, 21), (30, 31)]
    assert list(read_records(databases, until=30)) == [(10, 11), (20, 21)]
    assert read_open_rows(databases) == [OpenRow(bytes([40]), 40, 40)]


def test_the_operator_counts_and_removes_accounts(databases: Databases) -> None:
    with running(databases) as store:
        store.do(registration())
        store.do(registration("eve"))
        assert count(databases) == AccountTotals(2, 2, 0)
    assert remove(databases, "bob") == Removed(devices=1, prekeys=2, messages=0)
    assert remove(databases, "bob") is None
    assert count(databases) == AccountTotals(1, 1, 0)


# What the first version of the program made, as it was.
ACCOUNTS_1 = """
    CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY);
    CREATE TABLE account (username VARCHAR NOT NULL, identity_key BLOB NOT NULL, PRIMARY KEY (username));
    CREATE TABLE device (
        username VARCHAR NOT NULL, device VARCHAR NOT NULL, certificate BLOB NOT NULL, not_after INTEGER NOT NULL,
        PRIMARY KEY (username, device), FOREIGN KEY(username) REFERENCES account (username) ON DELETE CASCADE
    );
    CREATE TABLE prekey (
        username VARCHAR NOT NULL, device VARCHAR NOT NULL, position INTEGER NOT NULL, prekey BLOB NOT NULL,
        PRIMARY KEY (username, device, position),
        FOREIGN KEY(username, device) REFERENCES device (username, device) ON DELETE CASCADE
    );
    CREATE TABLE invite (hash BLOB NOT NULL, PRIMARY KEY (hash));
    INSERT INTO alembic_version VALUES ('accounts_0001');
    INSERT INTO account VALUES ('bob', X'6b6579');
    INSERT INTO device VALUES ('bob', 'd1', X'63657274206431', 8589934592);
    INSERT INTO prekey VALUES ('bob', 'd1', 1, X'7032'), ('bob', 'd1', 0, X'7031');
    INSERT INTO invite VALUES (X'696e7669746564');
"""
USAGE_1 = """
    CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY);
    CREATE TABLE open_record (
        token BLOB NOT NULL, start INTEGER NOT NULL, seen INTEGER NOT NULL, PRIMARY KEY (token)
    );
    CREATE TABLE call_record (start INTEGER NOT NULL, duration INTEGER NOT NULL);
    INSERT INTO alembic_version VALUES ('usage_0001');
    INSERT INTO open_record VALUES (X'74', 100, 110);
    INSERT INTO call_record VALUES (50, 7);
"""


def test_what_the_first_version_kept_is_taken_over(tmp_path: Path) -> None:
    for name, script in (("accounts", ACCOUNTS_1), ("usage", USAGE_1)):
        old = sqlite3.connect(tmp_path / f"{name}.sqlite3")
        old.execute("PRAGMA journal_mode=WAL")
        old.executescript(script)
        old.close()
    week = 3000
    with running(Databases(tmp_path)) as store:
        assert read_open_rows(Databases(tmp_path)) == [OpenRow(b"t", 100, 110)]
        assert store.do(CloseRecord(b"t", 110)) == Closed((10,))
        assert store.do(ReadAccount("bob")) == Account(b"key", (StoredDevice("d1", b"cert d1", (b"p1", b"p2")),))
        assert store.do(registration("eve", invite=b"invited", now=week * WEEK_SECONDS)) is RegisterOutcome.REGISTERED
        # Nobody knows when bob was last there: now, until he does not come for long enough.
        assert store.do(Expire(week * WEEK_SECONDS, 60, week)) is Done.DONE
        assert count(Databases(tmp_path)).accounts == 2
        assert list(read_records(Databases(tmp_path))) == [(100, 10)]
        assert store.do(Expire(week * WEEK_SECONDS, 60, week + 1)) is Done.DONE
        assert count(Databases(tmp_path)).accounts == 0
    assert list(read_records(Databases(tmp_path))) == [(100, 10)]
    for name in ("accounts", "usage"):
        with sqlite3.connect(tmp_path / f"{name}.sqlite3") as connection:
            assert connection.execute("PRAGMA auto_vacuum").fetchone() == (2,)
