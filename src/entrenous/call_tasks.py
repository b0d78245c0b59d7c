"""The tasks of one call: none of them breaks silently, and none outlives the call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final

CLEANUP_SECONDS: Final = 5.0
"""How long what belongs to an ended call may take to stop."""


class CallTasks:
    """Owns the asynchronous steps of a call.

    Args:
        broke: told of an exception that a step did not handle.
    """

    def __init__(self, broke: Callable[[Exception], None]) -> None:
        self._broke = broke
        self._all: set[asyncio.Task[Any]] = set()
        self._preparations: set[asyncio.Task[Any]] = set()

    def __len__(self) -> int:
        """Steps that are under way."""
        return len(self._all)

    def spawn(self, step: Coroutine[Any, Any, None]) -> None:
        """Start a step that is carried through even when the call ends meanwhile, such as closing something."""
        self._track(self._start(step), self._all)

    def prepare(self, step: Coroutine[Any, Any, None]) -> None:
        """Start a step that the end of the call cuts short: it may wait for a server or a peer that is away."""
        self._track(self._start(step), self._all, self._preparations)

    async def finish(self) -> None:
        """Cut preparations short and wait for the rest; what does not stop in time is cancelled."""
        for task in self._preparations:
            task.cancel()
        if not self._all:
            return
        _, late = await asyncio.wait(set(self._all), timeout=CLEANUP_SECONDS)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late)

    @staticmethod
    def _track(task: asyncio.Task[Any], *sets: set[asyncio.Task[Any]]) -> None:
        for tasks in sets:
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    def _start(self, step: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.ensure_future(self._guard(step))
        task.add_done_callback(lambda _: step.close())  # a task that is cancelled at once never came to its step
        return task

    async def _guard(self, step: Coroutine[Any, Any, None]) -> None:
        try:
            await step
        except Exception as error:
            self._broke(error)
