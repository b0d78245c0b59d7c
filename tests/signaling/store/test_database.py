"""Opening, migrating and refusing database files."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from entrenous_signaling.store.database import Databases, StoreError, add_invites, migrate, open_engine, read_records


def test_the_files_are_as_durable_and_forgetful_as_promised(tmp_path: Path) -> None:
    path = Databases(tmp_path).usage
    migrate(path)
    with open_engine(path, writes=True).connect() as connection:
        pragma = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "secure_delete", "foreign_keys")
        }
    assert pragma == {"journal_mode": "wal", "synchronous": 2, "secure_delete": 1, "foreign_keys": 1}


def test_migrating_again_changes_nothing(tmp_path: Path) -> None:
    path = Databases(tmp_path).accounts
    migrate(path)
    before = path.read_bytes()
    migrate(path)
    assert path.read_bytes() == before


def test_a_path_with_odd_characters_works(tmp_path: Path) -> None:
    folder = tmp_path / "a b%20?#:c"
    folder.mkdir()
    add_invites(Databases(folder), [b"hash"])
    assert (folder / "accounts.sqlite3").exists()


def test_a_database_of_a_newer_program_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = Databases(tmp_path).usage
    migrate(path)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'usage_9999'")
    with pytest.raises(StoreError, match="newer version"):
        migrate(path)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = Databases(tmp_path).usage
    path.write_bytes(b"this is a shopping list\n" * 100)
    with pytest.raises(StoreError, match="not a database"):
        migrate(path)


def test_records_are_read_from_a_directory_that_has_some(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="--data"):
        list(read_records(Databases(tmp_path)))
    sqlite3.connect(Databases(tmp_path).usage).close()
    with pytest.raises(StoreError, match="no such table"):
        list(read_records(Databases(tmp_path)))
