"""Calls that are set up and ended, a second: what nodes say for one, with sealed bodies of the sizes that they have.

A call is: look up the callee's devices, ring, ringing, accept, one message of candidates from each end, end. The
record of the call is opened and closed on disk on the way: after ring, accept and end, the next step waits until
`accepted` or `delivered` says so; after a signal only until that has come, as nodes do.
Only ours can do this; the messages that this routes are given beside it, to compare with the others.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Final

from entrenous_wire.messages import Kind

from .media_report import Row
from .server_clients import cut_all, pairs_of
from .server_load import Load, LoadError, Step, WaitsFor
from .server_ours import Ours, account, lookup, step
from .server_report import line, median_of

PAIRS: Final = 64
BODIES: Final = {"ring": 4096, "ringing": 2048, "accept": 4096, "candidates": 1024, "end": 1024}
"""Sealed and padded, in bytes."""

_CYCLE: Final = bytes(16)
_BOTH: Final = WaitsFor.DELIVERED_THERE | WaitsFor.ACCEPTED


def call(caller: int, callee: int) -> list[Step]:
    """The steps of a call between two clients: side 0 calls side 1."""
    ends = (account(caller), account(callee))

    def say(number: int, side: int, kind: Kind, body: str) -> Step:
        return step(
            *(ends[side], ends[1 - side]),
            side=side,
            number=number,
            kind=kind,
            size=BODIES[body],
            call=_CYCLE[:9] + caller.to_bytes(3, "big") + _CYCLE[:4],
            waits_for=WaitsFor.DELIVERED_THERE if kind is Kind.SIGNAL else _BOTH,
        )

    return [
        lookup(ends[1], side=0),
        say(1, 0, Kind.RING, "ring"),
        say(2, 1, Kind.SIGNAL, "ringing"),
        say(3, 1, Kind.ACCEPT, "accept"),
        say(4, 0, Kind.SIGNAL, "candidates"),
        say(5, 1, Kind.SIGNAL, "candidates"),
        say(6, 0, Kind.END, "end"),
    ]


async def measure(system: Ours, seconds: float) -> AsyncIterator[Row]:
    """As many as go on a server that runs and has had no calls before.

    Raises:
        LoadError: the server refused something, or not each call has left its record.
    """
    await system.prepare(2 * PAIRS)
    clients = [await system.enter(number) for number in range(2 * PAIRS)]
    pairs = pairs_of(clients, call)
    try:
        cpu = system.program.cpu_seconds()
        outcome = await system.driver().drive(pairs, Load(seconds=seconds))
        cpu = system.program.cpu_seconds() - cpu
        if (records := system.records()) != outcome.cycles:
            raise LoadError(f"{records} records of {outcome.cycles} calls are on disk")
    finally:
        cut_all(clients)
    messages = len(pairs[0].steps) - 1
    yield {
        "case": "calls",
        "system": system.name,
        "per_second": round(outcome.per_second),
        "messages_per_second": round(outcome.per_second * messages),
        "p50_ms": outcome.p50_ms,
        "p99_ms": outcome.p99_ms,
        "cpu_us": round(1e6 * cpu / outcome.cycles),
        "load_busy": round(outcome.load_busy, 3),
    }


def summary(rows: Sequence[Row]) -> list[str]:
    """The table."""
    names = ("per_second", "messages_per_second", "p50_ms", "p99_ms", "cpu_us")
    return [
        line(f"calls, {PAIRS} at a time, on disk", "calls/s", "messages/s", "p50 ms", "p99 ms", "CPU µs each"),
        line("entrenous", *(median_of(rows, name, case="calls") for name in names)),
    ]
