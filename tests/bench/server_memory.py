"""What a session that says nothing costs in memory: clients connect and log in, and the growth is divided by them.

Counted is what the process holds (Pss), not what the kernel holds for its sockets. With TLS where the server has it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Final

from .media_report import Row
from .server_clients import Client, cut_all
from .server_ours import each
from .server_report import line, median_of
from .server_systems import System

GOAL: Final = "≤ 20 kB plain, ≤ 45 kB with TLS"

_AT_A_TIME: Final = 50
_SETTLE_SECONDS: Final = 2.0


async def measure(system: System, sessions: int) -> AsyncIterator[Row]:
    """The growth on a server that has just started; what its accounts cost it is not counted."""
    await system.prepare(sessions)
    clients: list[Client] = []

    async def enter(number: int) -> None:
        clients.append(await system.enter(number))

    try:
        await each(range(100), _AT_A_TIME, enter)  # what the first ones cost is no measure of the others
        await asyncio.sleep(_SETTLE_SECONDS)
        before = system.program.memory()
        await each(range(100, sessions), _AT_A_TIME, enter)
        await asyncio.sleep(_SETTLE_SECONDS)
        grown = system.program.memory() - before
    finally:
        cut_all(clients)
    yield {
        "case": system.wire,
        "system": system.name,
        "kb": round(grown / (sessions - 100) / 1000, 2),
        "sessions": sessions,
    }


def summary(rows: Sequence[Row]) -> list[str]:
    """The table."""
    lines = [line("memory of a session, kB", "plain", "TLS")]
    for system in dict.fromkeys(row["system"] for row in rows):
        lines.append(line(str(system), *(median_of(rows, "kb", case=kind, system=system) for kind in ("plain", "TLS"))))
    return [*lines, f"  goal: {GOAL}"]
