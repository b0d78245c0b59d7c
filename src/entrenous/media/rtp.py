"""Reading RTP (RFC 3550 §5), continuing its 16-bit sequence numbers, and telling repetitions apart.

Writing is left to `outgoing`. A packet of a peer is read once, here, and refused with RemoteProtocolError.
"""

from __future__ import annotations

from aiortc.rtp import RtpPacket

from entrenous.errors import RemoteProtocolError

__all__ = ["RepetitionWindow", "RtpPacket", "SequenceCounter", "is_rtcp", "original_of", "read_rtp"]

_SEQUENCES = 1 << 16
_PARSE_FAILURES = (IndexError, ValueError)
"""What the packet classes raise on malformed bytes: truncation, wrong versions, wrong text in extensions."""


def is_rtcp(packet: bytes) -> bool:
    """Whether a packet of a multiplexed transport is RTCP (RFC 5761 §4)."""
    return len(packet) >= 2 and 192 <= packet[1] <= 223


def read_rtp(data: bytes) -> RtpPacket:
    """Read one RTP packet; raises RemoteProtocolError when it is malformed."""
    try:
        return RtpPacket.parse(data)
    except _PARSE_FAILURES as error:
        raise RemoteProtocolError("An RTP packet is malformed.") from error


def original_of(retransmission: RtpPacket, *, ssrc: int, payload_type: int) -> RtpPacket | None:
    """The packet inside a retransmission (RFC 4588 §4), None when it carries nothing, as padding probes do.

    ::

        | original sequence number (2) | original payload ... |
    """
    if len(retransmission.payload) <= 2:
        return None
    return RtpPacket(
        payload_type=payload_type,
        marker=retransmission.marker,
        sequence_number=int.from_bytes(retransmission.payload[:2], "big"),
        timestamp=retransmission.timestamp,
        ssrc=ssrc,
        payload=retransmission.payload[2:],
    )


class SequenceCounter:
    """Continues 16-bit sequence numbers without end: each becomes the number nearest to the highest seen so far."""

    __slots__ = ("highest",)

    def __init__(self) -> None:
        self.highest: int | None = None
        """The highest number so far; the first has a whole cycle below it, so that none is ever negative."""

    def extend(self, sequence_number: int) -> int:
        """The endless number of `sequence_number`; the highest is kept."""
        if self.highest is None:
            self.highest = sequence_number + _SEQUENCES
            return self.highest
        step = (sequence_number - self.highest + _SEQUENCES // 2) % _SEQUENCES - _SEQUENCES // 2
        extended = self.highest + step
        self.highest = max(self.highest, extended)
        return extended


class RepetitionWindow:
    """Tells the first copy of a packet from the next ones, for the newest `size` sequence numbers.

    Args:
        size: packets behind the newest one that are remembered; older ones count as repetitions.
    """

    __slots__ = ("_highest", "_seen", "_size")

    def __init__(self, size: int = 1024) -> None:
        self._size = size
        self._highest = -1
        self._seen = 0

    def is_new(self, extended: int) -> bool:
        """Whether this endless number comes for the first time; it is remembered."""
        if extended > self._highest:
            shift = extended - self._highest
            self._seen = ((self._seen << shift) | 1) & ((1 << self._size) - 1) if shift < self._size else 1
            self._highest = extended
            return True
        bit = 1 << (self._highest - extended)
        if self._highest - extended >= self._size or self._seen & bit:
            return False
        self._seen |= bit
        return True
