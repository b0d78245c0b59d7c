"""Connections at a real listener: over TLS and without, whole and half-open, few and too many."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import pytest
import uvloop
from aiohttp import web

from entrenous_signaling import acceptor, handshakes
from entrenous_signaling.acceptor import Acceptor
from entrenous_signaling.addresses import KEY_BYTES
from entrenous_signaling.admission import SPARE_SOCKETS, Admission
from entrenous_signaling.certificates import Certificate
from entrenous_signaling.clock import SteadyClock
from entrenous_signaling.config import Listen
from entrenous_signaling.limits import Bounds
from entrenous_signaling.listeners import bind
from entrenous_signaling.meters import Handshake, Meters, UpgradeRefusal
from entrenous_signaling.proxies import TrustedProxies
from entrenous_signaling.shares import Line, Slice
from entrenous_signaling.visitors import Visitors
from lab.certificates import Authority, write
from world.wirenode import WAIT_SECONDS

LONG = 3600.0
BEGUN = b"\x16\x03\x01"
"""The first bytes of a handshake."""

REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


@dataclass
class Place:
    """A listener behind an acceptor."""

    port: int
    client: ssl.SSLContext | None
    acceptor: Acceptor
    meters: Meters
    visitors: Visitors

    async def come(self, said: bytes = b"") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A TCP connection on which no more than that is said."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(said)
        return reader, writer

    async def ask(self) -> bytes:
        """The page that is served; empty for who is cut off."""
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                name = None if self.client is None else "localhost"
                reader, writer = await asyncio.open_connection(
                    "127.0.0.1", self.port, ssl=self.client, server_hostname=name
                )
                writer.write(REQUEST)
                with suppress(ConnectionError):
                    return await reader.read()
                writer.close()
        except ConnectionError:
            pass
        return b""

    def speak(self, session: ssl.SSLSession | None) -> ssl.SSLSession | None:
        """Ask in a TLS session that is to be resumed, and return what it can be resumed with."""
        assert self.client is not None
        with (
            socket.create_connection(("127.0.0.1", self.port), timeout=WAIT_SECONDS) as plain,
            self.client.wrap_socket(plain, server_hostname="localhost", session=session) as wire,
        ):
            wire.sendall(REQUEST)
            assert wire.recv(12) == b"HTTP/1.1 200"
            return wire.session

    def counted(self) -> list[int]:
        """Handshakes: full, resumed, refused."""
        return [self.meters.handshakes[kind] for kind in Handshake]

    async def until_under_way(self, count: int) -> None:
        """Wait until so many handshakes have begun."""
        async with asyncio.timeout(WAIT_SECONDS):
            while len(self.acceptor._handshakes._under_way) < count:  # noqa: ASYNC110 - what is taken has no event
                await asyncio.sleep(0)

    async def until(self, handshakes: list[int]) -> None:
        """Wait until so many are counted."""
        async with asyncio.timeout(WAIT_SECONDS):
            while self.counted() != handshakes:  # noqa: ASYNC110 - what transports do has no event
                await asyncio.sleep(0)

    async def emptied(self) -> None:
        """Wait until everybody is gone."""
        async with asyncio.timeout(WAIT_SECONDS):
            while self.visitors._open:  # noqa: ASYNC110 - what transports do has no event
                await asyncio.sleep(0)


@asynccontextmanager
async def place(
    folder: Path | None, seconds: float = LONG, most: int = 100, connections: int = 1000
) -> AsyncIterator[Place]:
    """Serve a page; over TLS where there is a folder for the certificate."""

    async def page(request: web.Request) -> web.Response:
        return web.Response(text="here")

    app = web.Application()
    app.router.add_get("/", page)
    runner = web.AppRunner(app, shutdown_timeout=1.0)
    await runner.setup()
    assert runner.server is not None
    clock, meters = SteadyClock(), Meters()
    admission = Admission(
        Bounds(),
        connections - SPARE_SOCKETS,
        proxies=TrustedProxies(),
        key=bytes(KEY_BYTES),
        draw=lambda: 0.0,
        now=clock.now(),
    )
    line = Line(asyncio.get_running_loop().call_later, perf_counter)
    visitors = Visitors(admission, clock, meters, runner.server, line, LONG)
    client = certificate = None
    if folder is not None:
        authority = Authority()
        certificate = Certificate(*write(folder, authority.issue("localhost")))
        client = ssl.create_default_context(cadata=authority.pem.decode())
    tls = None if certificate is None else lambda: certificate.context
    listener = bind(Listen("127.0.0.1", 0))
    port = listener.getsockname()[1]
    there = Place(port, client, Acceptor(listener, visitors, meters, tls, seconds, most), meters, visitors)
    try:
        yield there
    finally:
        await there.acceptor.close()
        await runner.cleanup()


async def test_without_tls_whoever_asks_is_served_and_gone(tmp_path: Path) -> None:
    async with place(None) as there:
        for _ in range(3):
            assert (await there.ask()).endswith(b"here")
        await there.emptied()
        assert there.counted() == [0, 0, 0]


async def count_each_by_its_outcome(folder: Path) -> None:
    async with place(folder) as there:
        session = await asyncio.to_thread(there.speak, None)
        await asyncio.to_thread(there.speak, session)
        for said in (REQUEST, b""):
            reader, writer = await there.come()
            writer.write(said)
            writer.write_eof()
            with suppress(ConnectionError):
                await reader.read()
            writer.close()
        await there.until([1, 1, 2])
        await there.emptied()


def test_each_handshake_counts_once_by_its_outcome_on_the_loop_of_the_server(tmp_path: Path) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(count_each_by_its_outcome(tmp_path))


async def test_and_on_the_loop_of_python(tmp_path: Path) -> None:
    await count_each_by_its_outcome(tmp_path)


@pytest.mark.parametrize("said", [b"", BEGUN])
async def test_who_does_not_begin_or_finish_its_handshake_in_time_is_cut(tmp_path: Path, said: bytes) -> None:
    async with place(tmp_path, seconds=0.05) as there:
        reader, writer = await there.come(said)
        async with asyncio.timeout(WAIT_SECONDS):
            assert await reader.read() == b""
        await there.until([0, 0, 1])
        await there.emptied()
        writer.close()


async def test_however_many_say_nothing_they_keep_nobody_waiting(tmp_path: Path) -> None:
    async with place(tmp_path, most=1) as there:
        held = [await there.come() for _ in range(50)]
        assert (await there.ask()).endswith(b"here")
        assert there.counted() == [1, 0, 0]
        for _, writer in held:
            writer.close()
        await there.emptied()
        assert there.counted() == [1, 0, 50]


async def test_who_may_not_come_is_cut_off_before_the_handshake(tmp_path: Path) -> None:
    async with place(tmp_path, connections=2) as there:
        held = [await there.come() for _ in range(2)]
        assert await there.ask() == b""
        assert there.meters.upgrades_refused[UpgradeRefusal.FULL] == 1
        assert there.counted() == [0, 0, 0]
        for _, writer in held:
            writer.close()
        await there.emptied()
        assert (await there.ask()).endswith(b"here")


async def test_so_many_shake_hands_and_others_wait_until_one_is_done(tmp_path: Path) -> None:
    async with place(tmp_path, most=2) as there:
        held = [await there.come(BEGUN) for _ in range(2)]
        await there.until_under_way(2)
        asking = asyncio.create_task(there.ask())
        async with asyncio.timeout(WAIT_SECONDS):
            while not there.acceptor._handshakes._ready:  # noqa: ASYNC110 - what the listener takes has no event
                await asyncio.sleep(0)
        assert not asking.done()
        held[0][1].close()
        assert (await asking).endswith(b"here")
        assert there.counted() == [1, 0, 1]
        held[1][1].close()


async def test_who_holds_all_places_gives_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handshakes, "PATIENCE_SECONDS", 0.02)
    async with place(tmp_path, most=2) as there:
        held = [await there.come(BEGUN) for _ in range(10)]
        await there.until_under_way(2)
        assert (await there.ask()).endswith(b"here"), "behind all of them"
        assert there.counted()[0] == 1
        assert there.counted()[2] >= 9
        for _, writer in held:
            writer.close()


async def test_when_many_may_begin_at_once_all_of_them_do(tmp_path: Path) -> None:
    async with place(tmp_path, most=0) as there:
        held = [await there.come(BEGUN) for _ in range(40)]
        async with asyncio.timeout(WAIT_SECONDS):
            while len(there.acceptor._handshakes._ready) < 40:  # noqa: ASYNC110 - what is taken has no event
                await asyncio.sleep(0)
        there.acceptor._handshakes._most = 100
        there.acceptor._begin()
        await there.until_under_way(40)
        for _, writer in held:
            writer.close()


async def test_one_is_taken_in_a_turn_and_one_handshake_begins(tmp_path: Path) -> None:
    async with place(tmp_path, most=0) as there:
        there.acceptor._accepting = Slice(lambda: 0.0, least=0.0)
        there.acceptor._starting = Slice(lambda: 0.0, least=0.0)
        there.acceptor._rest()
        held = [await there.come(BEGUN) for _ in range(5)]
        for taken in range(1, 6):
            there.acceptor._accept()
            assert there.visitors._open == taken
        async with asyncio.timeout(WAIT_SECONDS):
            while len(there.acceptor._handshakes._ready) < 5:  # noqa: ASYNC110 - what is taken has no event
                await asyncio.sleep(0)
        there.acceptor._handshakes._most = 100
        for begun in range(1, 6):
            there.acceptor._begin_some()
            assert len(there.acceptor._handshakes._under_way) == begun
        for _, writer in held:
            writer.close()


@pytest.mark.parametrize("most", [0, 100])
@pytest.mark.parametrize("said", [b"", BEGUN])
async def test_closing_cuts_off_who_shakes_hands_and_lets_nobody_in(tmp_path: Path, said: bytes, most: int) -> None:
    async with place(tmp_path, most=most) as there:
        reader, writer = await there.come(said)
        async with asyncio.timeout(WAIT_SECONDS):
            while not there.visitors._open:  # noqa: ASYNC110 - what the listener takes has no event
                await asyncio.sleep(0)
            await there.acceptor.close()
            with suppress(ConnectionError):
                assert await reader.read() == b""
        writer.close()
        with pytest.raises(ConnectionRefusedError):
            await there.come()
        await there.emptied()
        assert there.acceptor._handshakes.everybody == ()
        await there.acceptor.close()


class Exhausted:
    """A listener that can take nobody for a while."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self.failures = [errno.ECONNABORTED, errno.EMFILE, errno.ENFILE]

    def fileno(self) -> int:
        return self._listener.fileno()

    def accept(self) -> tuple[socket.socket, object]:
        if self.failures:
            raise OSError(self.failures.pop(0), "full")
        return self._listener.accept()

    def close(self) -> None:
        self._listener.close()


async def test_for_want_of_files_nobody_is_taken_for_a_while(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(acceptor, "BACK_OFF_SECONDS", 0.02)
    async with place(None) as there:
        there.acceptor._listener = Exhausted(there.acceptor._listener)  # type: ignore[assignment]  # what is used of it
        assert (await there.ask()).endswith(b"here")
        assert there.acceptor._listener.failures == []  # type: ignore[attr-defined]  # of Exhausted
    assert caplog.text.count("internal-error") == 2


async def test_meanwhile_it_is_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acceptor, "BACK_OFF_SECONDS", LONG)
    async with place(None) as there:
        there.acceptor._listener = listener = Exhausted(there.acceptor._listener)  # type: ignore[assignment]  # as above
        _, writer = await there.come()
        async with asyncio.timeout(WAIT_SECONDS):
            while there.acceptor._pause is None:  # noqa: ASYNC110 - what the listener does has no event
                await asyncio.sleep(0)
        for _ in range(20):
            await asyncio.sleep(0)
        assert listener.failures == [errno.ENFILE]
        writer.close()
