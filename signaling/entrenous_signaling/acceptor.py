"""Taking TCP connections: who may not come is cut off before its TLS handshake, and no more of those go on than may.

The event loop's own servers take whatever comes, and tell of it when the handshake is over. This one leaves in the
backlog of the kernel what it cannot serve yet.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import types
from collections.abc import Callable, Coroutine, Generator
from functools import partial
from typing import Any, Final, TypeVar

from .admission import TurnedAway
from .handshakes import MOST_HANDSHAKES, Handshakes
from .logs import log_internal_error
from .meters import Handshake, Meters
from .private_memory import unfilled
from .visitors import Visitor, Visitors

_A_TURN: Final = 16
"""Connections that are taken in one turn of the loop: so long nobody else is served."""

BACK_OFF_SECONDS: Final = 1.0
"""How long nobody is taken after a connection could not be."""

T = TypeVar("T")


class Acceptor:
    """Takes the connections of a listening socket.

    Args:
        listener: does not block; it is closed with this.
        visitors: who may come, and who speaks with them.
        meters: where handshakes are counted that do not end well.
        tls: what new handshakes use, or None without TLS.
        handshake_seconds: how long one may take.
        most: that go on at a time.
    """

    def __init__(
        self,
        listener: socket.socket,
        visitors: Visitors,
        meters: Meters,
        tls: Callable[[], ssl.SSLContext] | None,
        handshake_seconds: float,
        most: int = MOST_HANDSHAKES,
    ) -> None:
        self._listener = listener
        self._visitors = visitors
        self._meters = meters
        self._tls = tls
        self._handshake_seconds = handshake_seconds
        self._loop = asyncio.get_running_loop()
        self._handshakes: Handshakes[asyncio.Task[None]] = Handshakes(most)
        self._timer: asyncio.TimerHandle | None = None
        self._is_closed = False
        listener.setblocking(False)
        self._listen()

    async def close(self) -> None:
        """Take nobody any more; who has not finished its handshake is cut off."""
        if not self._is_closed:
            self._is_closed = True
            self._rest()
            self._listener.close()
        under_way = self._handshakes.under_way
        for opening in under_way:
            opening.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)

    def _listen(self) -> None:
        self._rest()
        self._loop.add_reader(self._listener, self._accept)

    def _rest(self) -> None:
        """Leave who comes in the backlog."""
        self._loop.remove_reader(self._listener)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _accept(self) -> None:
        for _ in range(_A_TURN):
            if self._handshakes.are_full:
                self._rest()
                self._make_way()
                return
            try:
                connection, address = self._listener.accept()
            except (BlockingIOError, InterruptedError):
                return
            except ConnectionAbortedError:  # who came is gone again
                continue
            except OSError as error:  # no more files or memory, as a rule: what is tried at once fails at once
                log_internal_error(error)
                self._rest()
                self._timer = self._loop.call_later(BACK_OFF_SECONDS, self._listen)
                return
            self._open(connection, str(address[0]) if address else "")

    def _open(self, connection: socket.socket, peer: str) -> None:
        try:
            visitor = self._visitors.enter(peer)
        except TurnedAway:
            connection.close()
            return
        connection.setblocking(False)
        opening = self._loop.create_task(self._connect(connection, visitor))
        self._handshakes.begin(opening, self._loop.time())
        opening.add_done_callback(partial(self._opened, connection, visitor))

    async def _connect(self, connection: socket.socket, visitor: Visitor) -> None:
        """Hand a connection over to its protocol, after its handshake if it needs one."""
        tls = None if self._tls is None else self._tls()
        seconds = None if tls is None else self._handshake_seconds
        connecting = self._loop.connect_accepted_socket(
            lambda: visitor, connection, ssl=tls, ssl_handshake_timeout=seconds
        )
        await (connecting if tls is None else _begun_unfilled(connecting))

    def _opened(self, connection: socket.socket, visitor: Visitor, opening: asyncio.Task[None]) -> None:
        was_full = self._handshakes.are_full
        self._handshakes.end(opening)
        if was_full and not self._is_closed:
            self._listen()
        if not visitor.has_come:
            visitor.leave()
            connection.close()
            if self._tls is not None:
                self._meters.handshakes[Handshake.REFUSED] += 1
        error = None if opening.cancelled() else opening.exception()
        if error is not None and not isinstance(error, OSError):  # such are gone, too slow, or speak no TLS
            log_internal_error(error)

    def _make_way(self) -> None:
        """Cut off who has been too long at it, now or when it has been."""
        self._timer = None
        oldest, due = self._handshakes.gives_way(self._loop.time()), self._handshakes.next_deadline()
        if oldest is not None:
            oldest.cancel()  # when it is over there is a place
        elif due is not None:
            self._timer = self._loop.call_at(due, self._make_way)


@types.coroutine
def _begun_unfilled(connecting: Coroutine[Any, Any, T]) -> Generator[Any, None, T]:
    """Await what makes a TLS connection, with `unfilled` memory up to where it waits for the first time.

    For each connection uvloop and asyncio set aside a quarter of a megabyte that most of them never use: filled, it
    would have to be there.
    """
    try:
        with unfilled():
            waits_for = connecting.send(None)
        while True:
            try:
                yield waits_for
            except BaseException as error:
                waits_for = connecting.throw(error)
            else:
                waits_for = connecting.send(None)
    except StopIteration as ended:
        result: T = ended.value
        return result
