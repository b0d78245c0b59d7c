"""All benchmarks of the signaling server one after the other, each beside other servers; see the module of each.

Every server has one core to itself and the load has another. `--quick` is for finding out whether it works. The raw
rows go to a file each. Nothing is asserted: what does not reach its goal is told.
"""

from __future__ import annotations

import argparse
import os
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from lab.certificates import self_signed, write

from . import server_calls, server_cluster, server_logins, server_memory, server_routing
from .media_report import Row, run
from .server_load import CORE_OF_LOAD, pin_to, ready_to_measure
from .server_ours import SERVER, Ours
from .server_systems import OTHERS, System, Tls

Measured = TypeVar("Measured", bound=System)
What = TypeVar("What")

SYSTEMS: Final[Mapping[str, type[System]]] = {**OTHERS, Ours.name: Ours}


@dataclass(frozen=True, slots=True)
class Amount:
    """How much is measured.

    Args:
        seconds: of each load.
        rounds: of the routing of all systems, one after the other.
        sessions: for memory and logins.
        storm: sessions in the storm.
    """

    seconds: float
    rounds: int
    sessions: int
    storm: int


FULL: Final = Amount(seconds=5.0, rounds=3, sessions=5_000, storm=10_000)
QUICK: Final = Amount(seconds=2.0, rounds=1, sessions=1_000, storm=1_000)


async def routing(names: Sequence[str], amount: Amount) -> AsyncIterator[Row]:
    """`server_routing`."""
    for _ in range(amount.rounds):
        for name in names:
            with _place() as folder:
                async for row in _on(SYSTEMS[name](folder), server_routing.measure, amount.seconds):
                    yield row


async def memory(names: Sequence[str], amount: Amount) -> AsyncIterator[Row]:
    """`server_memory`."""
    for system in _plain_and_tls(names):
        async for row in _on(system, server_memory.measure, amount.sessions):
            yield row


async def logins(names: Sequence[str], amount: Amount) -> AsyncIterator[Row]:
    """`server_logins`."""
    for system in _plain_and_tls(names):
        async for row in _on(system, server_logins.logins, amount.sessions):
            yield row
    for system in _plain_and_tls(names):
        async for row in _on(system, server_logins.storm, amount.storm):
            yield row


async def calls(names: Sequence[str], amount: Amount) -> AsyncIterator[Row]:
    """`server_calls`."""
    with _place() as folder:
        async for row in _on(Ours(folder), server_calls.measure, amount.seconds):
            yield row


async def cluster(names: Sequence[str], amount: Amount) -> AsyncIterator[Row]:
    """`server_cluster`."""
    async for row in server_cluster.measure(amount.seconds):
        yield row


@dataclass(frozen=True, slots=True)
class Benchmark:
    """One of them.

    Args:
        rows: measures the systems of these names.
        summary: makes the lines of the table.
    """

    rows: Callable[[Sequence[str], Amount], AsyncIterator[Row]]
    summary: Callable[[Sequence[Row]], list[str]]


BENCHMARKS: Final[Mapping[str, Benchmark]] = {
    "routing": Benchmark(routing, server_routing.summary),
    "memory": Benchmark(memory, server_memory.summary),
    "logins": Benchmark(logins, server_logins.summary),
    "calls": Benchmark(calls, server_calls.summary),
    "cluster": Benchmark(cluster, server_cluster.summary),
}
STORE: Final = "store"


def main() -> int:
    """Run those that are asked for; exits with 77 where a server is not installed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", action="append", choices=(*BENCHMARKS, STORE), help="run this one; may be repeated")
    parser.add_argument("--system", action="append", choices=SYSTEMS, help="measure this one; may be repeated")
    parser.add_argument("--quick", action="store_true", help="in three minutes, roughly")
    options = parser.parse_args()
    if not ready_to_measure():
        return 77
    amount = QUICK if options.quick else FULL
    names = options.system or list(SYSTEMS)
    worst = 0
    for name in options.only or (*BENCHMARKS, STORE):
        began = time.monotonic()
        worst = max(worst, _store(amount) if name == STORE else _run(name, names, amount))
        print(f"  {time.monotonic() - began:.0f} s\n", flush=True)
    return worst


def _run(name: str, names: Sequence[str], amount: Amount) -> int:
    everywhere = os.sched_getaffinity(0)
    pin_to(CORE_OF_LOAD)
    try:
        benchmark = BENCHMARKS[name]
        return run(f"server_{name}", benchmark.rows(names, amount), benchmark.summary)
    finally:
        os.sched_setaffinity(0, everywhere)


def _store(amount: Amount) -> int:
    """`server_store` in a process of its own: it has its own idea of cores."""
    command = [sys.executable, "-m", "bench.server_store", "--seconds", str(amount.seconds)]
    return subprocess.run(command, check=False).returncode


async def _on(
    system: Measured, measure: Callable[[Measured, What], AsyncIterator[Row]], what: What
) -> AsyncIterator[Row]:
    await system.start()
    try:
        async for row in measure(system, what):
            yield row
    finally:
        await system.program.stop()


def _plain_and_tls(names: Iterable[str]) -> Iterator[System]:
    for name in names:
        with _place() as folder:
            yield SYSTEMS[name](folder)
        if SYSTEMS[name].has_tls:
            with _place() as folder:
                yield SYSTEMS[name](folder, _tls(folder))


@contextmanager
def _place() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="entrenous-server-") as folder:
        yield Path(folder)


def _tls(folder: Path) -> Tls:
    certificate, key = write(folder, self_signed(SERVER))
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_mode = ssl.CERT_NONE
    return Tls(certificate, key, client)


if __name__ == "__main__":
    raise SystemExit(main())
