"""Links to real servers and to servers that misbehave, and what they tell."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from entrenous import NodeConfig, Profile, Timeouts, register
from entrenous.account import credentials_of
from entrenous.link import Link
from entrenous_wire import limits
from entrenous_wire.addresses import Address
from entrenous_wire.messages import Deliver, Letter, LoggedIn, Send

from .nodes import PATIENCE, config
from .serverproc import ServerProcess

Handler = Callable[[web.WebSocketResponse], Awaitable[None]]
BODY = bytes(1024)


class User:
    """Remembers what a link tells."""

    def __init__(self) -> None:
        self.told: asyncio.Queue[object] = asyncio.Queue()
        self.letters_were_read = asyncio.Event()

    def message_arrived(self, message: Deliver) -> None:
        self.told.put_nowait(message)

    def message_failed(self, message: Send) -> None:
        self.told.put_nowait(message)

    def letter_arrived(self, letter: Letter) -> None:
        self.told.put_nowait(letter)

    def letters_read(self) -> None:
        self.letters_were_read.set()

    def other_logged_in(self, login: LoggedIn) -> None:
        self.told.put_nowait(login)

    def link_up(self) -> None:
        self.told.put_nowait("up")

    def link_lost(self, sentence: str) -> None:
        self.told.put_nowait(("lost", sentence))

    def link_closed(self, sentence: str) -> None:
        self.told.put_nowait(("closed", sentence))

    async def next(self) -> object:
        async with asyncio.timeout(PATIENCE):
            return await self.told.get()


@asynccontextmanager
async def opened(
    server: ServerProcess, username: str, timeouts: Timeouts | None = None
) -> AsyncIterator[tuple[Link, User, Profile]]:
    settings = config(server, None)
    profile = await register(settings, username, passphrase=None)
    user = User()
    opened_link = Link(settings, credentials_of(profile), user, timeouts=timeouts)
    await opened_link.open(PATIENCE)
    assert await user.next() == "up"
    try:
        yield opened_link, user, profile
    finally:
        await opened_link.close()


@asynccontextmanager
async def odd_server(handler: Handler) -> AsyncIterator[NodeConfig]:
    """A WebSocket server that does what `handler` does."""

    async def serve(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(protocols=(limits.SUBPROTOCOL,))
        await socket.prepare(request)
        await handler(socket)
        return socket

    async with web_server(serve) as settings:
        yield settings


@asynccontextmanager
async def web_server(serve: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[NodeConfig]:
    """An HTTP server that answers the upgrade with `serve`."""
    app = web.Application()
    app.router.add_get(limits.SIGNAL_PATH, serve)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        yield NodeConfig(server=f"ws://127.0.0.1:{port}", loopback_only=True)
    finally:
        await runner.cleanup()


def link_to(settings: NodeConfig, *, name: str = "127.0.0.1") -> Link:
    profile = Profile.create(None, None, Address("alice", name))
    timeouts = Timeouts(backoff=0.05, restart=0.05, login=0.2)
    return Link(settings, credentials_of(profile), User(), timeouts=timeouts)
