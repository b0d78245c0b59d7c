"""In what order and how fast packets leave that may wait: repairs, then pictures by fair share (pure).

A key frame is many times larger than the frames after it; sent at once it would fill the queue of the path and with
it delay the sound. So packets leave at a rate, in bursts of a few milliseconds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from .streams import StreamKind

BURST = 0.005
"""Seconds of rate that may leave at once."""

MAX_BACKLOG = 4096
"""Packets of a stream that wait at most; the oldest are dropped."""


@dataclass(slots=True)
class _Lane:
    packets: deque[bytearray] = field(default_factory=lambda: deque(maxlen=MAX_BACKLOG))
    octets: int = 0
    weight: float = 1.0
    served: float = 0.0
    """Bytes that have left, over the weight: the lane that had least is next."""


class Pacer:
    """Lets packets go at a rate.

    Args:
        rate: bits a second.
        overhead: bytes that each packet has on the wire beyond its own.
    """

    def __init__(self, rate: float, overhead: int = 0) -> None:
        self.rate = rate
        self.dropped = 0
        """Packets that were too many."""
        self._overhead = overhead
        self._repairs: dict[StreamKind, _Lane] = {}
        self._pictures: dict[StreamKind, _Lane] = {}
        self._free_at = 0.0

    def push(self, kind: StreamKind, packet: bytearray, *, repair: bool = False) -> None:
        """Queue one packet; a repair goes before everything else, since a frame waits for it already."""
        lanes = self._repairs if repair else self._pictures
        lane = lanes.get(kind)
        if lane is None:
            lane = lanes[kind] = _Lane()
        if not lane.packets:
            # A stream that had nothing to send has no claim to what others have had meanwhile.
            lane.served = max([lane.served, *(each.served for each in lanes.values() if each.packets)])
        elif len(lane.packets) == MAX_BACKLOG:
            lane.octets -= len(lane.packets[0]) + self._overhead
            self.dropped += 1
        lane.packets.append(packet)
        lane.octets += len(packet) + self._overhead

    def share(self, weights: Mapping[StreamKind, float]) -> None:
        """Let streams leave in proportion to these weights while several wait; those not named keep theirs."""
        for kind, weight in weights.items():
            lane = self._pictures.setdefault(kind, _Lane())
            lane.served *= lane.weight / weight
            lane.weight = weight

    def drop(self, kind: StreamKind) -> None:
        """Forget what waits of a stream."""
        self._repairs.pop(kind, None)
        self._pictures.pop(kind, None)

    def waiting(self, kind: StreamKind) -> int:
        """Bytes on the wire that wait of a stream, with its repairs."""
        return sum(lanes[kind].octets for lanes in (self._repairs, self._pictures) if kind in lanes)

    @property
    def overhead(self) -> int:
        """Bytes that each packet has on the wire beyond its own."""
        return self._overhead

    @overhead.setter
    def overhead(self, overhead: int) -> None:
        for lanes in (self._repairs, self._pictures):
            for lane in lanes.values():
                lane.octets += len(lane.packets) * (overhead - self._overhead)
        self._overhead = overhead

    @property
    def empty(self) -> bool:
        """Whether nothing waits."""
        return _next_in(self._repairs) is None and _next_in(self._pictures) is None

    def may_leave(self, now: float) -> bool:
        """Whether something may leave at monotonic time `now`."""
        self._free_at = max(self._free_at, now - BURST)
        return self._free_at <= now

    def pop(self) -> tuple[StreamKind, bytearray] | None:
        """Take out the packet whose turn it is, None when none waits; what leaves is to be counted with `spend`."""
        for lanes in (self._repairs, self._pictures):
            kind = _next_in(lanes)
            if kind is not None:
                lane = lanes[kind]
                packet = lane.packets.popleft()
                size = len(packet) + self._overhead
                lane.octets -= size
                lane.served += size / lane.weight
                return kind, packet
        return None

    def spend(self, size: int) -> None:
        """Count `size` bytes on the wire that have left."""
        self._free_at += size * 8 / self.rate

    @property
    def free_at(self) -> float:
        """When the next packet may leave."""
        return self._free_at


def _next_in(lanes: Mapping[StreamKind, _Lane]) -> StreamKind | None:
    """Of the lanes in which something waits, the one that had least; None when nothing does."""
    found, least = None, 0.0
    for kind, lane in lanes.items():
        if lane.packets and (found is None or lane.served < least):
            found, least = kind, lane.served
    return found
