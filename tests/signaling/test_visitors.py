"""TCP connections before they say anything, over real sockets of loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import cast

import pytest
from aiohttp import web

from entrenous_signaling.acceptor import Acceptor
from entrenous_signaling.addresses import KEY_BYTES, SPARE_SOCKETS
from entrenous_signaling.admission import Admission
from entrenous_signaling.clock import SteadyClock
from entrenous_signaling.config import Listen
from entrenous_signaling.limits import Bounds
from entrenous_signaling.listeners import bind
from entrenous_signaling.meters import Meters, UpgradeRefusal
from entrenous_signaling.proxies import TrustedProxies
from entrenous_signaling.shares import Line
from entrenous_signaling.visitors import MOST_UNHEARD, Visitor, Visitors
from world.wirenode import WAIT_SECONDS

MOST = 3 + SPARE_SOCKETS


@dataclass
class Door:
    """A listener behind Visitors."""

    port: int
    meters: Meters
    visitors: Visitors

    async def come(self, number: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port, local_addr=(f"127.0.1.{number}", 0))

    async def ask(self, number: int) -> bytes:
        reader, writer = await self.come(number)
        try:
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            async with asyncio.timeout(WAIT_SECONDS):
                return await reader.read()
        except ConnectionError:
            return b""
        finally:
            writer.close()

    async def emptied(self) -> None:
        async with asyncio.timeout(WAIT_SECONDS):
            while self.visitors._open:  # noqa: ASYNC110 - what transports do has no event
                await asyncio.sleep(0)


class Taker(asyncio.Protocol):
    """The next protocol of a connection: says what it hears once more."""

    def __init__(self, transport: asyncio.Transport, left: Callable[[], None]) -> None:
        self._transport, self._left = transport, left

    def data_received(self, data: bytes) -> None:
        self._transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._left()


@asynccontextmanager
async def door(line: Line | None = None) -> AsyncIterator[Door]:
    async def page(request: web.Request) -> web.Response:
        return web.Response(text="here")

    async def take_over(request: web.Request) -> web.Response:
        transport, early, left = cast(Visitor, request.protocol).hand_over()
        transport.set_protocol(Taker(transport, left))
        transport.write(b"taken " + early)
        with pytest.raises(ConnectionError):
            cast(Visitor, request.protocol).hand_over()
        return web.Response(text="to nobody")

    app = web.Application()
    app.router.add_get("/", page)
    app.router.add_get("/take", take_over)
    runner = web.AppRunner(app, shutdown_timeout=1.0)
    await runner.setup()
    assert runner.server is not None
    clock, meters = SteadyClock(), Meters()
    admission = Admission(
        Bounds(address_connections=3, limit_loopback=True),
        10_000,
        proxies=TrustedProxies(),
        key=bytes(KEY_BYTES),
        draw=lambda: 0.0,
        now=clock.now(),
    )
    line = line or Line(asyncio.get_running_loop().call_later, perf_counter)
    visitors = Visitors(admission, clock, meters, runner.server, line, 60.0)
    listener = bind(Listen("127.0.0.1", 0))
    acceptor = Acceptor(listener, visitors, meters, None, 60.0)
    try:
        yield Door(listener.getsockname()[1], meters, visitors)
    finally:
        await acceptor.close()
        await runner.cleanup()


async def test_one_address_holds_so_many_sockets_and_others_are_served() -> None:
    async with door() as there:
        held = [await there.come(1) for _ in range(MOST)]
        assert await there.ask(1) == b""
        assert there.meters.upgrades_refused[UpgradeRefusal.ADDRESS] == 1
        assert (await there.ask(2)).endswith(b"here")
        for _, writer in held:
            writer.close()
        await there.emptied()
        assert (await there.ask(1)).endswith(b"here")


async def test_each_visitor_is_counted_until_it_is_gone() -> None:
    async with door() as there:
        for _ in range(3):
            assert (await there.ask(1)).endswith(b"here")
        await there.emptied()
        assert there.meters.upgrades_refused.total() == 0


async def test_a_connection_that_is_handed_over_is_counted_until_it_is_gone_and_aiohttp_knows_nothing_of_it() -> None:
    async with door() as there:
        reader, writer = await there.come(1)
        writer.write(b"GET /take HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nearly")
        async with asyncio.timeout(WAIT_SECONDS):
            assert await reader.readexactly(11) == b"taken early"
            writer.write(b"a")
            assert await reader.readexactly(1) == b"a"
        assert there.visitors._open == 1
        assert there.visitors._server.connections == []
        writer.write_eof()
        async with asyncio.timeout(WAIT_SECONDS):
            assert await reader.read() == b"", "no response"
        writer.close()
        await there.emptied()


class Transport(asyncio.Transport):
    """Takes what is written, and notes when it is cut."""

    is_cut = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        pass

    def is_closing(self) -> bool:
        return self.is_cut

    def abort(self) -> None:
        self.is_cut = True

    close = abort


async def test_however_many_ask_at_once_one_is_heard_in_a_turn_and_it_may_say_so_much_before() -> None:
    turns: list[Callable[[], None]] = []

    def call_later(seconds: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
        turns.append(callback)
        return None  # type: ignore[return-value]  # nobody cancels it

    line = Line(call_later, lambda: 0.0)
    async with door(line) as there:
        asking = [there.visitors.enter("127.0.0.9") for _ in range(3)]
        transports = [Transport() for _ in asking]
        for visitor, transport in zip(asking, transports, strict=True):
            visitor.connection_made(transport)
            visitor.data_received(b"GET / HTTP/1.1\r\n")
        asking[0].data_received(b"Host: x\r\n\r\n")
        waiting = []
        while turns:
            (turn,) = turns
            turns.clear()
            line.others_were_heard = True
            turn()
            waiting.append([visitor.waits for visitor in asking])
        assert waiting == [[False, True, True], [False, False, True], [False, False, False]]
        asking[2].data_received(b"")
        assert turns == []
        asking[1].data_received(bytes(MOST_UNHEARD))
        assert not transports[1].is_cut
        asking[1].data_received(b"!")
        assert transports[1].is_cut
        for visitor in asking:
            visitor.connection_lost(None)
            assert not visitor.waits


async def test_what_comes_while_a_request_is_answered_is_handed_over() -> None:
    turns: list[Callable[[], None]] = []

    def call_later(seconds: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
        turns.append(callback)
        return None  # type: ignore[return-value]  # nobody cancels it

    async with door(Line(call_later, lambda: 0.0)) as there:
        reader, writer = await there.come(1)
        writer.write(b"GET /take HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nvery ")
        async with asyncio.timeout(WAIT_SECONDS):
            while not turns:  # noqa: ASYNC110 - what a socket receives has no event
                await asyncio.sleep(0)
            (visitor,) = cast(list[Visitor], there.visitors._server.connections)
            turns.pop()()
            visitor.data_received(b"early")
            assert await reader.readexactly(16) == b"taken very early"
        turns.pop()()
        assert turns == []
        writer.close()
        await there.emptied()
