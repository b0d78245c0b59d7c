"""What the server keeps, table by table, in a data directory that the program itself has made."""

from __future__ import annotations

import sqlalchemy

from entrenous_signaling.store import schema
from entrenous_signaling.store.backend import Part
from entrenous_signaling.store.database import Databases, migrate


def kept(databases: Databases, part: Part) -> dict[str, tuple[str, ...]]:
    engine = databases.backend().engine(part, writes=False)
    inspector = sqlalchemy.inspect(engine)
    return {
        table: tuple(column["name"] for column in inspector.get_columns(table))
        for table in inspector.get_table_names()
        if not table.startswith("sqlite_")
    }


def test_the_server_keeps_the_published_columns_and_no_other(databases: Databases) -> None:
    migrate(databases)
    assert {part.value: kept(databases, part) for part in Part} == schema.KEPT


def test_a_call_record_has_exactly_two_data_columns(databases: Databases) -> None:
    migrate(databases)
    assert kept(databases, Part.USAGE)["call_record"] == ("start", "duration")


def test_the_keys_and_indexes_in_code_are_those_of_the_migrations(databases: Databases) -> None:
    migrate(databases)
    for part, metadata in ((Part.ACCOUNTS, schema.ACCOUNTS), (Part.USAGE, schema.USAGE)):
        inspector = sqlalchemy.inspect(databases.backend().engine(part, writes=False))
        for table in metadata.sorted_tables:
            found = {index["name"] for index in inspector.get_indexes(table.name) if not index.get("unique")}
            assert found == {index.name for index in table.indexes}
            keys = {tuple(key["constrained_columns"]) for key in inspector.get_foreign_keys(table.name)}
            assert keys == {tuple(key.column_keys) for key in table.foreign_key_constraints}


def test_the_tables_in_code_are_those_of_the_migrations() -> None:
    for name, metadata in (("accounts", schema.ACCOUNTS), ("usage", schema.USAGE)):
        tables = {table.name: tuple(column.name for column in table.columns) for table in metadata.sorted_tables}
        assert tables == {key: value for key, value in schema.KEPT[name].items() if key != "alembic_version"}
