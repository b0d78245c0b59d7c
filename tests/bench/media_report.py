"""Rows of the media benchmarks: into a file as they come, one object a line, and a table at the end.

Every row tells how late the machine woke up whoever asked it to (`late_ms`): what is measured on one that is busy with
something else says nothing about media.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from lab.network import Unavailable

Row = dict[str, object]

OUT = Path("bench-output")
PRIORITY = -10
"""Of all that takes part, and of the laboratory's carrier of packets; the same for all engines."""
TRUSTED_MS = 15.0
_SLEEP = 0.010


def run(name: str, rows: AsyncIterator[Row], summary: Callable[[Sequence[Row]], list[str]]) -> int:
    """Collect all rows and print the table; returns the exit code, 77 where there can be no laboratory.

    Args:
        name: of the benchmark and its file.
        rows: what is measured, as it is measured.
        summary: makes the lines of the table.
    """
    with suppress(PermissionError):  # inherited by everything that is started
        os.setpriority(os.PRIO_PROCESS, 0, PRIORITY)
    path = OUT / f"{name}.jsonl"
    try:
        collected = asyncio.run(_collect(rows, path))
    except Unavailable as reason:
        print(f"skipped: {reason}", file=sys.stderr)
        return 77
    print(name, *summary(collected), *_doubts(collected), f"  raw rows: {path}", sep="\n", flush=True)
    return 0


def _doubts(rows: Sequence[Row]) -> list[str]:
    late = [row for row in rows if float(str(row["late_ms"])) > TRUSTED_MS]
    if not late:
        return []
    return [
        f"  {len(late)} of {len(rows)} rows are not to be trusted: the machine was busy (late_ms > {TRUSTED_MS:.0f})"
    ]


async def _collect(rows: AsyncIterator[Row], path: Path) -> list[Row]:
    path.parent.mkdir(parents=True, exist_ok=True)
    collected: list[Row] = []
    lateness: list[float] = []
    watching = asyncio.create_task(_watch_clock(lateness))
    late_ms = 0.0
    try:
        with path.open("w") as file:
            async for measured in rows:
                if lateness:  # rows that come together were measured together
                    late_ms = round(1000 * float(np.quantile(lateness, 0.99)), 1)
                    lateness.clear()
                row = {**measured, "late_ms": late_ms}
                collected.append(row)
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
                file.flush()
                print(f"{row.get('case')}, {row.get('system')}: {_short(row)}", file=sys.stderr, flush=True)
    finally:
        watching.cancel()
    return collected


async def _watch_clock(lateness: list[float]) -> None:
    while True:
        due = time.monotonic() + _SLEEP
        await asyncio.sleep(_SLEEP)
        lateness.append(time.monotonic() - due)


def _short(row: Row) -> str:
    return ", ".join(
        f"{name} {value}" for name, value in row.items() if isinstance(value, int | float | str) and name not in _NAMED
    )


_NAMED = ("case", "system")
