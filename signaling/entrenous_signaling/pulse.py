"""The server's pulse: a timer that says by how much the loop is late, and what garbage collection costs.

When the loop stands still the pulse does too, and with it what the service manager hears of the server.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Final

from .meters import Generation, Meters

INTERVAL_SECONDS: Final = 0.5

_GENERATIONS: Final = (Generation.YOUNGEST, Generation.YOUNGER, Generation.ALL)
_PAUSES: Final = 4096
"""Collections between two beats of which the pause is remembered."""


class Pulse:
    """Beats twice a second.

    Args:
        meters: where lag and pauses are counted.
        beat: called at each beat; it returns at once.
    """

    def __init__(self, meters: Meters, beat: Callable[[], None]) -> None:
        self._meters = meters
        self._also = beat
        self._loop = asyncio.get_running_loop()
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._collecting_since: float | None = None
        self._pauses: deque[tuple[int, float]] = deque(maxlen=_PAUSES)

    def start(self) -> None:
        """Begin."""
        gc.callbacks.append(self._collecting)
        self._arm()

    def stop(self) -> None:
        """End."""
        if self._timer is not None:
            self._timer.cancel()
            gc.callbacks.remove(self._collecting)
            self._timer = None

    def _arm(self) -> None:
        self._due = self._loop.time() + INTERVAL_SECONDS
        self._timer = self._loop.call_at(self._due, self._beat)

    def _beat(self) -> None:
        self._meters.lag_seconds.observe(max(0.0, self._loop.time() - self._due))
        while self._pauses:
            generation, seconds = self._pauses.popleft()
            self._meters.pause_seconds[_GENERATIONS[generation]].observe(seconds)
        self._arm()
        self._also()

    def _collecting(self, phase: str, info: Mapping[str, int]) -> None:
        """Called by the collector, in whichever thread it runs and in the middle of anything: only notes."""
        now = time.perf_counter()
        if phase == "start":
            self._collecting_since = now
        elif self._collecting_since is not None:
            self._pauses.append((info["generation"], now - self._collecting_since))
            self._collecting_since = None
