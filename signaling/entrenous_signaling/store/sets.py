"""Statements about many rows at once, in the two dialects.

A statement joins the table `wanted`, whose rows come with it: `WITH {wanted} DELETE …`. SQLite takes them as VALUES,
each value a parameter of its own; PostgreSQL as one array a column. For SQLite they are filled up with rows of NULL to
a power of two, so that few different texts are prepared: a join finds none of those, and what inserts says
`WHERE {real}`. In PostgreSQL, which other processes use too, a subquery that ends with `{locked}` locks the rows that
it finds, in its order.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
from typing import Any, Final

from sqlalchemy import Connection

ROWS: Final = 256
"""Rows of one statement: more are several statements."""

Columns = tuple[tuple[str, str], ...]
"""Name and PostgreSQL type of each column of `wanted`."""


def execute_set(
    connection: Connection, statement: str, columns: Columns, rows: Sequence[tuple[Any, ...]]
) -> list[tuple[Any, ...]]:
    """Carry out a statement about the rows of `wanted`.

    Args:
        connection: within a transaction.
        statement: with `{wanted}`, `{real}` where it inserts, and `{locked}` after the ORDER BY of a subquery.
        columns: of `wanted`.
        rows: what it holds.

    Returns:
        The rows that the statement returns, if it is one that does.
    """
    found: list[tuple[Any, ...]] = []
    for start in range(0, len(rows), ROWS):
        some = rows[start : start + ROWS]
        if connection.dialect.name == "postgresql":
            result = connection.exec_driver_sql(
                _for_arrays(statement, columns), tuple(map(list, zip(*some, strict=True)))
            )
        else:
            size = 1 << (len(some) - 1).bit_length()
            blank = (0,) + (None,) * len(columns)
            values = chain.from_iterable(chain(((1, *row) for row in some), [blank] * (size - len(some))))
            result = connection.exec_driver_sql(_for_values(statement, columns, size), tuple(values))
        if result.returns_rows:
            found.extend(tuple(row) for row in result)
    return found


@lru_cache(maxsize=1024)
def _for_values(statement: str, columns: Columns, size: int) -> str:
    names = ", ".join(name for name, _ in columns)
    row = f"({', '.join('?' * (len(columns) + 1))})"
    wanted = f"wanted(real, {names}) AS (VALUES {', '.join([row] * size)})"
    return statement.format(wanted=wanted, real="wanted.real", locked="")


@lru_cache(maxsize=1024)
def _for_arrays(statement: str, columns: Columns) -> str:
    names = ", ".join(name for name, _ in columns)
    arrays = ", ".join(f"%b::{kind}[]" for _, kind in columns)
    wanted = f"wanted({names}) AS (SELECT * FROM unnest({arrays}))"  # noqa: S608 - of constants
    return statement.format(wanted=wanted, real="TRUE", locked="FOR UPDATE")
