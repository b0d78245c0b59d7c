"""A lab in which everything runs: both servers, and a node in every home, all of them contacts of each other."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from world.nodeproc import NodeProcess

from .homes import Access, Home
from .links import Link
from .nat import Nat
from .network import Network
from .programs import LabRelay, LabServer, acquaint, running_node, running_relay, running_server

CALLER_TONE, CALLEE_TONE = 440.0, 660.0
_START_AT_ONCE = 4
"""Nodes that start at a time: more would only wait for each other, until they run out of patience."""


@dataclass
class Town:
    """Everything by name.

    Args:
        lab: the network.
        relay: coturn.
        server: the signaling server.
        nodes: by the name of their home. Every first of two sends `CALLER_TONE` and listens for the other one, every
            second the other way round: a first can talk to any second.
    """

    lab: Network
    relay: LabRelay
    server: LabServer
    nodes: dict[str, NodeProcess]

    def home(self, name: str) -> Home:
        """A home of the lab."""
        return self.lab.home(name)


@asynccontextmanager
async def running_town(
    folder: Path, homes: Mapping[str, Nat | Access | Sequence[Access]], *, link: Link | None = None, **options: Any
) -> AsyncIterator[Town]:
    """Build the lab and start everything in it.

    Args:
        folder: for the files of all programs.
        homes: by name, callers and callees by turns.
        link: of all access lines.
        options: of every node; see `world.nodeproc.running_node`.
    """
    few = asyncio.Semaphore(_START_AT_ONCE)

    async with AsyncExitStack() as stack:
        lab = await stack.enter_async_context(Network(homes, link=link))
        relay = await stack.enter_async_context(running_relay(lab, folder))
        server = await stack.enter_async_context(running_server(lab, folder, relay=relay))

        async def start(number: int, name: str, tone: float) -> NodeProcess:
            heard = CALLER_TONE + CALLEE_TONE - tone
            node = running_node(lab, name, server, username=f"user{number}", tone=tone, hear=heard, **options)
            async with few:
                return await stack.enter_async_context(node)

        tones = itertools.cycle((CALLER_TONE, CALLEE_TONE))
        numbered = enumerate(zip(homes, tones, strict=False))
        nodes = await asyncio.gather(*(start(number, name, tone) for number, (name, tone) in numbered))
        acquaint(*nodes)
        try:
            yield Town(lab, relay, server, dict(zip(homes, nodes, strict=True)))
        finally:
            await asyncio.gather(*(node.close() for node in nodes))  # each takes its time to say goodbye
