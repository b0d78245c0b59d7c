"""The server's edge in this process: real WebSockets over a Unix socket, a real store, no process of its own."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import aiohttp
from aiohttp import web

from entrenous_signaling.acceptor import Acceptor
from entrenous_signaling.addresses import KEY_BYTES
from entrenous_signaling.admission import Admission
from entrenous_signaling.clock import SteadyClock
from entrenous_signaling.edge import Edge, Publishes
from entrenous_signaling.hub import Hub
from entrenous_signaling.limits import Bounds
from entrenous_signaling.meters import Meters
from entrenous_signaling.pages import Pages
from entrenous_signaling.proxies import TrustedProxies
from entrenous_signaling.settings import HubSettings
from entrenous_signaling.shares import Line
from entrenous_signaling.store.database import Databases
from entrenous_signaling.store.writer import Store
from entrenous_signaling.store_access import StoreAccess
from entrenous_signaling.visitors import Visitors
from entrenous_wire.limits import SIGNAL_PATH, SUBPROTOCOL
from entrenous_wire.messages import Hello, RegistrationPolicy

from .wirenode import WAIT_SECONDS, Wire

SERVER = "calls.example.org"


@dataclass
class EdgeWorld:
    """An edge and what stands behind it.

    Args:
        edge: what is tested.
        hub, access, meters: what it was given.
        visitors: who counts its connections.
        http: speaks to it.
    """

    edge: Edge
    hub: Hub
    access: StoreAccess
    meters: Meters
    visitors: Visitors
    http: aiohttp.ClientSession

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Wire]:
        """Open a connection and hear the greeting."""
        async with self.http.ws_connect(f"ws://edge{SIGNAL_PATH}", protocols=(SUBPROTOCOL,)) as socket:
            wire = Wire(socket, None)  # type: ignore[arg-type]  # the greeting comes over the wire itself
            wire.hello = await wire.hear(Hello)
            yield wire

    async def emptied(self) -> None:
        """Wait until the edge has noticed that everybody is gone."""
        async with asyncio.timeout(WAIT_SECONDS):
            while self.edge.connections:  # noqa: ASYNC110  # what the handlers of aiohttp do has no event
                await asyncio.sleep(0)

    async def get(self, path: str) -> tuple[int, str]:
        """The status and the text of a page."""
        async with self.http.get(f"http://edge{path}") as answer:
            return answer.status, await answer.text()


@asynccontextmanager
async def edge_world(
    folder: Path,
    max_connections: int = 100,
    bounds: Bounds | None = None,
    node: bytes | None = None,
    courier: Publishes | None = None,
) -> AsyncIterator[EdgeWorld]:
    """Run an edge in `folder`, an empty directory.

    Args:
        folder: where its data are.
        max_connections, bounds: that it keeps.
        node, courier: when it is one of several.
    """
    bounds = bounds or Bounds()
    clock, meters = SteadyClock(), Meters()
    hub = Hub(HubSettings(name=SERVER, message_key=bytes(32), bounds=bounds, node=node), os.urandom, clock.now())
    store = Store(Databases(folder / "data"))
    access = StoreAccess(store, meters)
    admission = Admission(
        bounds, max_connections, proxies=TrustedProxies(), key=bytes(KEY_BYTES), draw=lambda: 0.5, now=clock.now()
    )
    line = Line(asyncio.get_running_loop().call_later, perf_counter)
    edge = Edge(hub, access, clock, admission, meters, line, courier)
    store.start(edge.store_answered)
    pages = Pages(edge, RegistrationPolicy.OPEN, lambda: b"entrenous_sessions 0.0\n")
    app = pages.public()
    app.add_subapp("/admin", pages.admin())
    runner = web.AppRunner(app)
    await runner.setup()
    assert runner.server is not None
    visitors = Visitors(admission, clock, meters, runner.server, line, 60.0)
    # Not TCP: floods both ways bring its windows to a standstill for minutes before the server's own bound is reached.
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(folder / "edge"))
    listener.listen()
    acceptor = Acceptor(listener, visitors, meters, None, 60.0)
    try:
        async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(folder / "edge"))) as http:
            yield EdgeWorld(edge, hub, access, meters, visitors, http)
    finally:
        await acceptor.close()
        await edge.close()
        await runner.cleanup()
        store.close()
