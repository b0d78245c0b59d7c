"""How long honest messages and calls take while twenty clients do their worst, beside a quiet run of the same load.

SESSIONS honest sessions route messages at a fixed rate, and then call each other at one, with records that are opened
and closed on disk; what is measured is the time from when a message or a whole call was due until its end. Then
`world.hostile` joins, from addresses that are limited as those of strangers are, and never waits. All limits are as
they come; the honest share one address, which the server is told to trust.

The server has a core to itself. The hostile have the other one, up to where the load needs it: they run in the class
of the scheduler that gives way to everybody else at once (SCHED_IDLE), and the load sleeps whenever nothing has come
and nothing is due, so that most of that core is theirs. What is left of it in the figures of the load shows in a third
run, `counting`: there a program that only counts has their place, and nobody attacks.

Run it with `python -m bench.server_hostile` in `tests/`, on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import ClassVar, Final

from world.hostile import MISCHIEF, attacked

from .media_report import Row, run
from .server_calls import call
from .server_clients import cut_all, pairs_of
from .server_load import CORE_OF_LOAD, Driver, Load, LoadError, Pair, pin_to, ready_to_measure
from .server_ours import Ours
from .server_report import line, median_of

SESSIONS: Final = 1_000
HOSTILE: Final = 20
RATES: Final = {"messages": 2_000.0, "calls": 200.0}
"""A second, of all together."""
FACTOR: Final = 2.0
"""By how much the 99th percentile may rise."""

_COUNT: Final = """
import os
os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
print("counting", flush=True)
while True:
    pass
"""


class Strict(Ours):
    """Our server with the limits that operators have, on strangers from loopback as well."""

    limits: ClassVar[str] = 'trusted_proxies = ["127.0.0.1"]\n[limits]\nlimit_loopback = true\n'


async def measure(folder: Path, seconds: float, rounds: int, *, by_kind: bool) -> AsyncIterator[Row]:
    """Quiet and attacked runs by turns; then, if it is to be, an attack of each kind of mischief alone on messages."""
    ours = Ours(folder)
    await ours.start()
    await ours.prepare(SESSIONS)
    await ours.program.stop()
    server = Strict(folder)
    await server.start()
    try:
        clients = [await server.enter(number) for number in range(SESSIONS)]
        messages = pairs_of(clients, lambda sender, receiver: [server.routed(sender, receiver)])
        calls = [Pair(pair.files, call(2 * number, 2 * number + 1)) for number, pair in enumerate(messages)]
        loads = {"messages": messages, "calls": calls}
        driver = server.driver()
        for _ in range(rounds):
            for what, pairs in loads.items():
                load = Load(rate=RATES[what], seconds=seconds, sleeps=True)
                yield {"case": "quiet", "load": what, **await _drive(server, driver, pairs, load)}
                async with _counting():
                    yield {"case": "counting", "load": what, **await _drive(server, driver, pairs, load)}
                yield {"case": "hostile", "load": what, **await _attacked(server, driver, pairs, load)}
        for mischief in MISCHIEF if by_kind else ():
            load = Load(rate=RATES["messages"], seconds=seconds, sleeps=True)
            row = await _attacked(server, driver, messages, load, f"--kinds={mischief.__name__}")
            yield {"case": mischief.__name__, "load": "messages", **row}
        cut_all(clients)
    finally:
        await server.program.stop()


async def _attacked(server: Ours, driver: Driver, pairs: Sequence[Pair], load: Load, *options: str) -> Row:
    """A run with the hostile, and how much they did in a second of it."""
    async with attacked(server.port, HOSTILE, "--idle", *options) as deeds:
        row = await _drive(server, driver, pairs, load)
    seconds = load.seconds + load.warm_seconds
    did = {"tried": sum(deeds.tried.values()), "connections": deeds.connections, "frames": deeds.frames}
    return {**row, **{f"{name}_a_second": round(count / seconds) for name, count in did.items()}, **deeds.tried}


@contextlib.asynccontextmanager
async def _counting() -> AsyncIterator[None]:
    """A program that has the place of the hostile, and does nothing to anybody."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", _COUNT, stdout=asyncio.subprocess.PIPE)
    try:
        assert process.stdout is not None
        await process.stdout.readline()
        yield
    finally:
        process.kill()
        await process.wait()


async def _drive(server: Ours, driver: Driver, pairs: Sequence[Pair], load: Load) -> Row:
    cpu = server.program.cpu_seconds()
    try:
        outcome = await driver.drive(pairs, load)
    except LoadError as trouble:
        return {"trouble": str(trouble)}
    cpu = server.program.cpu_seconds() - cpu
    return {
        "p50_ms": outcome.p50_ms,
        "p99_ms": outcome.p99_ms,
        "longest_ms": outcome.longest_ms,
        "busy": round(cpu / (load.seconds + load.warm_seconds), 2),
        "load_busy": round(outcome.load_busy, 3),
    }


def summary(rows: Sequence[Row]) -> list[str]:
    """The table."""
    lines = [line("1,000 honest sessions", "p50 ms", "p99 ms", "longest ms", "core busy", "attempts/s", "frames/s")]
    names = ("p50_ms", "p99_ms", "longest_ms", "busy", "tried_a_second", "frames_a_second")
    beside = {
        "quiet": "",
        "counting": ", one counting",
        "hostile": f", {HOSTILE} hostile",
        **{mischief.__name__: f", {mischief.__name__}" for mischief in MISCHIEF},
    }
    for what, rate in RATES.items():
        for case in beside:
            if any(row["case"] == case and row["load"] == what for row in rows):
                cells = [median_of(rows, name, case=case, load=what) for name in names]
                lines.append(line(f"{rate:,.0f} {what}/s{beside[case]}", *cells))
    troubles = [str(row["trouble"]) for row in rows if "trouble" in row]
    return [*lines, *troubles, f"  goal: p99 within {FACTOR} of the quiet one"]


def main() -> int:
    """Measure and print; exits with 77 where there is one core only."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each run")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--by-kind", action="store_true", help="measure each kind of mischief alone as well")
    options = parser.parse_args()
    if not ready_to_measure():
        return 77
    pin_to(CORE_OF_LOAD)
    with tempfile.TemporaryDirectory(prefix="entrenous-hostile-") as folder:
        rows = measure(Path(folder), options.seconds, options.rounds, by_kind=options.by_kind)
        return run("server_hostile", rows, summary)


if __name__ == "__main__":
    raise SystemExit(main())
