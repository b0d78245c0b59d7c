"""A real server process against those who mean it harm: each is cut or refused, and who comes after is served."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest

from entrenous_wire.codec import encode
from entrenous_wire.limits import MAX_FRAME_BYTES, SIGNAL_PATH, SUBPROTOCOL
from entrenous_wire.messages import Deliver, Error, ErrorCode, Resume, Welcome
from lab.certificates import self_signed, write
from world.serverproc import ServerProcess, running_server
from world.wirenode import WAIT_SECONDS, Account, Wire, connected

LOGIN_SECONDS = 2.0
DEEP = (
    "[" * 60_000,
    '{"a":' * 12_000,
    '{"type":"ack","seq":' + "[" * 40_000,
    '{"type":"live","calls":' + "[[" * 20_000,
)


async def ended(reader: asyncio.StreamReader) -> bytes:
    """Wait until the server ends a connection; what it said before."""
    async with asyncio.timeout(WAIT_SECONDS):
        try:
            return await reader.read()
        except ConnectionError:
            return b""


async def is_served(server: ServerProcess, tls: ssl.SSLContext | bool = True, url: str = "") -> None:
    """Whoever comes now is registered, or logged in, and gets a message through to itself."""
    async with connected(url or server.url, tls) as wire:
        somebody = Account("somebody", wire.hello.server)
        await wire.register(somebody)
        await wire.say(somebody.send(1, somebody))
        await wire.hear(Deliver)


async def refused_upgrade(url: str, **headers: str) -> tuple[int, int]:
    """The status of a refused upgrade, and after how many seconds to come again."""
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await session.ws_connect(url, protocols=(SUBPROTOCOL,), headers=headers)
    assert refused.value.headers is not None
    return refused.value.status, int(refused.value.headers["Retry-After"])


async def cut_by_flooding(wire: Wire, frame: str) -> int:
    """Say the same thing until the server ends the connection; the code with which it does."""
    with contextlib.suppress(ConnectionError):
        for _ in range(20_000):
            await wire.socket.send_str(frame)
    return await wire.closed()


async def trickle(writer: asyncio.StreamWriter, text: bytes) -> None:
    """One byte after the other, never to an end; returns when the connection is gone."""
    while not writer.is_closing():
        writer.write(text)
        await asyncio.sleep(LOGIN_SECONDS / 20)  # as slow as the client is


# --- slow ones ---


async def test_whoever_never_finishes_asking_is_cut_however_busily(tmp_path: Path) -> None:
    async with running_server(tmp_path, settings=f"login_seconds = {LOGIN_SECONDS}\n") as server:
        host, port = server.listening.rsplit(":", 1)
        begun = b"GET /v1/signal HTTP/1.1\r\nHost: x\r\nX-Slow: "

        async def ask_without_end(first: bytes, group: asyncio.TaskGroup) -> None:
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(first)
            slow = group.create_task(trickle(writer, b"a" if first == begun else b""))
            await ended(reader)
            slow.cancel()
            writer.close()

        async with asyncio.TaskGroup() as group:
            for first in (b"", b"GET /v1", begun, b"\r\n"):
                group.create_task(ask_without_end(first, group))
        await is_served(server)


async def test_a_tls_handshake_that_never_ends_is_cut(tmp_path: Path) -> None:
    cert, key = write(tmp_path, self_signed("localhost"))
    settings = f"login_seconds = {LOGIN_SECONDS}\n"
    async with running_server(tmp_path, settings=settings, tls_cert=cert, tls_key=key, name="localhost") as server:
        host, port = server.listening.rsplit(":", 1)

        async def shake_without_end(said: bytes) -> None:
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(said)
            await ended(reader)
            writer.close()

        await asyncio.gather(
            *map(shake_without_end, (b"", b"\x16\x03\x01\x02\x00\x01", b"GET / HTTP/1.1\r\n\r\n", bytes(100)))
        )
        await is_served(server, ssl.create_default_context(cafile=cert), f"wss://localhost:{port}{SIGNAL_PATH}")


async def test_a_page_ends_its_connection_so_that_asking_again_and_again_keeps_none(tmp_path: Path) -> None:
    async with running_server(tmp_path) as server:
        host, port = server.listening.rsplit(":", 1)
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(2 * b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        said = await ended(reader)
        writer.close()
        assert said.count(b"HTTP/1.1 200") == 1
        assert b"Connection: close" in said


# --- too much of it ---


async def test_deep_and_huge_and_countless_frames_hurt_nobody_else(tmp_path: Path) -> None:
    async with running_server(tmp_path) as server, connected(server.url) as good:
        await good.register(Account("good", server.name))
        for frame in DEEP:
            assert len(frame) <= MAX_FRAME_BYTES
            async with connected(server.url) as wire:
                await wire.socket.send_str(frame)
                assert (await wire.hear(Error)).code in (ErrorCode.MALFORMED, ErrorCode.UNKNOWN_TYPE)
        async with connected(server.url) as wire:
            await wire.register(Account("flooder", server.name))
            assert await cut_by_flooding(wire, "{") in (1006, 1008)
        async with connected(server.url) as wire:
            assert await cut_by_flooding(wire, encode(Resume(token=bytes(32), last_seq=0))) in (1006, 1008)
        await is_served(server)
        await server.stop()
        assert "internal-error" not in server.log.read_text()


async def test_one_message_in_countless_pieces_is_cut_at_its_size(tmp_path: Path) -> None:
    async with running_server(tmp_path) as server, connected(server.url) as wire:
        connection = wire.socket._response.connection
        assert connection is not None
        assert connection.transport is not None
        size, no_mask = (1024).to_bytes(2, "big"), bytes(4)
        for number in range(8 * MAX_FRAME_BYTES // 1024):
            begun = b"\x01" if number == 0 else b"\x00"  # a text frame or one that goes on, and none the last
            connection.transport.write(begun + b"\xfe" + size + no_mask + bytes(1024))
        assert await wire.closed() in (1006, 1009)
        await is_served(server)


# --- from one address ---

LIMITED = """
insecure_loopback = true
{proxies}
[limits]
limit_loopback = true
address_connections = 3
address_connection_rate = {{ per_second = 0.01, burst = 12.0 }}
address_registration_rate = {{ per_second = 0.01, burst = 2.0 }}
address_login_failures = {{ per_second = 0.01, burst = 2.0 }}
"""


async def test_one_address_has_its_share_and_no_more(tmp_path: Path) -> None:
    async with running_server(tmp_path, settings=LIMITED.format(proxies="")) as server:
        async with AsyncExitStack() as stack:
            wires = [await stack.enter_async_context(connected(server.url)) for _ in range(3)]
            status, retry = await refused_upgrade(server.url)
            assert status == 429
            assert 10 <= retry <= 25
            for number, wire in enumerate(wires):
                await wire.say(Account(f"user{number}", server.name).register(wire.hello))
            heard = [await wire.hear(Welcome if number < 2 else Error) for number, wire in enumerate(wires)]
            assert isinstance(heard[2], Error)
            assert heard[2].code is ErrorCode.TOO_MANY
            assert heard[2].retry_after is not None
        for code in (ErrorCode.UNKNOWN_USER, ErrorCode.UNKNOWN_USER, ErrorCode.TOO_MANY, ErrorCode.TOO_MANY):
            async with connected(server.url) as wire:
                await wire.say(Account("nobody", server.name).login(wire.hello))
                assert (await wire.hear(Error)).code is code
        statuses = []
        while 429 not in statuses:
            try:
                async with connected(server.url):
                    statuses.append(101)
            except aiohttp.WSServerHandshakeError as refused:
                statuses.append(refused.status)
        assert len(statuses) <= 12 - 3 - 4 + 1
        await server.stop()
        assert "127.0.0.1" not in server.log.read_text()


async def test_behind_a_trusted_proxy_each_client_has_its_own_share(tmp_path: Path) -> None:
    settings = LIMITED.format(proxies='trusted_proxies = ["127.0.0.1"]')
    async with (
        running_server(tmp_path, settings=settings, admin_listen="127.0.0.1:0") as server,
        AsyncExitStack() as stack,
    ):
        http = await stack.enter_async_context(aiohttp.ClientSession())
        there = []

        async def come(client: str) -> None:
            headers = {"X-Forwarded-For": client}
            there.append(await http.ws_connect(server.url, protocols=(SUBPROTOCOL,), headers=headers))

        for _ in range(3):
            await come("192.0.2.1")
        assert (await refused_upgrade(server.url, **{"X-Forwarded-For": "192.0.2.1"}))[0] == 429
        assert (await refused_upgrade(server.url, **{"X-Forwarded-For": "203.0.113.5, 192.0.2.1"}))[0] == 429
        await come("192.0.2.2")
        await come("192.0.2.1, 192.0.2.2")
        async with http.get(f"http://{server.admin}/metrics") as page:
            text = await page.text()
        assert 'entrenous_upgrades_refused_total{reason="address"} 2.0' in text.splitlines()
        await server.stop()
        assert "192.0.2" not in text + server.log.read_text()


async def test_a_crowd_is_told_to_come_again(tmp_path: Path) -> None:
    settings = "[limits]\nconnecting_rate = { per_second = 0.01, burst = 2.0 }\n"
    async with (
        running_server(tmp_path, settings=settings) as server,
        connected(server.url),
        connected(server.url) as second,
    ):
        status, retry = await refused_upgrade(server.url)
        assert status == 503
        assert retry > 1
        await second.register(Account("second", server.name))


async def test_more_than_the_accept_queue_holds_come_at_once_and_all_are_served(tmp_path: Path) -> None:
    count = 1500
    async with running_server(tmp_path) as server:
        host, port = server.listening.rsplit(":", 1)
        crowd = []
        for _ in range(count):
            each = socket.socket()
            each.setblocking(False)
            each.connect_ex((host, int(port)))
            crowd.append(each)
        await is_served(server)
        for each in crowd:
            each.close()
