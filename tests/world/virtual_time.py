"""An event loop whose time passes only while nothing is left to do: media at full speed, and held up at will.

Work for worker threads is done at once by the loop itself, so that no time passes meanwhile.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine, Generator
from functools import wraps
from typing import Any, ParamSpec, TypeVar
from unittest import mock

P = ParamSpec("P")
T = TypeVar("T")


class VirtualTime:
    """What `time.monotonic` says within `run`."""

    def __init__(self) -> None:
        self.now = 1000.0

    def run(self, main: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """What a coroutine function returns, in a loop of its own."""
        with mock.patch("time.monotonic", lambda: self.now), asyncio.Runner(loop_factory=self._loop) as runner:
            return runner.run(main())

    def hold_up(self, at: float, seconds: float) -> None:
        """Let nothing run for so many seconds from a time on, as on a starved machine."""
        asyncio.get_running_loop().call_at(at, self._pass, seconds)

    def _pass(self, seconds: float) -> None:
        self.now += seconds

    def _loop(self) -> asyncio.AbstractEventLoop:
        return _Loop(_Selector(self._pass))


def in_virtual_time(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """A test whose time passes only while nothing is left to do: however busy the machine is, nothing comes late."""

    @wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        VirtualTime().run(lambda: test(*args, **kwargs))

    return run


class _Selector(selectors.SelectSelector):
    def __init__(self, passes: Callable[[float], None]) -> None:
        super().__init__()
        self._passes = passes

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            return super().select(None)
        events = super().select(0)
        if not events and timeout > 0:
            self._passes(timeout)
        return events


class _Loop(asyncio.SelectorEventLoop):
    def run_in_executor(self, executor: Any, function: Callable[..., T], *arguments: Any) -> asyncio.Future[T]:
        future: asyncio.Future[T] = self.create_future()
        try:
            future.set_result(function(*arguments))
        except Exception as error:
            future.set_exception(error)
        return future


class InlineThread:
    """Stands in for a thread of a codec: its work is done at once."""

    def __init__(self, name: str) -> None: ...

    def do(self, function: Callable[..., T], *arguments: Any) -> asyncio.Future[T]:
        return asyncio.get_running_loop().run_in_executor(None, function, *arguments)

    async def close(self, last: Callable[[], None]) -> None:
        last()


class InlineFeeder:
    """Stands in for `Feeder`: every item is there at once."""

    def __init__(self, produce: Callable[[], Generator[Any, None, None]], *, depth: int, name: str) -> None:
        self._items = produce()
        self._next: Any = None

    def peek(self) -> Any:
        if self._next is None:
            self._next = next(self._items, None)
        return self._next

    async def look(self) -> Any:
        return self.peek()

    async def get(self) -> Any:
        item, self._next = self.peek(), None
        return item

    async def close(self) -> None:
        self._items.close()
