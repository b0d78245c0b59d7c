"""Several server processes that are one server: what each is configured with, and how each is asked how it does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from entrenous_signaling.control import ask
from entrenous_signaling.control_messages import GetStatus, Status
from entrenous_signaling.private_files import make_secret
from lab.nats import NatsServer
from lab.ports import free_port
from lab.postgres import Cluster, socket_in
from lab.way import Way, leading

from .serverproc import ServerProcess
from .talker import PATIENCE
from .wirenode import Account, connected

NAME = "calls.example.org"
_SETTINGS = """
name = "{name}"
database = "{database}"
secret_file = "{folder}/message-secret"
admin_listen = "127.0.0.1:0"
[cluster]
nats = ["nats://127.0.0.1:{nats}"]
secret_file = "{folder}/cluster-secret"
credentials_file = "{credentials}"
[limits]
connection_rate = {{per_second = 1e5, burst = 1e5}}
account_rate = {{per_second = 1e5, burst = 1e5}}
"""


@dataclass(frozen=True, slots=True)
class Ways:
    """How one node reaches what all share."""

    nats: Way
    database: Way


@dataclass
class Nodes:
    """Servers that share NATS and a database.

    Args:
        servers: each a process of its own.
        ways: of each.
    """

    servers: list[ServerProcess]
    ways: list[Ways]

    @property
    def urls(self) -> list[str]:
        """Of their WebSockets."""
        return [server.url for server in self.servers]

    def urls_from(self, number: int) -> list[str]:
        """The same, beginning with that of one of them."""
        return self.urls[number:] + self.urls[:number]

    async def register(self, *accounts: Account) -> None:
        """Make accounts, at whichever node."""
        for number, account in enumerate(accounts):
            async with connected(self.urls[number % len(self.servers)]) as wire:
                await wire.register(account)

    async def status(self, number: int) -> Status:
        """What a node says of itself."""
        return await asyncio.to_thread(ask, self.servers[number].data / "control.sock", GetStatus(), Status)

    async def until_met(self) -> None:
        """Wait until each hears all others."""
        others = len(self.servers) - 1
        for number in range(len(self.servers)):
            await self.until_status(number, lambda said: said.nodes == others)

    async def until_status(self, number: int, condition: Callable[[Status], bool]) -> None:
        """Wait until a node says of itself that it is so."""
        async with asyncio.timeout(PATIENCE):
            while not condition(await self.status(number)):  # noqa: ASYNC110 - another process has no event to wait for
                await asyncio.sleep(0.05)

    async def until_ready(self, number: int, ready: bool) -> None:
        """Wait until a node takes newcomers, or does not."""
        wanted = 200 if ready else 503
        async with aiohttp.ClientSession() as http, asyncio.timeout(PATIENCE):
            while True:
                async with http.get(f"http://{self.servers[number].admin}/readyz") as answer:
                    if answer.status == wanted:
                        return
                await asyncio.sleep(0.05)


@asynccontextmanager
async def running_nodes(folder: Path, count: int, nats: NatsServer, cluster: Cluster) -> AsyncIterator[Nodes]:
    """Start servers that share NATS and an empty database, wait until they have met, and end them afterwards.

    Args:
        folder: an empty directory.
        count: how many.
        nats: carries what they say to each other.
        cluster: where the database is.
    """
    for secret in ("message-secret", "cluster-secret"):
        make_secret(folder / secret)
    database = cluster.empty()
    async with AsyncExitStack() as stack:
        nodes = Nodes([], [])
        for number in range(count):
            place = folder / f"node{number}"
            place.mkdir()
            port = free_port()
            nodes.ways.append(
                Ways(
                    await stack.enter_async_context(leading(port, nats.port)),
                    await stack.enter_async_context(leading(socket_in(place), cluster.socket)),
                )
            )
            file = place / "server.toml"
            file.write_text(
                _SETTINGS.format(
                    name=NAME,
                    database=cluster.url(database, through=place),
                    folder=folder,
                    nats=port,
                    credentials=nats.credentials_file,
                )
            )
            server = ServerProcess(place, {"config": file})
            stack.push_async_callback(server.stop)
            nodes.servers.append(server)
        await asyncio.gather(*(server.start() for server in nodes.servers))
        await nodes.until_met()
        yield nodes
