"""Ctrl-C, SIGTERM and a closed terminal: they end the process at once, and a call that is on is hung up first."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from .exits import ExitCode

SIGNALS = {
    signal.SIGINT: ExitCode.INTERRUPTED,
    signal.SIGTERM: ExitCode.TERMINATED,
    signal.SIGHUP: ExitCode.TERMINATED,
}


class Interrupt:
    """The signals of one process, while its event loop runs.

    Args:
        cancel: cancels the work that a signal ends.
    """

    def __init__(self, cancel: Callable[[], object]) -> None:
        self.code: ExitCode | None = None
        self.cancel = cancel
        self._happened = asyncio.Event()
        self._gentle = False

    async def wait(self) -> None:
        """Wait for the first signal."""
        await self._happened.wait()

    @contextmanager
    def gently(self) -> Iterator[None]:
        """Within this block the first signal only ends `wait`; a second one cancels as ever.

        Who enters it looks at `code` afterwards, so that a signal is never lost.
        """
        self._gentle = True
        try:
            yield
        finally:
            self._gentle = False

    def signalled(self, number: signal.Signals) -> None:
        """What the signal handler calls."""
        again = self.code is not None
        if not again:
            self.code = SIGNALS[number]
        self._happened.set()
        if again or not self._gentle:
            self.cancel()


def run(work: Callable[[Interrupt], Awaitable[ExitCode]]) -> ExitCode:
    """Run `work` on an event loop of its own, and return its exit code, or that of the signal that ended it."""

    async def main() -> ExitCode:
        interrupt = Interrupt(lambda: task.cancel())
        task = asyncio.ensure_future(work(interrupt))
        loop = asyncio.get_running_loop()
        heeded = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]  # nohup, `… &`
        for number in heeded:
            loop.add_signal_handler(number, interrupt.signalled, number)
        try:
            return await task
        except asyncio.CancelledError:
            if interrupt.code is None:
                raise
            return interrupt.code
        finally:
            for number in heeded:
                loop.remove_signal_handler(number)

    return asyncio.run(main())
