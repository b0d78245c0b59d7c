"""A relayed address of ours: the socket or stream to a TURN server and the client that speaks over it."""

from __future__ import annotations

import asyncio
import errno
import secrets
import ssl
import time
from collections.abc import Callable
from typing import Any

from entrenous.errors import RemoteProtocolError

from .frames import Framer
from .servers import ServerAddress
from .stun import TRANSACTION_BYTES, Address
from .turn import TurnClient, TurnState
from .udp import LoopUdp, UdpTransport, open_udp

MAX_UNSENT = 32 * 1024
"""Bytes that may wait for a stream to the server; more would be heard as delay, so newer datagrams are dropped."""

PROBE_PATIENCE = 2.0
"""Seconds after which a server that does not answer has lost our allocation; four round trips where that is less."""

_ANSWER_PATIENCE, _MOVE_PATIENCE = 0.5, 1.0
"""Never less than these many: two attempts to be answered; three to be moved, which takes two answers."""


class Relay:
    """One allocation over one connection to a TURN server.

    Args:
        server: which, and the credential.
        host: one of its addresses.
        ipv6: whether to ask for an IPv6 address.
        on_datagram: told each datagram, its origin and its arrival in monotonic seconds.
        on_gone: told once when an allocation that was there is gone.
        on_vanished: told when the address of ours that the server is spoken to from is not there any more.
    """

    def __init__(
        self,
        server: ServerAddress,
        host: str,
        *,
        ipv6: bool,
        on_datagram: Callable[[bytes, Address, float], None],
        on_gone: Callable[[], None],
        on_vanished: Callable[[], None],
    ) -> None:
        self.server = server
        self.host = host
        self._on_datagram = on_datagram
        self._on_gone = on_gone
        self._on_vanished = on_vanished
        self._loop = asyncio.get_running_loop()
        self._client = TurnClient(
            server.username or "",
            server.password or "",
            ipv6=ipv6,
            reliable=server.transport == "tcp",
            draw=lambda: secrets.token_bytes(TRANSACTION_BYTES),
        )
        self._transport: UdpTransport | LoopUdp | asyncio.Transport | None = None
        self._receiver: _Datagrams | _Stream | None = None
        self._moving = False
        self._timer: asyncio.TimerHandle | None = None
        self._changed = asyncio.Event()
        self._was_ready = False

    def __repr__(self) -> str:
        return f"<Relay {self.server.transport} {self._client.state.name}>"

    @property
    def address(self) -> Address:
        """The relayed address; only once `open` has returned True."""
        assert self._client.relayed is not None
        return self._client.relayed

    @property
    def refused(self) -> bool:
        """Whether the server answered and would not."""
        return self._client.state is TurnState.REFUSED

    @property
    def local_host(self) -> str | None:
        """The address of ours that the server is spoken to from."""
        if self._transport is None:
            return None
        name = self._transport.get_extra_info("sockname")
        return None if name is None else str(name[0])

    async def open(self, context: ssl.SSLContext | None, timeout: float) -> bool:
        """Connect and allocate.

        Args:
            context: for TLS, None for plain.
            timeout: seconds for all of it.

        Returns:
            Whether there is a relayed address now; when not, `close` is still to be called.

        Raises:
            OSError: the server cannot be reached.
            TimeoutError: it takes too long.
        """
        async with asyncio.timeout(timeout):
            if self.server.transport == "udp":
                self._receiver = _Datagrams(self)
                self._transport = await open_udp(None, self._receiver, (self.host, self.server.port))
            else:
                stream = self._receiver = _Stream(self)
                name = self.server.host if context is not None else None
                self._transport, _ = await self._loop.create_connection(
                    lambda: stream, self.host, self.server.port, ssl=context, server_hostname=name
                )
            self._client.allocate(time.monotonic(), timeout)
            self._act()
            while self._client.state is TurnState.ALLOCATING:
                self._changed.clear()
                await self._changed.wait()
        self._was_ready = self._client.state is TurnState.READY
        return self._was_ready

    def send(self, data: bytes, address: Address) -> bool:
        """Send a datagram through the relay; False when it cannot be done."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return False
        if isinstance(transport, asyncio.Transport) and transport.get_write_buffer_size() > MAX_UNSENT:
            return True  # lost, as on any path that is full
        if not self._client.send(data, address, time.monotonic()):
            return False
        self._act()
        return True

    def probe(self) -> None:
        """Make sure that the allocation still works, wherever we are seen now; `on_gone` when it does not."""
        self._client.probe(time.monotonic(), self._patience)
        self._act()

    async def move(self) -> bool:
        """Go on from another socket: the address that the server was spoken to from is not ours any more.

        Returns:
            Whether that is being tried; the relayed address is the same then, and `on_gone` follows if it fails. When
            not, the server cannot move allocations, or there is no way to it now.
        """
        if self._moving or not self._client.is_mobile:
            return False
        self._moving = True
        receiver = _Datagrams(self)
        try:
            transport = await open_udp(None, receiver, (self.host, self.server.port))
        except OSError:
            return False
        finally:
            self._moving = False
        if not self._client.is_mobile:
            transport.abort()
            return False
        old, self._transport, self._receiver = self._transport, transport, receiver
        if old is not None:
            old.abort()
        self._client.move(time.monotonic(), self._patience)
        self._act()
        return True

    @property
    def _patience(self) -> float:
        least = _MOVE_PATIENCE if self._client.is_mobile else _ANSWER_PATIENCE
        return min(PROBE_PATIENCE, max(least, 4 * self._client.rtt))

    async def close(self, timeout: float) -> None:
        """Give the allocation back, within `timeout` seconds, and close the connection."""
        self._was_ready = False
        transport = self._transport
        if transport is not None and not transport.is_closing():
            self._client.release(time.monotonic(), timeout)
            self._act()
            try:
                async with asyncio.timeout(timeout):
                    while self._client.state is not TurnState.RELEASED and not transport.is_closing():
                        self._changed.clear()
                        await self._changed.wait()
            except TimeoutError:
                pass  # it ends by itself when its lifetime is over
            finally:
                transport.abort()
        self._stop_timer()

    # What the connection tells

    def took(self, data: bytes, at: float) -> None:
        """A message of the server arrived."""
        try:
            relayed = self._client.receive(data, time.monotonic())
        except RemoteProtocolError:
            return
        if relayed is not None:
            self._on_datagram(relayed.payload, relayed.peer, at)
        else:
            self._act()

    def lost(self, receiver: _Datagrams | _Stream) -> None:
        """The connection is gone, and the allocation with it, unless that goes on from another socket."""
        if receiver is not self._receiver:
            return
        if self._client.state is not TurnState.RELEASED:
            self._client.state = TurnState.DEAD
        self._changed.set()
        self._tell()

    def _act(self) -> None:
        now = time.monotonic()
        self._client.poll(now)
        outgoing, self._client.outgoing = self._client.outgoing, []
        for data in outgoing:
            if isinstance(self._transport, asyncio.Transport):
                self._transport.write(data)
            elif self._transport is not None and is_vanished(self._transport.try_send(data)):
                self._on_vanished()
        self._stop_timer()
        match self._client.state:
            case TurnState.ALLOCATING | TurnState.READY:
                self._timer = self._loop.call_later(max(0.0, self._client.deadline() - now), self._act)
            case TurnState.REFUSED | TurnState.DEAD | TurnState.RELEASED:
                pass
        self._changed.set()
        self._tell()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _tell(self) -> None:
        if self._was_ready and self._client.state is TurnState.DEAD:
            self._was_ready = False
            self._stop_timer()
            self._on_gone()


def is_vanished(error: OSError | None) -> bool:
    """Whether a send failed because the address it was sent from is not ours any more (Linux: EINVAL over IPv4)."""
    return error is not None and error.errno in (errno.EINVAL, errno.EADDRNOTAVAIL)


class _Datagrams:
    """UDP to the server."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        pass

    def connection_lost(self, exc: Exception | None) -> None:
        self._relay.lost(self)

    def error_received(self, exc: Exception) -> None:
        """An unreachable server is noticed by its silence; one error may be a moment without a route."""

    def datagram_arrived(self, data: bytes, addr: tuple[Any, ...], at: float) -> None:
        self._relay.took(data, at)


class _Stream(asyncio.Protocol):
    """TCP or TLS to the server."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._framer = Framer()
        self._transport: asyncio.BaseTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self._relay.lost(self)

    def data_received(self, data: bytes) -> None:
        now = time.monotonic()
        try:
            for message in self._framer.feed(data):
                self._relay.took(message, now)
        except RemoteProtocolError:
            assert isinstance(self._transport, asyncio.Transport)
            self._transport.abort()
