"""Tables of the server benchmarks."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from .media_report import Row


def median_of(rows: Sequence[Row], name: str, **wanted: object) -> float | None:
    """The median of a figure over the rows that have it and are as wanted, or None when there are none."""
    values = [
        float(str(row[name])) for row in rows if name in row and all(row.get(key) == wanted[key] for key in wanted)
    ]
    return statistics.median(values) if values else None


def line(name: str, *cells: object) -> str:
    """One line of a table: a name and right-aligned cells; numbers with as many digits as say something."""
    return f"  {name:32}" + "".join(f"{_text(cell):>15}" for cell in cells)


def _text(cell: object) -> str:
    if cell is None:
        return "-"
    if isinstance(cell, int | float):
        return f"{cell:,.0f}" if abs(cell) >= 1000 else f"{cell:.3g}"
    return str(cell)
