"""A command in a real pseudo-terminal: what it draws, and what somebody types."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import re
import struct
import termios
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")
PATIENCE = 60.0


class Terminal:
    """The person's side of a terminal in which a command runs. Made by `in_terminal`."""

    def __init__(self, keyboard: int, process: asyncio.subprocess.Process) -> None:
        self._keyboard = keyboard
        self.process = process
        self._news = asyncio.Event()
        self._drawn = ""
        self._seen = 0
        asyncio.get_running_loop().add_reader(keyboard, self._read)

    async def shows(self, text: str) -> str:
        """Wait until `text` is drawn after what was waited for before; returns everything drawn up to there.

        Raises:
            AssertionError: it is not drawn in time; the message has what was.
        """
        try:
            async with asyncio.timeout(PATIENCE):
                while (found := self._drawn.find(text, self._seen)) < 0:
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise AssertionError(f"{text!r} was not drawn, but: {self._drawn[self._seen :]!r}") from None
        passed = self._drawn[self._seen : found + len(text)]
        self._seen = found + len(text)
        return passed

    def types(self, keys: str) -> None:
        """Press keys."""
        os.write(self._keyboard, keys.encode())

    def echoes(self) -> bool:
        """Whether the terminal is as a shell wants it: echo and line editing on."""
        local = termios.tcgetattr(self._keyboard)[3]
        return bool(local & termios.ECHO and local & termios.ICANON)

    def close(self) -> None:
        """Take no more notice of it."""
        asyncio.get_running_loop().remove_reader(self._keyboard)

    def _read(self) -> None:
        try:
            data = os.read(self._keyboard, 65536)
        except OSError:  # the last process at the other side has gone
            data = b""
        if not data:
            self.close()
        self._drawn += _CONTROL.sub("", data.decode(errors="replace"))
        self._news.set()


@asynccontextmanager
async def in_terminal(
    *command: str, environment: dict[str, str] | None = None, width: int = 200
) -> AsyncIterator[Terminal]:
    """Run a command with a terminal of its own as its standard input, output and error.

    Ctrl-C that is typed reaches it as SIGINT, as in a real one.
    """
    keyboard, screen = pty.openpty()
    fcntl.ioctl(screen, termios.TIOCSWINSZ, struct.pack("HHHH", 30, width, 0, 0))

    def take_terminal() -> None:
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=screen,
        stdout=screen,
        stderr=screen,
        env={**os.environ, "TERM": "xterm-256color", **(environment or {})},
        preexec_fn=take_terminal,
    )
    terminal = Terminal(keyboard, process)
    try:
        yield terminal
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        terminal.close()
        os.close(screen)
        os.close(keyboard)
