"""Runs a blocking generator in a thread of its own and hands its items to the event loop, a few ahead."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable, Generator
from typing import Generic, TypeVar

T = TypeVar("T")

_JOIN_SECONDS = 5.0
"""How long closing waits for the item in work; decoding one takes milliseconds."""


class Feeder(Generic[T]):
    """Reads ahead in a thread.

    Args:
        produce: the generator function; runs in the thread, and is closed there. What it raises is raised by `get`.
        depth: items that are read ahead at most.
        name: of the thread, for those who look at one that hangs.
    """

    def __init__(self, produce: Callable[[], Generator[T, None, None]], *, depth: int, name: str) -> None:
        self._produce = produce
        self._room = threading.Semaphore(depth)
        self._stopped = threading.Event()
        self._items: deque[T] = deque()
        self._arrived = asyncio.Event()
        self._ended = False
        self._error: BaseException | None = None
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    async def get(self) -> T | None:
        """The next item, None once the generator has ended; raises what it raised."""
        return None if await self.look() is None else self._take()

    async def look(self) -> T | None:
        """As `get`, but the item stays the next one."""
        while not self._items:
            if self._error is not None:
                raise self._error
            if self._ended:
                return None
            self._arrived.clear()
            await self._arrived.wait()
        return self._items[0]

    def peek(self) -> T | None:
        """The item that `get` would give at once, None when it would have to wait."""
        return self._items[0] if self._items else None

    async def close(self) -> None:
        """Stop the thread, and wait for it; who waits in `get` is told that the generator has ended."""
        self._stopped.set()
        self._room.release()
        self._finish(None)
        self._items.clear()
        await asyncio.to_thread(self._thread.join, _JOIN_SECONDS)

    def _take(self) -> T:
        self._room.release()
        return self._items.popleft()

    def _run(self) -> None:
        error: BaseException | None = None
        try:
            with contextlib.closing(self._produce()) as items:
                for item in items:
                    self._room.acquire()
                    if self._stopped.is_set():
                        return
                    self._tell(self._accept, item)
        except Exception as raised:
            error = raised
        self._tell(self._finish, error)

    def _tell(self, function: Callable[..., None], *arguments: object) -> None:
        # The loop may be closed by now, when nobody closed us: then there is no one to tell.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(function, *arguments)

    def _accept(self, item: T) -> None:
        self._items.append(item)
        self._arrived.set()

    def _finish(self, error: BaseException | None) -> None:
        self._ended = True
        self._error = self._error or error
        self._arrived.set()
