"""The one clock of the server: Unix seconds that never run backwards."""

from __future__ import annotations

import time
from typing import Final


class SteadyClock:
    """Starts at the system's time of day and goes on evenly from there, whatever is done to that time later.

    Time during which the machine sleeps counts where the system has a clock for it (Linux).
    """

    def __init__(self) -> None:
        self._offset = time.time() - _elapsed()

    def now(self) -> float:
        """Unix seconds."""
        return self._offset + _elapsed()


_BOOTTIME: Final[int | None] = getattr(time, "CLOCK_BOOTTIME", None)


def _elapsed() -> float:
    return time.monotonic() if _BOOTTIME is None else time.clock_gettime(_BOOTTIME)
