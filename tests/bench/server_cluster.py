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
one. The bus needs (1 - 1/n)·b of a processor besides.
"""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Final

from entrenous_signaling.control import ControlError, ask
from entrenous_signaling.control_messages import GetStatus, Status
from entrenous_signaling.private_files import make_secret
from lab.nats import NatsServer, find_program
from lab.network import Unavailable
from lab.postgres import find_programs, running_cluster

from .media_report import Row
from .server_clients import Client, cut_all
from .server_load import CORE_OF_SERVER, Load, Outcome, Pair
from .server_ours import Ours
from .server_programs import START_SECONDS
from .server_report import line, median_of

NODES: Final = 3
PAIRS: Final = 64
WINDOW: Final = 16
RATE: Final = 2_000.0
"""At which latencies are measured: all that serves has one core."""

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
    """One node alone; then three, with pairs at one of them and with pairs across two of them."""
    if find_program() is None or find_programs() is None:
        raise Unavailable("nats-server or PostgreSQL is not installed")
    async with _nodes(1, None) as (alone,):
        async for row in _loads("alone", [alone], (alone, alone), None, seconds):
            yield row
    async with _three() as (nodes, nats):
        for case, ends in (("at home", (nodes[0], nodes[0])), ("across", (nodes[0], nodes[1]))):
            async for row in _loads(case, nodes, ends, nats, seconds):
                yield row


def summary(rows: Sequence[Row]) -> list[str]:
    """The inputs, and the model."""
    lines = [
        line(f"{NODES} nodes, 1 kB messages", "messages/s", "p50 ms", "p99 ms", "sender µs", "receiver µs", "bus µs")
    ]
    for case in ("alone", "at home", "across"):
        names = ("per_second", "p50_ms", "p99_ms", "sender_us", "receiver_us", "bus_us")
        lines.append(line(case, *(median_of(rows, name, case=case) for name in names)))
    alone, at_home = (median_of(rows, "sender_us", case=case) for case in ("alone", "at home"))
    sender, receiver, bus = (median_of(rows, name, case="across") for name in ("sender_us", "receiver_us", "bus_us"))
    if alone and at_home and sender and receiver and bus:
        share = 1 / NODES
        cost = share * at_home + (1 - share) * (sender + receiver)
        value = worth(NODES, alone, at_home, sender + receiver)
        lines.append(f"  a message costs the nodes {cost:.1f} µs: {NODES} nodes are worth {value:.2f}")
        busy = (1 - share) * bus * NODES / cost
        lines.append(f"  and keep the bus busy for {busy:.2f} of a core when they are busy themselves")
    near, far = (median_of(rows, "p50_ms", case=case) for case in ("at home", "across"))
    if near is not None and far is not None:
        lines.append(f"  a hop takes {far - near:+.2f} ms at {RATE:,.0f} messages/s")
    return [*lines, *(f"  goal: {goal}" for goal in GOALS)]


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
    case: str, nodes: Sequence[Node], ends: tuple[Node, Node], nats: NatsServer | None, seconds: float
) -> AsyncIterator[Row]:
    clients: list[Client] = []
    for number in range(2 * PAIRS):
        clients.append(await ends[number % 2].enter(number))
    files = [client.hand_over() for client in clients]
    pairs = [
        Pair((files[number], files[number + 1]), [ends[0].routed(number, number + 1)])
        for number in range(0, len(files), 2)
    ]
    driver = ends[0].driver()
    try:
        before, bus = [node.program.cpu_seconds() for node in nodes], _cpu_of(nats)
        outcome = await driver.drive(pairs, Load(window=WINDOW, seconds=seconds))
        spent = [node.program.cpu_seconds() - was for node, was in zip(nodes, before, strict=True)]
        bus = _cpu_of(nats) - bus
        yield {"case": case, "per_second": round(outcome.per_second), **_costs(nodes, ends, spent, bus, outcome)}
        outcome = await driver.drive(pairs, Load(rate=RATE, seconds=seconds))
        yield {"case": case, "p50_ms": outcome.p50_ms, "p99_ms": outcome.p99_ms, "longest_ms": outcome.longest_ms}
    finally:
        cut_all(clients)


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
