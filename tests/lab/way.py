"""The way to a server, which a test can stall, cut and mend under the connections that take it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

Place = Path | int
"""A Unix socket, or a TCP port of loopback."""

_PIECE = 65536


class Way:
    """Carries connections to a server and back.

    Args:
        begins: where it is taken.
        leads_to: the server.
    """

    def __init__(self, begins: Place, leads_to: Place) -> None:
        self._begins = begins
        self._leads_to = leads_to
        self._open = asyncio.Event()
        self._listener: asyncio.Server | None = None
        self._carrying: set[asyncio.Task[None]] = set()

    def stall(self) -> None:
        """Carry nothing any more and tell nobody: connections stay, others are let in, and no end of one is heard of.

        What has been sent waits, and arrives late when the way is mended, as it does behind a cable that was out.
        """
        self._open.clear()

    async def cut(self) -> None:
        """End every connection, and take no other."""
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.close()
        for task in self._carrying:
            task.cancel()
        await asyncio.gather(*self._carrying, return_exceptions=True)

    async def mend(self) -> None:
        """Carry everything again."""
        self._open.set()
        if self._listener is not None:
            return
        match self._begins:
            case Path() as path:
                path.unlink(missing_ok=True)
                self._listener = await asyncio.start_unix_server(self._let_in, path)
            case int() as port:
                self._listener = await asyncio.start_server(self._let_in, "127.0.0.1", port)

    def _let_in(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._lead(reader, writer))
        self._carrying.add(task)
        task.add_done_callback(self._carrying.discard)

    async def _lead(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers = [writer]
        try:
            await self._open.wait()
            far_reader, far_writer = await self._connect()
            writers.append(far_writer)
            async with asyncio.TaskGroup() as both:
                both.create_task(self._carry(reader, far_writer))
                both.create_task(self._carry(far_reader, writer))
            for one in writers:
                one.close()  # behind what it has not taken yet
        except* OSError:  # one end is gone, and so is the other, when it can hear of it
            await self._open.wait()
        finally:
            for one in writers:
                if not one.is_closing():
                    one.transport.abort()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        match self._leads_to:
            case Path() as path:
                return await asyncio.open_unix_connection(path)
            case int() as port:
                return await asyncio.open_connection("127.0.0.1", port)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(_PIECE):
            await self._open.wait()
            writer.write(piece)
            await writer.drain()
        await self._open.wait()
        with contextlib.suppress(OSError):  # the other end may have gone first
            writer.write_eof()


@asynccontextmanager
async def leading(begins: Place, leads_to: Place) -> AsyncIterator[Way]:
    """A way that is open; it is cut at the end."""
    way = Way(begins, leads_to)
    await way.mend()
    try:
        yield way
    finally:
        await way.cut()
