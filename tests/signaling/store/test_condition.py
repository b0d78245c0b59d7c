"""The state of a database, seen without touching it."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from entrenous_signaling.store.condition import Condition, condition
from entrenous_signaling.store.database import Databases, StoreError, migrate


def version(path: Path, number: str) -> None:
    with sqlite3.connect(path) as database:
        database.execute("UPDATE alembic_version SET version_num = ?", (number,))


def test_nothing_is_made_by_looking(tmp_path: Path) -> None:
    assert condition(Databases(tmp_path / "data")) is Condition.ABSENT
    assert list(tmp_path.iterdir()) == []


def test_versions_are_told_apart(tmp_path: Path) -> None:
    databases = Databases(tmp_path)
    migrate(databases)
    assert condition(databases) is Condition.CURRENT
    version(tmp_path / "usage.sqlite3", "usage_0001")
    assert condition(databases) is Condition.OLDER
    version(tmp_path / "accounts.sqlite3", "accounts_9999")
    assert condition(databases) is Condition.NEWER


def test_what_is_no_database_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "accounts.sqlite3").write_bytes(b"no database" * 100)
    with pytest.raises(StoreError, match="cannot be read"):
        condition(Databases(tmp_path))
