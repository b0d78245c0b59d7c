"""The one clock of the server: Unix seconds that never run backwards."""

from __future__ import annotations

import time
from typing import Final

SET_SECONDS: Final = 30.0
"""By how much it and the time of day may go apart before that counts as set."""


class SteadyClock:
    """Starts at the system's time of day and goes on evenly from there, whatever is done to that time later.

    Time during which the machine sleeps counts where the system has a clock for it (Linux). It never follows the time
    of day, not even forward: sessions that wait for their device would be given up, and calls would last longer by
    that. Who needs the time of day itself adds `set_by`.
    """

    def __init__(self) -> None:
        self._offset = time.time() - _elapsed()
        self.set_by = 0.0
        """By how many seconds the time of day was ahead of `now` at the last look, negative when it was behind; 0 as
        long as they agree."""

    def now(self) -> float:
        """Unix seconds."""
        return self._offset + _elapsed()

    def look(self) -> bool:
        """Compare it with the time of day.

        Returns:
            Whether that was set since the last look, or the machine stood still in a way that its clocks do not count.
        """
        ahead = time.time() - self.now()
        set_by = ahead if abs(ahead) > SET_SECONDS else 0.0
        if abs(set_by - self.set_by) <= SET_SECONDS:
            return False
        self.set_by = set_by
        return True


_BOOTTIME: Final[int | None] = getattr(time, "CLOCK_BOOTTIME", None)


def _elapsed() -> float:
    return time.monotonic() if _BOOTTIME is None else time.clock_gettime(_BOOTTIME)
