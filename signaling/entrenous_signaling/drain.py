"""Going down without a crowd: nodes are sent away one after the other, so that they do not all come back at once."""

from __future__ import annotations

import asyncio
import math
from typing import Final, Protocol

LEAST_PACE: Final = 50.0
"""Nodes a second that are sent away at least: a few nodes are no crowd, and need not wait for each other."""

_STEP_SECONDS: Final = 0.1


class Pace:
    """How many nodes are to be gone by when, spread evenly.

    Args:
        count: nodes that are connected.
        seconds: over how long at most.
        now: seconds on any clock.
    """

    def __init__(self, count: int, seconds: float, now: float) -> None:
        self._count = count
        self._begin = now
        self.seconds = min(seconds, count / LEAST_PACE)
        """Over how long."""

    def due(self, left: int, now: float) -> int:
        """How many of those who are left have to go now; who went by themselves counts."""
        elapsed = now - self._begin
        if elapsed >= self.seconds:
            return left
        return max(0, left - math.floor(self._count * (1.0 - elapsed / self.seconds)))


class Drained(Protocol):
    """What is used of the edge."""

    @property
    def connections(self) -> int:
        """Nodes that are connected."""

    def send_away(self, count: int) -> None:
        """Close that many connections."""

    async def store_settled(self) -> None:
        """Wait until the store has answered what it was asked."""


async def drain(edge: Drained, pace: Pace, hurry: asyncio.Event) -> None:
    """Send everybody away at that pace, each with the answers that the store owed when it was their turn.

    Args:
        edge: who is connected; nobody comes any more.
        pace: of all of them.
        hurry: ends it before its time when it is set.
    """
    loop = asyncio.get_running_loop()
    while edge.connections and not hurry.is_set():
        await edge.store_settled()
        edge.send_away(pace.due(edge.connections, loop.time()))
        if edge.connections:
            try:
                async with asyncio.timeout(min(_STEP_SECONDS, pace.seconds)):
                    await hurry.wait()
            except TimeoutError:
                continue
