"""Messages of 1 kB routed by one core: as many as go, and how long they take at a fixed rate.

PAIRS pairs of clients. As many as go: each pair has `window` messages under way, and says the next when one has come;
1 is what calls are like, 16 lets servers work on several frames at a time. At a fixed rate: messages are due on
schedule, and a latency counts from then until the message has come (see `server_systems` for what is not equal).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Final

from .media_report import Row
from .server_clients import cut_all, pairs_of
from .server_load import Load, LoadError, Outcome
from .server_report import line, median_of
from .server_systems import System

PAIRS: Final = 64
RATE: Final = 9_000.0
WINDOWS: Final = (1, 16)

GOALS: Final = (
    "≥ 0.35 of C epoll (stretch 0.55), ≥ 1.3 × PeerJS",
    "at 9,000/s p50 ≤ 0.2 ms, p99 ≤ 5 ms",
)


async def measure(system: System, seconds: float) -> AsyncIterator[Row]:
    """All loads on a server that runs."""
    await system.prepare(2 * PAIRS)
    clients = [await system.enter(number) for number in range(2 * PAIRS)]
    pairs = pairs_of(clients, lambda sender, receiver: [system.routed(sender, receiver)])
    driver = system.driver()
    try:
        for window in WINDOWS:
            load = Load(window=window, seconds=seconds)
            cpu = system.program.cpu_seconds()
            outcome = await driver.drive(pairs, load)
            cpu = system.program.cpu_seconds() - cpu
            row = _row(system, outcome)
            yield {"case": f"window {window}", **row, "cpu_us": round(1e6 * cpu / outcome.cycles, 1)}
        try:
            outcome = await driver.drive(pairs, Load(rate=RATE, seconds=seconds))
        except LoadError as trouble:
            yield {"case": "rate", "system": system.name, "trouble": str(trouble)}
        else:
            yield {"case": "rate", **_row(system, outcome)}
    finally:
        cut_all(clients)


def summary(rows: Sequence[Row]) -> list[str]:
    """The table."""
    lines = [line("routed 1 kB messages, one core", "1 at a time/s", "of C", "16/s", "of C", "p50 ms", "p99 ms")]
    lines[0] += "  (p50, p99 at 9,000/s)"
    for system in dict.fromkeys(row["system"] for row in rows):
        cells: list[object] = []
        for window in WINDOWS:
            here = median_of(rows, "per_second", case=f"window {window}", system=system)
            reference = median_of(rows, "per_second", case=f"window {window}", system="C epoll")
            cells += [here, None if here is None or not reference else here / reference]
        cells += [median_of(rows, name, case="rate", system=system) for name in ("p50_ms", "p99_ms")]
        lines.append(line(str(system), *cells))
    return [*lines, *(f"  goal: {goal}" for goal in GOALS)]


def _row(system: System, outcome: Outcome) -> Row:
    return {
        "system": system.name,
        "per_second": round(outcome.per_second),
        "p50_ms": outcome.p50_ms,
        "p99_ms": outcome.p99_ms,
        "longest_ms": outcome.longest_ms,
        "load_busy": round(outcome.load_busy, 3),
    }
