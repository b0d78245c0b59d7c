"""Writes lines of the log for which nobody waits, whoever reads them.

Lines that standard error does not take are kept for it, so many, and then counted.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import threading
from collections.abc import Callable
from typing import Final

WAITING_LINES: Final = 1000
"""Lines that wait until standard error takes them."""

_LAST_LINES_SECONDS: Final = 1.0
"""How long they are waited for at the end."""


class LineWriter(logging.Handler):
    """Writes in a thread of its own: a pipe that nobody empties, or a held terminal, stops the log and nothing else.

    Args:
        descriptor: of the open file that lines are written to.
        lost: what is logged in the place of so many lines that are missing.
    """

    def __init__(self, descriptor: int, lost: Callable[[int], logging.LogRecord]) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._record_of_lost = lost
        # Not a Queue: while that holds its lock, the garbage collector may end something that logs as well.
        self._lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._lost = 0
        self._told = 0
        self._thread = threading.Thread(target=self._write_all, name="log", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Have a line written, or count it when too many wait."""
        try:
            line = self._line(record)
        except Exception:
            self.handleError(record)
            return
        if self._lines.qsize() < WAITING_LINES:
            self._lines.put(line)
        else:
            self._lost += 1

    def close(self) -> None:
        """Wait until what was logged is written, but not for long."""
        self._lines.put(None)
        self._thread.join(_LAST_LINES_SECONDS)
        super().close()

    def _write_all(self) -> None:
        while (line := self._lines.get()) is not None:
            self._write(line)
            if self._lines.empty():
                self._tell_lost()
        self._tell_lost()

    def _tell_lost(self) -> None:
        lost = self._lost - self._told
        if lost:
            self._told += lost
            self._write(self._line(self._record_of_lost(lost)))

    def _line(self, record: logging.LogRecord) -> bytes:
        return f"{self.format(record)}\n".encode()

    def _write(self, line: bytes) -> None:
        # Not through sys.stderr: the interpreter could not end while this thread held its lock.
        with contextlib.suppress(OSError):  # there is nobody to tell
            while line:
                line = line[os.write(self._descriptor, line) :]
