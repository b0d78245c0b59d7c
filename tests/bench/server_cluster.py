"""What a message costs when its two ends are at different nodes, and what three nodes are worth by that.

Two cores cannot run three nodes, a bus and a load side by side, so the worth is a model with measured inputs. Each
input is processor time of one process (proc(5)) divided by the messages that were routed meanwhile, with everything
that serves on one core and as many messages under way as the load of `server_routing` has at its most:

    a   of the only node, for a message between two of its own devices
    l   the same, of one of three nodes
    s   of the sender's node, for a message to a device of another node
    r   of the receiver's node, for the same message
    b   of nats-server, for the same message

When n nodes have as many devices each, and everybody talks to anybody, one message in n stays at its node. So a message
costs l/n + (1 - 1/n)(s + r) of the nodes' processors, and n nodes, a core each, route n·a divided by that as much as
one. The bus needs (1 - 1/n)·b of a processor besides. The processor's speed differs by a third from one minute to the
next on shared machines: so all nodes run at the same time, the loads take turns, and each turn has a worth of its own.

What a hop takes longer is measured with the nodes, the bus and the other end on one core too, where each waits for the
others: at two rates, of which `core` says how much of that core they keep in use. Beside it stands what the bus alone
takes for a message there and back into the process that said it, when there is nothing else.
"""

from __future__ import annotations

import asyncio
import os
import signal
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Final

from entrenous_signaling.cluster.nats_connection import NatsAccess, connect
from entrenous_signaling.cluster.nats_protocol import Credentials
from entrenous_signaling.cluster.settings import NatsPlace
from entrenous_signaling.control import ControlError, ask
from entrenous_signaling.control_messages import GetStatus, Status
from entrenous_signaling.private_files import make_secret
from lab.nats import NatsServer, find_program
from lab.network import Unavailable
from lab.postgres import find_programs, running_cluster

from .media_report import Row
from .server_clients import Client, cut_all
from .server_load import CORE_OF_SERVER, Driver, Load, Outcome, Pair
from .server_ours import Ours
from .server_programs import START_SECONDS
from .server_report import line, median_of

NODES: Final = 3
PAIRS: Final = 64
WINDOW: Final = 16
ROUNDS: Final = 3
RATES: Final = (500.0, 2_000.0)
"""At which latencies are measured: all that serves has one core."""
PARCEL_BYTES: Final = 1_300
"""About as many as one forwarded message makes."""

GOALS: Final = ("three nodes ≥ 2.2 × one", "a hop between nodes ≤ +0.5 ms")

_TICKS: Final = os.sysconf("SC_CLK_TCK")


class Node(Ours):
    """A server that keeps its data in PostgreSQL, and may be one of several.

    Args:
        folder: where it may keep things.
        shared: where the secrets of all are.
        database: URL of the database.
        nats: the bus, or None for a server that is alone.
    """

    def __init__(self, folder: Path, shared: Path, database: str, nats: NatsServer | None) -> None:
        folder.mkdir()
        super().__init__(folder)
        self._shared = shared
        self._database = database
        self._nats = nats

    def settings(self) -> str:
        """Its configuration."""
        text = f'database = "{self._database}"\nsecret_file = "{self._shared / "message-secret"}"\n{super().settings()}'
        if self._nats is not None:
            text += f'[cluster]\nnats = ["{self._nats.url}"]\nsecret_file = "{self._shared / "cluster-secret"}"\n'
            text += f'credentials_file = "{self._nats.credentials_file}"\n'
        return text

    async def until_met(self, others: int) -> None:
        """Wait until it hears so many other nodes."""
        async with asyncio.timeout(START_SECONDS):
            while True:
                with suppress(ControlError):
                    said = await asyncio.to_thread(ask, self.folder / "data" / "control.sock", GetStatus(), Status)
                    if said.nodes == others:
                        return
                await asyncio.sleep(0.1)


async def measure(seconds: float) -> AsyncIterator[Row]:
    """One node that is alone, and three with pairs at one of them and with pairs across two of them, in turn.

    Args:
        seconds: twice that of each load.
    """
    if find_program() is None or find_programs() is None:
        raise Unavailable("nats-server or PostgreSQL is not installed")
    async with _nodes(1, None) as (alone,), _three() as (nodes, nats):
        yield {"case": "bus", "p50_ms": await _there_and_back(nats, seconds / 2)}
        driver = alone.driver()  # which uses no id twice
        for number in range(ROUNDS):
            async for row in _loads("alone", driver, [alone], (alone, alone), None, seconds / 2):
                yield {"round": number, **row}
            for case, ends in (("at home", (nodes[0], nodes[0])), ("across", (nodes[0], nodes[1]))):
                async for row in _loads(case, driver, nodes, ends, nats, seconds / 2):
                    yield {"round": number, **row}


