"""One WebSocket of a node, written to without ever waiting for its reader."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Final

from aiohttp import web

from .logs import Event, log
from .meters import Meters
from .outputs import CloseCode

SLOW_READER_BYTES: Final = 256 * 1024
"""What may lie in the buffer of one connection before it is cut."""

CLOSE_SECONDS: Final = 2.0
"""How long the other end may take to take what lies in the buffer, and to answer a goodbye."""


class NodeSocket:
    """A WebSocket that was opened.

    Args:
        response: the WebSocket, with a writer's limit out of reach.
        transport: under it.
        meters: where cuts are counted.
    """

    __slots__ = ("_meters", "_response", "_transport")

    def __init__(self, response: web.WebSocketResponse[Any], transport: asyncio.Transport, meters: Meters) -> None:
        self._response = response
        self._transport = transport
        self._meters = meters

    def send(self, text: str) -> None:
        """Write a text frame into the transport's buffer; cut the connection when too much lies there."""
        if self._is_open():
            self._write(self._response.send_str(text))

    def pong(self, payload: bytes) -> None:
        """Answer a ping, bounded in the same way."""
        if self._is_open():
            self._write(self._response.pong(payload))

    def abort(self) -> None:
        """Cut the connection without a word."""
        self._transport.abort()

    async def close(self, code: CloseCode) -> None:
        """Say goodbye behind what was said, and cut the connection when the other end does not answer in time."""
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._response.close(code=code)
        except (TimeoutError, ConnectionError):
            self._transport.abort()

    def _is_open(self) -> bool:
        return not (self._response.closed or self._transport.is_closing())

    def _write(self, sending: Coroutine[Any, Any, None]) -> None:
        _finish_now(sending)
        if self._transport.get_write_buffer_size() > SLOW_READER_BYTES:
            self._meters.cuts += 1
            log(Event.SLOW_READER)
            self._transport.abort()


def _finish_now(sending: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine that has nothing to wait for.

    With the writer's limit out of reach aiohttp's `send_str` and `pong` are such: they write the frame and return.

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
