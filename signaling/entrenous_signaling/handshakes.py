"""Counting TLS handshakes: those that are refused never reach the HTTP server, and nothing else would tell of them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from .meters import Handshake, Meters


class HandshakeCounter:
    """Stands between a TLS listener and the protocol of its connections.

    Args:
        protocol: makes the protocol of a connection.
        seconds: how long a handshake may take.
        meters: where it is counted.
    """

    def __init__(self, protocol: Callable[[], asyncio.BaseProtocol], seconds: float, meters: Meters) -> None:
        self._protocol = protocol
        self._seconds = seconds
        self._meters = meters
        self._loop = asyncio.get_running_loop()
        self._begun: deque[tuple[float, _Beginning]] = deque()

    def __call__(self) -> asyncio.BaseProtocol:
        """A handshake begins."""
        beginning = _Beginning(self._protocol, self._meters)
        self._begun.append((self._loop.time() + self._seconds + 1.0, beginning))
        return beginning

    def expire(self, now: float) -> None:
        """Count what was not over in time as refused, in the loop's own time; a pulse calls it."""
        while self._begun and self._begun[0][0] <= now:
            _, beginning = self._begun.popleft()
            if not beginning.is_over:
                self._meters.handshakes[Handshake.REFUSED] += 1


class _Beginning(asyncio.Protocol):
    """Makes room for the real protocol as soon as the handshake is over."""

    __slots__ = ("_meters", "_protocol", "is_over")

    def __init__(self, protocol: Callable[[], asyncio.BaseProtocol], meters: Meters) -> None:
        self._protocol = protocol
        self._meters = meters
        self.is_over = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The handshake is over."""
        self.is_over = True
        resumed = transport.get_extra_info("ssl_object").session_reused
        self._meters.handshakes[Handshake.RESUMED if resumed else Handshake.FULL] += 1
        protocol = self._protocol()
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
