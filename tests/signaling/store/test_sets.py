"""Many rows in one statement."""

from __future__ import annotations

from typing import Any

import pytest

from entrenous_signaling.store.backend import Part
from entrenous_signaling.store.database import Databases, migrate
from entrenous_signaling.store.sets import ROWS, Columns, execute_set

COLUMNS: Columns = (("start", "bigint"), ("duration", "bigint"))
INSERT = "WITH {wanted} INSERT INTO call_record SELECT start, duration FROM wanted WHERE {real}"
FIND = "WITH {wanted} SELECT start, call_record.duration FROM wanted JOIN call_record USING (start) ORDER BY start"


@pytest.mark.parametrize("size", [0, 1, 2, 3, 5, ROWS, ROWS + 1, 3 * ROWS])
def test_any_number_of_rows_goes_in_and_is_found_and_none_that_fills_up(databases: Databases, size: int) -> None:
    migrate(databases)
    rows: list[tuple[Any, ...]] = [(number, 2 * number) for number in range(size)]
    engine = databases.backend().engine(Part.USAGE, writes=True)
    with engine.begin() as connection:
        assert execute_set(connection, INSERT, COLUMNS, rows) == []
        assert execute_set(connection, FIND, COLUMNS, rows) == rows
        assert connection.exec_driver_sql("SELECT count(*) FROM call_record").scalar() == size
    engine.dispose()


def test_numbers_beyond_2038_and_bytes_of_every_value_come_back(databases: Databases) -> None:
    migrate(databases)
    token = bytes(range(256))
    engine = databases.backend().engine(Part.USAGE, writes=True)
    columns: Columns = (("token", "bytea"), ("start", "bigint"))
    with engine.begin() as connection:
        insert = "WITH {wanted} INSERT INTO open_record SELECT token, start, start FROM wanted WHERE {real}"
        execute_set(connection, insert, columns, [(token, 2**40)])
        found = execute_set(
            connection, "WITH {wanted} SELECT o.* FROM wanted JOIN open_record o USING (token)", columns, [(token, 0)]
        )
    assert found == [(token, 2**40, 2**40)]
    engine.dispose()
