"""TLS handshakes that succeed, are resumed, fail and never end, at a real listener."""

from __future__ import annotations

import asyncio
import socket
import ssl
from pathlib import Path

import uvloop

from entrenous_signaling.certificates import Certificate
from entrenous_signaling.handshakes import HandshakeCounter
from entrenous_signaling.meters import Handshake, Meters
from lab.certificates import Authority, write

LONG = 3600.0


class Echo(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]  # uvloop's has no such base

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


def speak(port: int, context: ssl.SSLContext, session: ssl.SSLSession | None) -> ssl.SSLSession | None:
    with (
        socket.create_connection(("127.0.0.1", port), timeout=60) as plain,
        context.wrap_socket(plain, server_hostname="localhost", session=session) as wire,
    ):
        wire.sendall(b"hello")
        assert wire.recv(5) == b"hello"
        return wire.session


async def count(folder: Path) -> Meters:
    authority, meters = Authority(), Meters()
    certificate = Certificate(*write(folder, authority.issue("localhost")))
    loop = asyncio.get_running_loop()
    counter = HandshakeCounter(Echo, LONG, meters)
    server = await loop.create_server(counter, "127.0.0.1", 0, ssl=certificate.context)
    port = server.sockets[0].getsockname()[1]
    client = ssl.create_default_context(cadata=authority.pem.decode())
    session = await asyncio.to_thread(speak, port, client, None)
    await asyncio.to_thread(speak, port, client, session)
    for _ in range(2):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        await reader.read()
        writer.close()
    _, silent = await asyncio.open_connection("127.0.0.1", port)
    counter.expire(loop.time())
    assert [meters.handshakes[kind] for kind in Handshake] == [1, 1, 0], "nothing is late yet"
    counter.expire(loop.time() + 2 * LONG)
    silent.close()
    server.close()
    return meters


def test_each_handshake_counts_once_by_its_outcome_on_the_loop_of_the_server(tmp_path: Path) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        meters = runner.run(count(tmp_path))
    assert [meters.handshakes[kind] for kind in Handshake] == [1, 1, 3]


async def test_and_on_the_loop_of_python(tmp_path: Path) -> None:
    meters = await count(tmp_path)
    assert [meters.handshakes[kind] for kind in Handshake] == [1, 1, 3]
