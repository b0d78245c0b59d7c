"""Clients of the server benchmarks: a WebSocket with as little as possible around it, so that thousands cost little.

They do what the handshake of RFC 6455 asks for and unwrap the frames of a server; everything else, such as logging in,
is said by the system under test (`server_systems`). A connection can be handed over to `native/load.c` then.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, cast

from .server_load import Pair, Step, masked_frame

PATIENCE_SECONDS: Final = 60.0

_MASK: Final = b"\x37\xfa\x21\x3d"
_KEY: Final = "dGhlIHNhbXBsZSBub25jZQ=="
_PING: Final = 9
_CLOSE: Final = 8


class ClientError(Exception):
    """The server did not let the client in, or sent it away."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a server is.

    Args:
        port: on loopback.
        path: of the request.
        subprotocol: that is asked for, or "".
        tls: how to check the server, or None for plain TCP.
    """

    port: int
    path: str
    subprotocol: str = ""
    tls: ssl.SSLContext | None = None


class Client(asyncio.Protocol):
    """One WebSocket; `connect` opens it."""

    __slots__ = ("_buffer", "_frames", "_taken", "_transport", "_upgraded", "_waiter")

    def __init__(self) -> None:
        self._buffer = b""
        self._frames: deque[bytes] = deque()
        self._taken: socket.socket | None = None
        self._transport: asyncio.Transport | None = None
        self._upgraded = False
        self._waiter: asyncio.Future[None] | None = None

    @property
    def transport(self) -> asyncio.Transport:
        """The open connection.

        Raises:
            ClientError: it is gone.
        """
        if self._transport is None:
            raise ClientError("the server closed the connection")
        return self._transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is open."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are no subclasses

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        self._transport = None
        self._wake()

    def data_received(self, data: bytes) -> None:
        """Take the answer to the handshake, and frames."""
        self._buffer += data
        if not self._upgraded:
            head, end, rest = self._buffer.partition(b"\r\n\r\n")
            if not end:
                return
            if not head.startswith(b"HTTP/1.1 101"):
                self.cut()
                return
            self._upgraded = True
            self._buffer = rest
        while (frame := self._next_frame()) is not None:
            opcode, payload = frame
            if opcode == _PING:
                self._say_control(0x8A, payload)
            elif opcode == _CLOSE:
                self.cut()
            else:
                self._frames.append(payload)
        self._wake()

    def say(self, payload: bytes, *, text: bool = True) -> None:
        """Say one frame."""
        self.transport.write(masked_frame(payload, text=text, mask=_MASK)[0])

    async def hear(self) -> bytes:
        """The payload of the next frame.

        Raises:
            ClientError: the server closed the connection.
        """
        while not self._frames:
            await self._wait()
        return self._frames.popleft()

    async def upgraded(self) -> None:
        """Wait until the server has let the WebSocket in.

        Raises:
            ClientError: it did not.
        """
        while not self._upgraded:
            await self._wait()

    def hand_over(self) -> int:
        """Stop reading, for who reads from the returned file descriptor instead."""
        self.transport.pause_reading()
        wrapped: socket.socket = self.transport.get_extra_info("socket")
        self._taken = socket.socket(fileno=socket.dup(wrapped.fileno()))
        return self._taken.fileno()

    def cut(self) -> None:
        """Drop the connection without a word."""
        if self._taken is not None:
            self._taken.close()
            self._taken = None
        if self._transport is not None:
            self._transport.abort()

    def _next_frame(self) -> tuple[int, bytes] | None:
        if len(self._buffer) < 2:
            return None
        size, head = self._buffer[1], 2
        if size == 126:  # a length of two bytes; nothing longer is said to these clients
            size, head = int.from_bytes(self._buffer[2:4], "big"), 4
        if len(self._buffer) < head + size:
            return None
        opcode, payload = self._buffer[0] & 15, self._buffer[head : head + size]
        self._buffer = self._buffer[head + size :]
        return opcode, payload

    def _say_control(self, first: int, payload: bytes) -> None:
        frame = masked_frame(payload, text=True, mask=_MASK)[0]
        self.transport.write(bytes([first]) + frame[1:])

    async def _wait(self) -> None:
        _ = self.transport
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


async def connect(place: Place) -> Client:
    """Open a WebSocket.

    Raises:
        ClientError: the server did not let it in.
        OSError: there is no server.
    """
    loop = asyncio.get_running_loop()
    host = "localhost" if place.tls is not None else None
    transport, client = await loop.create_connection(
        Client, "127.0.0.1", place.port, ssl=place.tls, server_hostname=host
    )
    asked = f"Sec-WebSocket-Protocol: {place.subprotocol}\r\n" if place.subprotocol else ""
    transport.write(
        (
            f"GET {place.path} HTTP/1.1\r\nHost: 127.0.0.1:{place.port}\r\n"
            "Connection: Upgrade\r\nUpgrade: websocket\r\n"
            f"Sec-WebSocket-Key: {_KEY}\r\nSec-WebSocket-Version: 13\r\n{asked}\r\n"
        ).encode()
    )
    await client.upgraded()
    return client


def cut_all(clients: Sequence[Client]) -> None:
    """Drop all connections."""
    for client in clients:
        client.cut()


def pairs_of(clients: Sequence[Client], cycle: Callable[[int, int], Sequence[Step]]) -> list[Pair]:
    """The clients two by two, handed over to the load.

    Args:
        clients: 0 … an odd number.
        cycle: makes what a pair repeats, of the numbers of its two clients.
    """
    files = [client.hand_over() for client in clients]
    return [Pair((files[at], files[at + 1]), cycle(at, at + 1)) for at in range(0, len(files), 2)]