def summary(rows: Sequence[Row]) -> list[str]:
    """The inputs, and the model."""
    names = ("per_second", "sender_us", "receiver_us", "bus_us")
    lines = [line(f"{NODES} nodes, 1 kB messages", "messages/s", "sender µs", "receiver µs", "bus µs")]
    for case in ("alone", "at home", "across"):
        lines.append(line(case, *(median_of(rows, name, case=case) for name in names)))
    rounds = sorted({str(row.get("round", "")) for row in rows if row["case"] != "bus"})
    by_round = [[row for row in rows if str(row.get("round", "")) == number] for number in rounds]
    if worths := [value for value in map(_worth_of, by_round) if value is not None]:
        lines.append(f"  {NODES} nodes are worth {_spread(worths, '.2f')} of one that is alone")
    at_home = median_of(rows, "sender_us", case="at home")
    sender, receiver, bus = (median_of(rows, name, case="across") for name in names[1:])
    if at_home and sender and receiver and bus:
        share = 1 / NODES
        cost = share * at_home + (1 - share) * (sender + receiver)
        busy = (1 - share) * bus * NODES / cost
        lines.append(f"  and keep the bus busy for {busy:.2f} of a core when they are busy themselves")
    lines.append(line("latencies", "p50 ms", "p99 ms", "core in use"))
    lines.append(line("the bus alone", median_of(rows, "p50_ms", case="bus")))
    for rate in RATES:
        for case in ("alone", "at home", "across"):
            figures = (median_of(rows, name, case=case, rate=rate) for name in ("p50_ms", "p99_ms", "core"))
            lines.append(line(f"{case}, {rate:,.0f}/s", *figures))
        if hops := [value for value in (_hop_of(one, rate) for one in by_round) if value is not None]:
            lines.append(f"  a hop takes {_spread(hops, '+.2f')} ms at {rate:,.0f} messages/s")
    return [*lines, *(f"  goal: {goal}" for goal in GOALS)]


def _worth_of(rows: Sequence[Row]) -> float | None:
    """By the rows of one turn."""
    alone, at_home = (median_of(rows, "sender_us", case=case) for case in ("alone", "at home"))
    sender, receiver = (median_of(rows, name, case="across") for name in ("sender_us", "receiver_us"))
    if alone and at_home and sender and receiver:
        return worth(NODES, alone, at_home, sender + receiver)
    return None


def _hop_of(rows: Sequence[Row], rate: float) -> float | None:
    """Milliseconds, by the rows of one turn."""
    near, far = (median_of(rows, "p50_ms", case=case, rate=rate) for case in ("at home", "across"))
    return None if near is None or far is None else far - near


def _spread(values: Sequence[float], digits: str) -> str:
    """The median, and between what it lies."""
    median = format(statistics.median(values), digits)
    if len(values) == 1:
        return median
    return f"{median} ({min(values):{digits}} to {max(values):{digits}})"


def worth(nodes: int, alone: float, at_home: float, across: float) -> float:
    """What so many nodes are worth, a core each: 1 is what one node is.

    Args:
        nodes: how many.
        alone: microseconds of a node that is alone, for a message.
        at_home: of one of several, for a message that stays there.
        across: of both nodes together, for one that does not.
    """
    return nodes * alone / (at_home / nodes + (1 - 1 / nodes) * across)


async def _loads(
    case: str,
    driver: Driver,
    nodes: Sequence[Node],
    ends: tuple[Node, Node],
    nats: NatsServer | None,
    seconds: float,
) -> AsyncIterator[Row]:
    clients: list[Client] = []
    for number in range(2 * PAIRS):
        clients.append(await ends[number % 2].enter(number))
    files = [client.hand_over() for client in clients]
    pairs = [
        Pair((files[number], files[number + 1]), [ends[0].routed(number, number + 1)])
        for number in range(0, len(files), 2)
    ]
    try:
        meter = _Meter(nodes, nats)
        outcome = await driver.drive(pairs, Load(window=WINDOW, seconds=seconds))
        spent, bus, _ = meter.read()
        yield {"case": case, "per_second": round(outcome.per_second), **_costs(nodes, ends, spent, bus, outcome)}
        for rate in RATES:
            meter = _Meter(nodes, nats)
            outcome = await driver.drive(pairs, Load(rate=rate, seconds=seconds))
            spent, bus, elapsed = meter.read()
            times: Row = {"p50_ms": outcome.p50_ms, "p99_ms": outcome.p99_ms, "longest_ms": outcome.longest_ms}
            yield {"case": case, "rate": rate, **times, "core": round((sum(spent) + bus) / elapsed, 3)}
    finally:
        cut_all(clients)


