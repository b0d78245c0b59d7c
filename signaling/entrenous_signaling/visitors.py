"""TCP connections to the nodes' listener, from the accept to the end: bounded before they say anything.

What is over the bounds is cut off without a word (`acceptor`): an answer would cost as much as what it refuses.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from functools import partial
from typing import Final, NamedTuple

from aiohttp import web

from .addresses import Origin
from .admission import Admission, TurnedAway
from .clock import SteadyClock
from .meters import Handshake, Meters
from .shares import Line

MOST_UNHEARD: Final = 64 * 1024
"""Bytes that somebody may have said before the first of them were heard; who says more is cut."""

_ANSWER_SECONDS: Final = 0.0004
"""What it takes to answer a request, when that was heard."""


class Visitors:
    """Counts connections, and makes the protocol of each.

    Args:
        admission: who may connect.
        clock: what time it is.
        meters: where those are counted that may not, and TLS handshakes that end well.
        server: what handles requests.
        line: where they wait to be heard.
        idle_seconds: how long a request may take to come, from its connection on.
    """

    def __init__(
        self,
        admission: Admission,
        clock: SteadyClock,
        meters: Meters,
        server: web.Server,
        line: Line,
        idle_seconds: float,
    ) -> None:
        self.line: Final = line
        self._admission = admission
        self._clock = clock
        self._meters = meters
        self._server = server
        self._idle_seconds = idle_seconds
        self._open = 0

    def enter(self, peer: str) -> Visitor:
        """Count a connection that was opened.

        Args:
            peer: the address at its other end; empty for a Unix socket.

        Returns:
            its protocol.

        Raises:
            TurnedAway: it is to be cut off.
        """
        try:
            origin = self._admission.open_socket(peer, self._open, self._clock.now())
        except TurnedAway as turned_away:
            self._meters.upgrades_refused[turned_away.reason] += 1
            raise
        self._open += 1
        return Visitor(self, origin, self._server, self._idle_seconds)

    def shook_hands(self, tls: ssl.SSLObject | None) -> None:
        """Count a TLS handshake, if it was one."""
        if tls is not None:
            self._meters.handshakes[Handshake.RESUMED if tls.session_reused else Handshake.FULL] += 1

    def leave(self, origin: Origin | None) -> None:
        """A connection that was counted is gone."""
        self._open -= 1
        if origin is not None:
            origin.close_socket()


class HandedOver(NamedTuple):
    """A connection that aiohttp has let go of.

    Args:
        transport: what it leads to.
        early: what came behind the request.
        left: to be called when it is gone.
    """

    transport: asyncio.Transport
    early: bytes
    left: Callable[[], None]


class Visitor(web.RequestHandler):
    """aiohttp's protocol, until a handler takes the connection over.

    Args:
        visitors: who has counted it.
        origin: where it comes from.
        server: what handles requests.
        idle_seconds: how long a request may take to come.
    """

    __slots__ = ("_has_come", "_is_counted", "_origin", "_unheard", "_visitors")

    def __init__(self, visitors: Visitors, origin: Origin | None, server: web.Server, idle_seconds: float) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type]  # it would hold addresses; aiohttp itself asks whether there is one
            keepalive_timeout=idle_seconds,
        )
        self._visitors = visitors
        self._origin = origin
        self._has_come = False
        self._is_counted = True
        self._unheard = b""

    @property
    def has_come(self) -> bool:
        """Whether its handshake ended well."""
        return self._has_come

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Its handshake is over."""
        self._has_come = True
        self._visitors.shook_hands(transport.get_extra_info("ssl_object"))
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Let what has come wait until it is its turn; aiohttp itself says that nothing has come, to go on."""
        if not data:
            super().data_received(data)
            return
        if not self._unheard:
            self._visitors.line.join(self)
        self._unheard += data
        if len(self._unheard) > MOST_UNHEARD and self.transport is not None:
            self.transport.abort()

    @property
    def waits(self) -> bool:
        """Whether something has come that was not heard yet."""
        return bool(self._unheard)

    def hear_some(self) -> float:
        """Hear what has come; the seconds that it takes to answer it."""
        said, self._unheard = self._unheard, b""
        if not said or self.transport is None:
            return 0.0
        super().data_received(said)
        return _ANSWER_SECONDS

    def leave(self) -> None:
        """It is gone, or does not come."""
        if self._is_counted:
            self._is_counted = False
            self._visitors.leave(self._origin)

    def connection_lost(self, exc: BaseException | None) -> None:
        """It is gone."""
        self._unheard = b""
        self.leave()
        super().connection_lost(exc)

    def hand_over(self) -> HandedOver:
        """Let go of the connection, which gets another protocol at once; for the handler of the request.

        To aiohttp it is as if the connection was lost: it keeps nothing of it, and writes no response.

        Raises:
            ConnectionError: it is lost.
        """
        transport, self.transport = self.transport, None  # aiohttp closes what it has
        if transport is None:
            raise ConnectionResetError
        self._is_counted = False
        early = self._message_tail + self._unheard
        self._message_tail = self._unheard = b""
        super().connection_lost(None)
        return HandedOver(transport, early, partial(self._visitors.leave, self._origin))
