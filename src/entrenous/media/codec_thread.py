"""A thread in which one codec works, a picture at a time, beside the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from threading import Thread
from typing import TypeVar, TypeVarTuple

Result = TypeVar("Result")
Arguments = TypeVarTuple("Arguments")


class CodecThread:
    """Does what it is given in turn, each time telling the event loop what came of it.

    An executor of the standard library does the same and more, at nearly twice the processor time for each hand-over:
    with thirty pictures a second in both directions that is felt. The thread begins with the first work.

    Args:
        name: of the thread.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread: Thread | None = None
        self._ended: asyncio.Future[None] | None = None

    def do(self, function: Callable[[*Arguments], Result], *arguments: *Arguments) -> asyncio.Future[Result]:
        """Call a function in the thread, after everything that it was given before.

        Returns:
            What the function returns or raises; when it is cancelled before its turn, the function is not called.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()

        def work() -> None:
            if future.cancelled():
                return
            tell: Callable[[], None]
            try:
                tell = partial(_succeed, future, function(*arguments))
            except BaseException as error:  # whatever it is, it is told to who waits for it
                tell = partial(_fail, future, error)
            with suppress(RuntimeError):  # the loop has been closed: nobody waits any more
                loop.call_soon_threadsafe(tell)

        if self._thread is None:
            self._thread = Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()
        self._work.put(work)
        return future

    async def close(self, last: Callable[[], None]) -> None:
        """End the thread behind what it is busy with; `last` is the last thing that it does, be it here without one.

        Harmless when repeated: `last` is called once, and whoever closes waits for it.
        """
        if self._ended is None:
            self._ended = self._end(last)
        await asyncio.shield(self._ended)  # who stops waiting does not take it from the others
        if self._thread is not None:
            self._thread.join()

    def _end(self, last: Callable[[], None]) -> asyncio.Future[None]:
        if self._thread is not None:
            ended = self.do(last)
            self._work.put(None)
            return ended
        last()
        here: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        here.set_result(None)
        return here

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            work()
            del work  # and with it the picture, which need not live until the next one


def _succeed(future: asyncio.Future[Result], result: Result) -> None:
    if not future.cancelled():
        future.set_result(result)


def _fail(future: asyncio.Future[Result], failure: BaseException) -> None:
    if not future.cancelled():
        future.set_exception(failure)
