"""What the server keeps, table by table, in a data directory that the program itself has made."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from entrenous_signaling.store import schema
from entrenous_signaling.store.database import Databases, migrate


def kept(path: Path) -> dict[str, tuple[str, ...]]:
    with sqlite3.connect(path) as connection:
        tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type='table'")]
        return {
            table: tuple(row[1] for row in connection.execute(f"PRAGMA table_xinfo({table})"))
            for table in tables
            if not table.startswith("sqlite_")
        }


def test_the_server_keeps_the_published_columns_and_no_other(tmp_path: Path) -> None:
    files = Databases(tmp_path)
    migrate(files.accounts)
    migrate(files.usage)
    assert {"accounts": kept(files.accounts), "usage": kept(files.usage)} == schema.KEPT


def test_a_call_record_has_exactly_two_data_columns(tmp_path: Path) -> None:
    path = Databases(tmp_path).usage
    migrate(path)
    assert kept(path)["call_record"] == ("start", "duration")


def test_the_tables_in_code_are_those_of_the_migrations() -> None:
    for name, metadata in (("accounts", schema.ACCOUNTS), ("usage", schema.USAGE)):
        tables = {table.name: tuple(column.name for column in table.columns) for table in metadata.sorted_tables}
        assert tables == {key: value for key, value in schema.KEPT[name].items() if key != "alembic_version"}


def test_the_operators_guide_names_every_column() -> None:
    guide = (Path(__file__).parents[3] / "signaling" / "README.md").read_text()
    for tables in schema.KEPT.values():
        for table, columns in tables.items():
            assert f"`{table}`" in guide
            for column in columns:
                assert f"`{column}`" in guide
