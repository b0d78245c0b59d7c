"""Spreads the packets of large frames over time, so that a key frame does not flood the path (pure)."""

from __future__ import annotations

from collections import deque

BURST = 0.005
"""Seconds of rate that may leave at once."""

MAX_BACKLOG = 4096
"""Packets that wait at most; the oldest are dropped."""


class Pacer:
    """A leaky bucket with a fast lane for repairs.

    Args:
        rate: bits a second.
    """

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self._repairs: deque[bytes] = deque(maxlen=MAX_BACKLOG)
        self._packets: deque[bytes] = deque(maxlen=MAX_BACKLOG)
        self._waiting_bytes = 0
        self._free_at = 0.0

    def push(self, packet: bytes, *, repair: bool = False) -> None:
        """Queue one packet; a repair goes before everything else, since a frame waits for it already."""
        lane = self._repairs if repair else self._packets
        if len(lane) == MAX_BACKLOG:
            self._waiting_bytes -= len(lane[0])
        lane.append(packet)
        self._waiting_bytes += len(packet)

    @property
    def backlog(self) -> float:
        """Seconds that it takes to send what waits."""
        return self._waiting_bytes * 8 / self.rate

    def due(self, now: float) -> list[bytes]:
        """The packets that may leave at monotonic time `now`."""
        self._free_at = max(self._free_at, now - BURST)
        leaving = []
        while (self._repairs or self._packets) and self._free_at <= now:
            packet = (self._repairs or self._packets).popleft()
            self._waiting_bytes -= len(packet)
            self._free_at += len(packet) * 8 / self.rate
            leaving.append(packet)
        return leaving

    def next_at(self) -> float | None:
        """When the next packet may leave, None when none waits."""
        return self._free_at if self._repairs or self._packets else None
