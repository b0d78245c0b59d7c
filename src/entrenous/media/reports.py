"""What both ends report to each other (RFC 3550 §6.4): making reports, and what the peer's say about us."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from aiortc.rtp import AnyRtcpPacket, RtcpReceiverInfo, RtcpRrPacket

from .outgoing import OutgoingStream
from .reception import Reception
from .rtcp import ReportClock

_SMOOTHING = 0.125
"""The weight of a new round trip, as TCP has it (RFC 6298)."""


class ReportExchange:
    """The reports of one session.

    Args:
        own: the SSRCs of what we send; the first one signs reports while nothing has been sent.
    """

    def __init__(self, own: Collection[int]) -> None:
        self._own = tuple(own)
        self._clock = ReportClock()
        self.round_trip: float | None = None
        """Seconds, None until measured."""
        self.loss: dict[int, float] = {}
        """By SSRC of ours: the share of packets that the peer missed between its last two reports."""

    def make(self, streams: Iterable[OutgoingStream], receptions: Iterable[Reception], now: float) -> bytes:
        """One compound packet: a sender report of each stream, the first with what was received.

        Args:
            streams: what is sent.
            receptions: what is received.
            now: monotonic seconds.
        """
        blocks = [block for reception in receptions if (block := reception.report(now)) is not None]
        parts: list[AnyRtcpPacket] = []
        for stream in streams:
            report = stream.report(self._clock, now, [] if parts else blocks)
            if report is not None:
                parts.append(report)
        if not parts:
            parts.append(RtcpRrPacket(self._own[0], blocks))
        return b"".join(bytes(part) for part in parts)

    def take(self, block: RtcpReceiverInfo, at: float) -> None:
        """Note what a report of the peer, arrived at monotonic time `at`, says about a stream; ours only."""
        if block.ssrc not in self._own:
            return
        self.loss[block.ssrc] = block.fraction_lost / 256
        measured = self._clock.round_trip(block, at)
        if measured is None:
            return
        if self.round_trip is None:
            self.round_trip = measured
        else:
            self.round_trip += _SMOOTHING * (measured - self.round_trip)
