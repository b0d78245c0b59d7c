"""Single keys from a terminal, without Enter, while a call goes on."""

from __future__ import annotations

import asyncio
import os
import sys
import termios
import tty
from contextlib import suppress
from types import TracebackType

MAX_WAITING = 16
"""Keys that nobody has read yet; more are dropped, so that a cat on the keyboard costs nothing."""


class Keys:
    """Keys that a person presses, in order; the terminal is given back as it was found on leaving.

    ::

        with Keys() as keys:
            key = await keys.next()

    Echo and line editing are off meanwhile; Ctrl-C still is a signal.

    Args:
        descriptor: of the terminal to read from, standard input by default.
    """

    def __init__(self, descriptor: int | None = None) -> None:
        self._descriptor = sys.stdin.fileno() if descriptor is None else descriptor
        self._waiting: asyncio.Queue[str] = asyncio.Queue(MAX_WAITING)
        self._found: list[int | list[bytes | int]] | None = None

    def __enter__(self) -> Keys:
        self._found = termios.tcgetattr(self._descriptor)
        tty.setcbreak(self._descriptor, termios.TCSANOW)
        asyncio.get_running_loop().add_reader(self._descriptor, self._read)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.get_running_loop().remove_reader(self._descriptor)
        if self._found is None:
            return
        with suppress(termios.error):  # a terminal that is gone needs nothing back
            termios.tcsetattr(self._descriptor, termios.TCSADRAIN, self._found)

    async def next(self) -> str:
        """The next key, in lower case; waits for it."""
        return await self._waiting.get()

    def _read(self) -> None:
        try:
            pressed = os.read(self._descriptor, 64)
        except OSError:
            pressed = b""
        if not pressed:  # the terminal is gone
            asyncio.get_running_loop().remove_reader(self._descriptor)
        for key in pressed.decode("utf-8", "ignore").lower():
            if not self._waiting.full():
                self._waiting.put_nowait(key)
