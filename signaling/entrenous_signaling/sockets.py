"""One WebSocket of a node, written to without ever waiting for its reader."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Coroutine
from typing import Any, Final

from aiohttp import web

from .logs import Event, log
from .meters import Meters
from .outputs import CloseCode

SLOW_READER_BYTES: Final = 256 * 1024
"""What may lie in the buffer of one connection before it is cut."""

CLOSE_SECONDS: Final = 2.0
"""How long the other end may take to take what lies in the buffer, and to answer a goodbye."""

_FINAL_TEXT: Final = 0x81
_ONE_BYTE: Final = 125
_TWO_BYTES: Final = 0xFFFF
_LENGTH_IN_TWO_BYTES: Final = 126
_LENGTH_IN_EIGHT_BYTES: Final = 127
_SHORT: Final = struct.Struct("!BB")
_MEDIUM: Final = struct.Struct("!BBH")
_LONG: Final = struct.Struct("!BBQ")


class Departures:
    """Lets what is said on a connection in one turn of the loop leave together.

    Each message that is routed is three frames. If each left alone, the system calls for that would be what costs most.

    Args:
        call_soon: calls something in the loop's next turn.
    """

    def __init__(self, call_soon: Callable[[Callable[[], None]], object]) -> None:
        self._call_soon = call_soon
        self._waiting: list[NodeSocket] = []

    def add(self, socket: NodeSocket) -> None:
        """Something was said on a connection on which nothing waits to leave."""
        if not self._waiting:
            self._call_soon(self._depart)
        self._waiting.append(socket)

    def _depart(self) -> None:
        waiting, self._waiting = self._waiting, []
        for socket in waiting:
            socket.depart()


class NodeSocket:
    """A WebSocket that was opened.

    Args:
        response: the WebSocket, with a writer's limit out of reach.
        transport: under it.
        meters: where cuts are counted.
        departures: when what is said leaves.
    """

    __slots__ = ("_departures", "_meters", "_response", "_transport", "_unsent")

    def __init__(
        self,
        response: web.WebSocketResponse[Any],
        transport: asyncio.Transport,
        meters: Meters,
        departures: Departures,
    ) -> None:
        self._response = response
        self._transport = transport
        self._meters = meters
        self._departures = departures
        self._unsent: list[bytes] = []

    def send(self, text: bytes) -> None:
        """Let a text frame leave in the next turn of the loop.

        It does not go through aiohttp's `send_str`, which takes a coroutine and looks at compression for each frame:
        nothing is compressed here, and aiohttp too hands each of its frames to the transport as a whole.

        Args:
            text: in UTF-8.
        """
        if not self._unsent:
            self._departures.add(self)
        self._unsent.append(text_frame(text))

    def depart(self) -> None:
        """Write what was said into the transport's buffer; cut the connection when too much lies there."""
        frames, self._unsent = self._unsent, []
        if frames and self._is_open():
            self._transport.write(b"".join(frames))
            self._bound()

    def pong(self, payload: bytes) -> None:
        """Answer a ping, bounded in the same way."""
        if self._is_open():
            _finish_now(self._response.pong(payload))
            self._bound()

    def abort(self) -> None:
        """Cut the connection without a word."""
        self._transport.abort()

    async def close(self, code: CloseCode) -> None:
        """Say goodbye behind what was said, and cut the connection when the other end does not answer in time."""
        self.depart()
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._response.close(code=code)
        except (TimeoutError, ConnectionError):
            self._transport.abort()

    def _is_open(self) -> bool:
        return not (self._response.closed or self._transport.is_closing())

    def _bound(self) -> None:
        if self._transport.get_write_buffer_size() > SLOW_READER_BYTES:
            self._meters.cuts += 1
            log(Event.SLOW_READER)
            self._transport.abort()


def text_frame(payload: bytes) -> bytes:
    """A whole text frame as a server sends it: unmasked (RFC 6455 5.2)."""
    size = len(payload)
    if size <= _ONE_BYTE:
        return _SHORT.pack(_FINAL_TEXT, size) + payload
    if size <= _TWO_BYTES:
        return _MEDIUM.pack(_FINAL_TEXT, _LENGTH_IN_TWO_BYTES, size) + payload
    return _LONG.pack(_FINAL_TEXT, _LENGTH_IN_EIGHT_BYTES, size) + payload


def _finish_now(sending: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine that has nothing to wait for.

    With the writer's limit out of reach aiohttp's `pong` is such: it writes the frame and returns.

    Raises:
        RuntimeError: it waited for something.
    """
    try:
        sending.send(None)
    except StopIteration:
        return
    except ConnectionError:  # the connection went down under us; its handler is about to notice
        return
    sending.close()
    raise RuntimeError("aiohttp waited while sending a frame")
