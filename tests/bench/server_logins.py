"""Logins a second, and everybody coming back at once after the server was killed.

Ours answers a challenge with an Ed25519 signature; for the others a login is a WebSocket and what they greet with.
In the storm all clients connect again as fast as AT_A_TIME of them at a time can, without the pauses that nodes make
so that it does not come to this. `pause_ms` is how long our server's loop stood still at most meanwhile,
`collection_ms` how long its garbage collector did (`server_watched`).
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Sequence
from typing import Final

from .media_report import Row
from .server_clients import Client, ClientError, cut_all
from .server_ours import Ours, each
from .server_report import line, median_of
from .server_systems import System

AT_A_TIME: Final = 500
GOALS: Final = (
    "10,000 back in ≤ 8 s plain, ≤ 25 s with TLS",
    "no pass of the garbage collector above 30 ms",
)

_AGAIN_SECONDS: Final = 0.2


async def logins(system: System, count: int) -> AsyncIterator[Row]:
    """How many come in a second, on a server that runs."""
    await system.prepare(count)
    clients: list[Client] = []

    async def enter(number: int) -> None:
        clients.append(await system.enter(number))

    try:
        began, cpu, own = time.perf_counter(), system.program.cpu_seconds(), time.process_time()
        await each(range(count), 64, enter)
        took = time.perf_counter() - began
        yield {
            "case": f"logins {system.wire}",
            "system": system.name,
            "per_second": round(count / took),
            "cpu_us": round(1e6 * (system.program.cpu_seconds() - cpu) / count),
            "load_busy": round((time.process_time() - own) / took, 3),
        }
    finally:
        cut_all(clients)


async def storm(system: System, count: int) -> AsyncIterator[Row]:
    """Everybody is connected, the server is killed and started again, everybody comes back; it is ended after that."""
    await system.prepare(count)
    clients: list[Client] = []

    async def enter(number: int) -> None:
        while True:
            try:
                clients.append(await system.enter(number))
            except (ClientError, OSError):
                await asyncio.sleep(_AGAIN_SECONDS)
            else:
                return

    try:
        await each(range(count), AT_A_TIME, enter)
        await system.program.stop(signal.SIGKILL)
        cut_all(clients)
        clients.clear()
        await system.start()
        began, cpu, own = time.perf_counter(), system.program.cpu_seconds(), time.process_time()
        await each(range(count), AT_A_TIME, enter)
        took = time.perf_counter() - began
        row: Row = {
            "case": f"storm {system.wire}",
            "system": system.name,
            "sessions": count,
            "seconds": round(took, 2),
            "cpu_seconds": round(system.program.cpu_seconds() - cpu, 2),
            "load_busy": round((time.process_time() - own) / took, 3),
        }
    finally:
        cut_all(clients)
    await system.program.stop()
    if isinstance(system, Ours):
        row.update({name: round(value, 1) for name, value in system.pauses().items()})
    yield row


def summary(rows: Sequence[Row]) -> list[str]:
    """The table."""
    columns = [
        ("logins/s", "per_second", "logins plain"),
        ("TLS/s", "per_second", "logins TLS"),
        ("storm s", "seconds", "storm plain"),
        ("TLS s", "seconds", "storm TLS"),
        ("pause ms", "pause_ms", "storm plain"),
        ("collection", "collection_ms", "storm plain"),
        ("TLS pause", "pause_ms", "storm TLS"),
        ("collection", "collection_ms", "storm TLS"),
    ]
    count = max((int(str(row["sessions"])) for row in rows if "sessions" in row), default=0)
    lines = [line(f"logins; {count:,} in the storm", *(title for title, _, _ in columns))]
    for system in dict.fromkeys(row["system"] for row in rows):
        lines.append(line(str(system), *(median_of(rows, name, case=case, system=system) for _, name, case in columns)))
    return [*lines, *(f"  goal: {goal}" for goal in GOALS)]
