"""A real server that goes down and comes back under load: nothing that nodes said is lost, or comes twice."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest

from entrenous import Timeouts, register
from entrenous.account import credentials_of
from entrenous.link import Link
from entrenous_signaling.store.database import Databases, read_open_rows, read_records
from entrenous_wire.limits import SUBPROTOCOL
from entrenous_wire.messages import Deliver, Kind, Letter, LoggedIn, Send
from world.nodes import PATIENCE, config
from world.serverproc import ServerProcess, running_server
from world.wirenode import Account, Wire, connected

PAIRS = 8
MOST_HELD = 160
"""Messages that a node here has under way at most: while the server is away, nearly as many as a node holds."""
BODY_BYTES = 1024
SETTINGS = """
drain_seconds = 2.0
[limits]
connection_rate = {per_second = 100000.0, burst = 100000.0}
account_rate = {per_second = 100000.0, burst = 100000.0}
registration_rate = {per_second = 1000.0, burst = 1000.0}
"""
BRISK = Timeouts(backoff=0.05, backoff_limit=0.5, restart=0.5, retry_limit=1.0)


class Talker:
    """A node's own link to the server, and what came and went over it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.said: list[bytes] = []
        self.heard: list[bytes] = []
        self.failed: list[Send] = []
        self.losses = 0
        self.changed = asyncio.Event()
        self.link: Link
        self.to: tuple[str, str]
        self.me: tuple[str, str]

    async def open(self, server: ServerProcess) -> None:
        settings = config(server, None)
        profile = await register(settings, self.name, passphrase=None)
        self.me = (str(profile.address), profile.device)
        self.link = Link(settings, credentials_of(profile), self, timeouts=BRISK)
        await self.link.open(PATIENCE)

    def say(self, kind: Kind = Kind.SIGNAL, call: bytes = bytes(16)) -> None:
        number = len(self.said).to_bytes(4, "big")
        body = (self.name.encode() + number).ljust(BODY_BYTES, b"\0")
        self.said.append(body)
        self.link.send(*self.to, call, kind, body)

    @property
    def held(self) -> int:
        """How many messages are not known to have been delivered."""
        return self.link._session.held

    def message_arrived(self, message: Deliver) -> None:
        self.heard.append(message.body)
        self.changed.set()

    def message_failed(self, message: Send) -> None:
        self.failed.append(message)
        self.changed.set()

    def letter_arrived(self, letter: Letter) -> None:
        raise AssertionError("nothing was stored")

    def letters_read(self) -> None:
        self.changed.set()

    def other_logged_in(self, login: LoggedIn) -> None:
        raise AssertionError("no account here has two devices")

    def link_up(self) -> None:
        self.changed.set()

    def link_lost(self, sentence: str) -> None:
        self.losses += 1
        self.changed.set()

    def link_closed(self, sentence: str) -> None:
        raise AssertionError(sentence)

    async def until_heard(self, count: int) -> None:
        async with asyncio.timeout(PATIENCE):
            while len(self.heard) < count:
                self.changed.clear()
                await self.changed.wait()


async def talk(talkers: list[Talker], over: asyncio.Event) -> None:
    """Everybody says something five times a second, as long as it is carried."""
    while not over.is_set():
        for talker in talkers:
            if talker.held < MOST_HELD:
                talker.say()
        await asyncio.sleep(0.2)  # the pace of the load


async def test_under_load_everything_arrives_once_and_each_call_has_its_record(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(running_server(tmp_path, settings=SETTINGS))
        callers = [Talker(f"caller{number}") for number in range(PAIRS)]
        callees = [Talker(f"callee{number}") for number in range(PAIRS)]
        everybody = [talker for pair in zip(callers, callees, strict=True) for talker in pair]
        await asyncio.gather(*(talker.open(server) for talker in everybody))
        for caller, callee in zip(callers, callees, strict=True):
            stack.push_async_callback(caller.link.close)
            stack.push_async_callback(callee.link.close)
            caller.to, callee.to = callee.me, caller.me
        calls = [os.urandom(16) for _ in range(PAIRS)]
        over = asyncio.Event()
        load = asyncio.create_task(talk(everybody, over))
        for callee, call in zip(callees, calls, strict=True):
            callee.say(Kind.ACCEPT, call)
        await asyncio.gather(*(caller.until_heard(5) for caller in callers))
        assert await server.stop() == 0
        assert len(read_open_rows(Databases(server.data))) == PAIRS
        assert list(read_records(Databases(server.data))) == []
        while callers[0].held < MOST_HELD:
            callers[0].say()
        await server.start()
        await asyncio.gather(*(talker.until_heard(len(talker.heard) + 5) for talker in everybody))
        over.set()
        await load
        for talker, call in zip(everybody, [call for call in calls for _ in range(2)], strict=True):
            talker.say(Kind.END, call)
            talker.link.call_finished(call)
        for caller, callee in zip(callers, callees, strict=True):
            await callee.until_heard(len(caller.said))
            await caller.until_heard(len(callee.said))
            assert callee.heard == caller.said
            assert caller.heard == callee.said
        assert not [talker.failed for talker in everybody if talker.failed]
        assert all(talker.losses for talker in everybody), "each was sent away"
        await asyncio.gather(*(talker.link.close(flush=PATIENCE) for talker in everybody))
        assert not [talker.failed for talker in everybody if talker.failed], "each sender was told of each delivery"
        await server.stop()
        assert len(list(read_records(Databases(server.data)))) == PAIRS
        assert read_open_rows(Databases(server.data)) == []


async def state(url: str) -> int:
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        return answer.status


async def refusal(server: ServerProcess) -> aiohttp.WSServerHandshakeError:
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        async with connected(server.url):
            pass
    return refused.value


async def crowd(stack: AsyncExitStack, server: ServerProcess, count: int) -> list[Wire]:
    return [await stack.enter_async_context(connected(server.url)) for _ in range(count)]


async def test_while_it_drains_it_says_so_and_sends_newcomers_away(tmp_path: Path) -> None:
    settings = "drain_seconds = 600.0\n"
    async with (
        running_server(tmp_path, settings=settings, admin_listen="127.0.0.1:0") as server,
        AsyncExitStack() as stack,
    ):
        wires = await crowd(stack, server, 100)  # of which one leaves every 20 ms
        await wires[-1].register(Account("alice", server.name))
        assert server.process is not None
        leaving = [asyncio.create_task(wire.closed()) for wire in wires]  # who does not read is cut in the end
        server.process.send_signal(signal.SIGTERM)
        assert await leaving[0] == 1012
        addresses = (f"http://{server.listening}/healthz", f"http://{server.listening}/readyz")
        *states, refused = await asyncio.gather(  # all at once: 99 others are still there
            *map(state, (*addresses, f"http://{server.admin}/readyz")), refusal(server)
        )
        assert states == [200, 503, 503]
        assert (refused.status, "Retry-After" in (refused.headers or {})) == (503, True)
        assert await asyncio.gather(*leaving) == [1012] * len(wires)
        assert await server.stop() == 0


async def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    settings = "drain_seconds = 600.0\ngrace_seconds = 1200.0\nlogin_seconds = 600.0\n"
    async with running_server(tmp_path, settings=settings) as server, aiohttp.ClientSession() as http:
        sockets = [await http.ws_connect(server.url, protocols=(SUBPROTOCOL,)) for _ in range(100)]
        process = server.process
        assert process is not None
        process.send_signal(signal.SIGTERM)
        await sockets[0].receive()
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(PATIENCE):
            assert await process.wait() == 0
        assert "stopped calls=0" in server.log.read_text()
