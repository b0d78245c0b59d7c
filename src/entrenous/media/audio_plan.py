"""How sound is sent: bit rate, protection against loss, and length of frames (pure)."""

from __future__ import annotations

from dataclasses import dataclass

from entrenous.crypto.sframe import DEFAULT_SUITE, tag_length
from entrenous.errors import LocalProtocolError

from .codecs.opus import MAXIMUM_FRAME, packet_bytes
from .red import EARLIER_HEADER, PRIMARY_HEADER

FEC_ARMED_FOR = 10
"""Per cent of loss that in-band FEC is armed for: more costs quality on a clean path and gains little on a bad one."""

HEADER_ROOM = 5
"""Bytes kept for the header of the frame layer, which grows with counter and epoch; what it leaves free is filled.

Enough for 2**24 packets of each of 256 epochs; beyond, the Opus packet gives way.
"""

MAX_DISTANCE = 3
"""Packets between the two copies of a duplicated one, at most."""


@dataclass(frozen=True, slots=True)
class AudioPlan:
    """One way of sending sound; packets have one size and one cadence as long as it stands.

    Args:
        bitrate: bits a second of Opus, of one copy of the sound.
        fec: whether packets carry in-band FEC; for frames of 20 ms only, it wrecks longer ones.
        duplicate_distance: how many packets later each one is sent a second time (RFC 2198), 1 to 3; 0: never.
        frame_ms: sound in one packet: 20, 40 or 60 milliseconds.

    Raises:
        LocalProtocolError: no packet can be like that.
    """

    bitrate: int
    fec: bool = False
    duplicate_distance: int = 0
    frame_ms: int = 20

    def __post_init__(self) -> None:
        if self.frame_ms not in (20, 40, 60) or not 0 <= self.duplicate_distance <= MAX_DISTANCE:
            raise LocalProtocolError("Sound is sent in frames of 20, 40 or 60 ms, again after 3 packets at most.")
        if self.fec and self.frame_ms != 20:
            raise LocalProtocolError("In-band FEC is for frames of 20 ms.")
        if self.bitrate < 6000 or self.plain_bytes + HEADER_ROOM > MAXIMUM_FRAME:
            raise LocalProtocolError("Sound is sent with 6 kbit/s at least, and in packets that fit a datagram.")

    @property
    def opus_bytes(self) -> int:
        """The size of one Opus packet."""
        return packet_bytes(self.bitrate, self.frame_ms)

    @property
    def plain_bytes(self) -> int:
        """The size of what is sealed when the header of the frame layer takes all of its room."""
        if self.duplicate_distance == 0:
            return self.opus_bytes
        return EARLIER_HEADER + PRIMARY_HEADER + 2 * self.opus_bytes

    @property
    def sealed_bytes(self) -> int:
        """The size of every RTP payload."""
        return HEADER_ROOM + self.plain_bytes + tag_length(DEFAULT_SUITE)

    def wire_rate(self, overhead: int) -> int:
        """Bits a second on the wire.

        Args:
            overhead: bytes of each packet beside its RTP payload: IP, UDP, SRTP and the RTP header.
        """
        return (self.sealed_bytes + overhead) * 8000 // self.frame_ms
