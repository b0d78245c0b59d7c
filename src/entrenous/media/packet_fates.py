"""Which packets of one stream arrived, in the order of sending, picked out of feedback for all streams (pure)."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from .feedback import TransportFeedback

REORDERED = 8
"""Packets of any stream that may overtake one before it counts as lost."""

REMEMBERED = 512
"""Packets of this stream that wait for their fate: ten seconds of sound."""

_NUMBERS = 1 << 16


@dataclass(slots=True)
class _Packet:
    """One packet by its transport-wide number; whether it arrived, None while no feedback has covered it."""

    number: int
    arrived: bool | None = None


class PacketFates:
    """Follows the packets of one stream by their transport-wide sequence numbers."""

    def __init__(self) -> None:
        self._packets: deque[_Packet] = deque(maxlen=REMEMBERED)

    def sent(self, number: int) -> None:
        """Note that a packet of this stream left with this transport-wide sequence number, 16 bits."""
        self._packets.append(_Packet(number))

    def tell(self, feedback: TransportFeedback) -> list[bool]:
        """Whether each packet arrived whose fate is settled by this feedback, in the order of sending, each once.

        A missing one is settled when enough others have been reported on after it; one that no feedback has covered,
        while those after it are settled, is left out: the feedback itself was lost.
        """
        count = len(feedback.arrivals)
        for packet in self._packets:
            at = (packet.number - feedback.base_sequence) % _NUMBERS
            if at < count:
                packet.arrived = packet.arrived or feedback.arrivals[at] is not None
        settled = (feedback.base_sequence + count - REORDERED) % _NUMBERS
        fates: list[bool] = []
        while self._packets:
            packet = self._packets[0]
            if not packet.arrived and not 0 < (settled - packet.number) % _NUMBERS < _NUMBERS // 2:
                break
            self._packets.popleft()
            if packet.arrived is not None:
                fates.append(packet.arrived)
        return fates
