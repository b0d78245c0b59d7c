"""TCP connections to the nodes' listener, from the accept to the end: bounded before they say anything.

What is over the bounds is cut off without a word: an answer would cost as much as what it refuses. Over TLS that is
when the handshake is over, which `Server` bounds in time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import NamedTuple, cast

from aiohttp import web

from .addresses import Origin
from .admission import Admission, TurnedAway
from .clock import SteadyClock
from .meters import Meters


class Visitors:
    """Makes the protocol of each connection, for `loop.create_server`.

    Args:
        admission: who may connect.
        clock: what time it is.
        meters: where those are counted that may not.
        server: what handles requests.
        idle_seconds: how long a request may take to come, from its connection on.
    """

    def __init__(
        self, admission: Admission, clock: SteadyClock, meters: Meters, server: web.Server, idle_seconds: float
    ) -> None:
        self._admission = admission
        self._clock = clock
        self._meters = meters
        self._server = server
        self._idle_seconds = idle_seconds
        self._open = 0

    def __call__(self) -> asyncio.BaseProtocol:
        """The protocol of one connection."""
        return Visitor(self, self._server, self._idle_seconds)

    def enter(self, peer: str) -> Origin | None:
        """Count a connection that was opened; raises TurnedAway when it is to be cut off."""
        try:
            origin = self._admission.open_socket(peer, self._open, self._clock.now())
        except TurnedAway as turned_away:
            self._meters.upgrades_refused[turned_away.reason] += 1
            raise
        self._open += 1
        return origin

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
    """aiohttp's protocol, which is told of the connection only when it may stay.

    Args:
        visitors: who counts it.
        server: what handles requests.
        idle_seconds: how long a request may take to come.
    """

    __slots__ = ("_entered", "_origin", "_visitors")

    def __init__(self, visitors: Visitors, server: web.Server, idle_seconds: float) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type]  # it would hold addresses; aiohttp itself asks whether there is one
            keepalive_timeout=idle_seconds,
        )
        self._visitors = visitors
        self._origin: Origin | None = None
        self._entered = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is open: cut it off, or let it ask."""
        name = transport.get_extra_info("peername")
        try:
            self._origin = self._visitors.enter(str(name[0]) if name else "")
        except TurnedAway:
            cast(asyncio.Transport, transport).abort()
            return
        self._entered = True
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        """It is gone."""
        if self._entered:
            self._entered = False
            self._visitors.leave(self._origin)
            super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """What comes before it is cut off is not looked at."""
        if self._entered:
            super().data_received(data)

    def hand_over(self) -> HandedOver:
        """Let go of the connection, which gets another protocol at once; for the handler of the request.

        To aiohttp it is as if the connection was lost: it keeps nothing of it, and writes no response.

        Raises:
            ConnectionError: it is lost.
        """
        transport, self.transport = self.transport, None  # aiohttp closes what it has
        if not self._entered or transport is None:
            raise ConnectionResetError
        self._entered = False
        early, self._message_tail = self._message_tail, b""
        super().connection_lost(None)
        return HandedOver(transport, early, partial(self._visitors.leave, self._origin))