class _Meter:
    """What nodes and the bus have used of the processor since this was made."""

    def __init__(self, nodes: Sequence[Node], nats: NatsServer | None) -> None:
        self._nodes = nodes
        self._nats = nats
        self._began = time.monotonic()
        self._before, self._bus_before = self._now()

    def read(self) -> tuple[list[float], float, float]:
        """Seconds of each node, of the bus, and of the clock."""
        spent, bus = self._now()
        by_node = [after - before for after, before in zip(spent, self._before, strict=True)]
        return by_node, bus - self._bus_before, time.monotonic() - self._began

    def _now(self) -> tuple[list[float], float]:
        return [node.program.cpu_seconds() for node in self._nodes], _cpu_of(self._nats)


async def _there_and_back(nats: NatsServer, seconds: float) -> float:
    """The median of milliseconds that a parcel takes over the bus, one after the other."""
    credentials = Credentials.parse(nats.credentials_file.read_text().strip())
    access = NatsAccess([NatsPlace.parse(nats.url)], credentials)
    times: list[float] = []
    over = asyncio.Event()
    until = time.perf_counter() + seconds
    sent_at = 0.0

    def say() -> None:
        nonlocal sent_at
        sent_at = time.perf_counter()
        one.publish("entrenous.there", bytes(PARCEL_BYTES))

    def heard(subject: str, parcel: bytes) -> None:
        now = time.perf_counter()
        times.append(now - sent_at)
        if now < until:
            say()
        else:
            over.set()

    one = await connect(access.places[0], access, ["entrenous.here"], lambda subject, parcel: None)
    other = await connect(access.places[0], access, ["entrenous.there"], heard)
    try:
        for connection in (one, other):
            connection.begin()
        say()
        await over.wait()
    finally:
        for connection in (one, other):
            await connection.close()
    return round(1000 * statistics.median(times), 4)


def _costs(nodes: Sequence[Node], ends: tuple[Node, Node], spent: Sequence[float], bus: float, outcome: Outcome) -> Row:
    """Microseconds for a message, by whom."""
    by_node = {id(node): 1e6 * cpu / outcome.cycles for node, cpu in zip(nodes, spent, strict=True)}
    others = sum(cpu for node, cpu in by_node.items() if node not in map(id, ends))
    row: Row = {
        "sender_us": round(by_node[id(ends[0])], 1),
        "bus_us": round(1e6 * bus / outcome.cycles, 1),
        "others_us": round(others, 1),
        "load_busy": round(outcome.load_busy, 3),
    }
    if ends[0] is not ends[1]:
        row["receiver_us"] = round(by_node[id(ends[1])], 1)
    return row


def _cpu_of(nats: NatsServer | None) -> float:
    if nats is None:
        return 0.0
    fields = Path(f"/proc/{nats.pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


@asynccontextmanager
async def _three() -> AsyncIterator[tuple[list[Node], NatsServer]]:
    with tempfile.TemporaryDirectory(prefix="entrenous-nats-") as folder:
        nats = NatsServer(Path(folder))
        everywhere = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {CORE_OF_SERVER})  # it stays with what is started here
        try:
            nats.start()
        finally:
            os.sched_setaffinity(0, everywhere)
        try:
            async with _nodes(NODES, nats) as nodes:
                yield nodes, nats
        finally:
            nats.kill()


@asynccontextmanager
async def _nodes(count: int, nats: NatsServer | None) -> AsyncIterator[list[Node]]:
    with tempfile.TemporaryDirectory(prefix="entrenous-nodes-") as folder, running_cluster() as postgres:
        shared = Path(folder)
        database = postgres.url(postgres.empty())
        for name in ("message-secret", "cluster-secret"):
            make_secret(shared / name)
        async with AsyncExitStack() as stack:
            nodes = [Node(shared / f"node{number}", shared, database, nats) for number in range(count)]
            for node in nodes:
                stack.push_async_callback(node.program.stop, signal.SIGTERM)
                await node.start()
            if nats is not None:
                for node in nodes:
                    await node.until_met(count - 1)
            await nodes[0].prepare(2 * PAIRS)
            yield nodes
