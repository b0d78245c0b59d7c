"""Rows of the media benchmarks: into a file as they come, one object a line, and a table at the end."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

from lab.network import Unavailable

Row = dict[str, object]

OUT = Path("bench-output")


def run(name: str, rows: AsyncIterator[Row], summary: Callable[[Sequence[Row]], list[str]]) -> int:
    """Collect all rows and print the table; returns the exit code, 77 where there can be no laboratory.

    Args:
        name: of the benchmark and its file.
        rows: what is measured, as it is measured.
        summary: makes the lines of the table.
    """
    path = OUT / f"{name}.jsonl"
    try:
        collected = asyncio.run(_collect(rows, path))
    except Unavailable as reason:
        print(f"skipped: {reason}", file=sys.stderr)
        return 77
    print(name, *summary(collected), f"  raw rows: {path}", sep="\n", flush=True)
    return 0


async def _collect(rows: AsyncIterator[Row], path: Path) -> list[Row]:
    path.parent.mkdir(parents=True, exist_ok=True)
    collected = []
    with path.open("w") as file:
        async for row in rows:
            row = {**row, "load": os.getloadavg()[0]}
            collected.append(row)
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
            file.flush()
            print(f"{row.get('case')}, {row.get('system')}: {_short(row)}", file=sys.stderr, flush=True)
    return collected


def _short(row: Row) -> str:
    return ", ".join(
        f"{name} {value}" for name, value in row.items() if isinstance(value, int | float | str) and name not in _NAMED
    )


_NAMED = ("case", "system")
