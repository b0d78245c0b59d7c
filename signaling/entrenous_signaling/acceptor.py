"""Taking TCP connections: who may not come is cut off before its TLS handshake, and no more of those go on than may.

The event loop's own servers begin the handshake of whatever comes, and tell of it when that is over.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import types
from collections.abc import Callable, Coroutine, Generator
from functools import partial
from time import perf_counter
from typing import Any, Final, TypeVar

from .admission import TurnedAway
from .handshakes import MOST_HANDSHAKES, Handshakes
from .logs import log_internal_error
from .meters import Handshake, Meters
from .private_memory import unfilled
from .shares import Slice
from .visitors import Visitor, Visitors

_MOST_SECONDS: Final = 0.0005
"""So long connections are taken in one turn of the loop, and handshakes begun; what follows of them takes several times
as long."""

BACK_OFF_SECONDS: Final = 1.0
"""How long nobody is taken after a connection could not be."""

T = TypeVar("T")


class _Comer:
    """A connection that is not with its protocol yet."""

    __slots__ = ("connecting", "connection", "visitor")

    def __init__(self, connection: socket.socket, visitor: Visitor) -> None:
        self.connection = connection
        self.visitor = visitor
        self.connecting: asyncio.Task[None] | None = None


class Acceptor:
    """Takes the connections of a listening socket.

    Args:
        listener: it is closed with this.
        visitors: who may come, and who speaks with them.
        meters: where handshakes are counted that do not end well.
        tls: what new handshakes use, or None without TLS.
        handshake_seconds: how long one may take to begin, and how long to end.
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
        self._handshakes: Handshakes[_Comer] = Handshakes(most, handshake_seconds)
        self._pause: asyncio.TimerHandle | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._is_beginning = False
        self._is_closed = False
        self._accepting = Slice(perf_counter, least=0.0, most=_MOST_SECONDS)
        self._starting = Slice(perf_counter, least=0.0, most=_MOST_SECONDS)
        listener.setblocking(False)
        self._listen()

    async def close(self) -> None:
        """Take nobody any more; who has not finished its handshake is cut off."""
        if not self._is_closed:
            self._is_closed = True
            self._rest()
            self._listener.close()
        everybody = self._handshakes.everybody
        for comer in everybody:
            self._cut(comer)
        connecting = [comer.connecting for comer in everybody if comer.connecting is not None]
        await asyncio.gather(*connecting, return_exceptions=True)
        if self._timer is not None:
            self._timer.cancel()

    def _listen(self) -> None:
        self._rest()
        self._loop.add_reader(self._listener, self._accept)

    def _rest(self) -> None:
        """Leave who comes in the backlog of the kernel."""
        self._loop.remove_reader(self._listener)
        if self._pause is not None:
            self._pause.cancel()
            self._pause = None

    def _accept(self) -> None:
        """Take who has come: one in a turn of the loop, and more when turns are long."""
        self._accepting.begin()
        while True:
            try:
                connection, address = self._listener.accept()
            except (BlockingIOError, InterruptedError):
                return
            except ConnectionAbortedError:  # who came is gone again
                continue
            except OSError as error:  # no more files or memory, as a rule: what is tried at once fails at once
                log_internal_error(error)
                self._rest()
                self._pause = self._loop.call_later(BACK_OFF_SECONDS, self._listen)
                return
            self._take(connection, str(address[0]) if address else "")
            if self._accepting.is_over():
                self._accepting.wait()
                return

    def _take(self, connection: socket.socket, peer: str) -> None:
        try:
            visitor = self._visitors.enter(peer)
        except TurnedAway:
            connection.close()
            return
        connection.setblocking(False)
        comer = _Comer(connection, visitor)
        self._handshakes.come(comer, self._loop.time())
        if self._tls is None:  # aiohttp waits for the silent
            self._speak(comer)
        else:
            self._loop.add_reader(connection, self._hear, comer)
            self._set_timer()

    def _hear(self, comer: _Comer) -> None:
        self._loop.remove_reader(comer.connection)
        self._speak(comer)

    def _speak(self, comer: _Comer) -> None:
        self._handshakes.speak(comer, self._loop.time())
        self._begin()

    def _begin(self) -> None:
        """Begin the handshakes for which there is a place, soon."""
        if not self._is_beginning:
            self._is_beginning = True
            self._starting.wait()
            self._loop.call_soon(self._begin_some)

    def _begin_some(self) -> None:
        """Begin some of them, and others in the next turn: what they need of the processor, they need there."""
        self._is_beginning = False
        self._starting.begin()
        while not self._is_closed:
            comer = self._handshakes.begin(self._loop.time())
            if comer is None:
                break
            comer.connecting = self._loop.create_task(self._connect(comer))
            comer.connecting.add_done_callback(partial(self._connected, comer))
            if self._starting.is_over():
                self._begin()
                break
        self._set_timer()

    async def _connect(self, comer: _Comer) -> None:
        """Hand a connection over to its protocol, after its handshake if it needs one."""
        tls = None if self._tls is None else self._tls()
        seconds = None if tls is None else self._handshake_seconds
        connecting = self._loop.connect_accepted_socket(
            lambda: comer.visitor, comer.connection, ssl=tls, ssl_handshake_timeout=seconds
        )
        await (connecting if tls is None else _begun_unfilled(connecting))

    def _connected(self, comer: _Comer, connecting: asyncio.Task[None]) -> None:
        self._over(comer)
        self._begin()
        error = None if connecting.cancelled() else connecting.exception()
        if error is not None and not isinstance(error, OSError):  # such are gone, too slow, or speak no TLS
            log_internal_error(error)

    def _cut(self, comer: _Comer) -> None:
        if comer.connecting is None:
            self._loop.remove_reader(comer.connection)
            self._over(comer)
        else:
            comer.connecting.cancel()

    def _over(self, comer: _Comer) -> None:
        """It is with its protocol, or does not get there."""
        self._handshakes.end(comer)
        if not comer.visitor.has_come:
            comer.visitor.leave()
            comer.connection.close()
            if self._tls is not None:
                self._meters.handshakes[Handshake.REFUSED] += 1

    def _set_timer(self) -> None:
        due = self._handshakes.next_deadline()
        if due is not None and (self._timer is None or due < self._timer.when()):
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.call_at(due, self._tick)

    def _tick(self) -> None:
        self._timer = None
        for comer in self._handshakes.overdue(self._loop.time()):
            self._cut(comer)
        self._set_timer()


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
