"""A clock for sources that never waits: whoever sleeps finds it later."""

from __future__ import annotations

import asyncio


class SimulatedClock:
    """Seconds that pass only when somebody sleeps, or `advance` is called."""

    def __init__(self, start: float = 1000.0) -> None:
        self._now = start

    def now(self) -> float:
        return self._now

    def advance(self, seconds: float) -> None:
        self._now += seconds

    async def sleep_until(self, when: float) -> None:
        self._now = max(self._now, when)
        await asyncio.sleep(0)
