"""RTCP: reading what the peer reports and asks for, writing our requests, and the clock that reports carry.

Reports are compound packets that begin with a sender report; requests go alone (RFC 5506).
"""

from __future__ import annotations

import secrets
import struct
from collections.abc import Iterable
from itertools import pairwise

from aiortc.rtp import (
    RTCP_PSFB_FIR,
    RTCP_PSFB_PLI,
    RTCP_RTPFB,
    RTCP_RTPFB_NACK,
    AnyRtcpPacket,
    RtcpPacket,
    RtcpPsfbPacket,
    RtcpReceiverInfo,
    RtcpRrPacket,
    RtcpRtpfbPacket,
    RtcpSrPacket,
)

from entrenous.errors import RemoteProtocolError

from .feedback import FEEDBACK_FORMAT, TransportFeedback, read_feedback

ReadPacket = AnyRtcpPacket | TransportFeedback
"""One part of a compound packet."""

MAX_LENGTH = 1500
"""Bytes of a compound packet that is read."""

_PARSE_FAILURES = (AssertionError, IndexError, ValueError, struct.error)
"""What the packet classes raise on malformed bytes."""

_HEADER = struct.Struct("!BBH")


class ReportClock:
    """The wall clock of our sender reports: monotonic seconds from a random beginning.

    RFC 3550 §6.4.1 lets a sender without a wall clock count from anywhere; the real time of day would only tell
    the peer how far our clock is off.
    """

    __slots__ = ("_origin",)

    def __init__(self) -> None:
        self._origin = float(secrets.randbits(31))

    def ntp(self, at: float) -> int:
        """The 64-bit NTP timestamp of monotonic time `at`."""
        return int((self._origin + at) * (1 << 32)) & 0xFFFF_FFFF_FFFF_FFFF

    def round_trip(self, report: RtcpReceiverInfo, now: float) -> float | None:
        """Seconds that our sender report and its echo were under way, None when the block echoes none."""
        if report.lsr == 0:
            return None
        passed = (((self.ntp(now) >> 16) - report.lsr - report.dlsr) & 0xFFFF_FFFF) / 65536
        # A block that claims more delay than has passed wraps around; so does one that echoes what we never sent.
        return passed if passed < 30.0 else None


def read_rtcp(data: bytes) -> list[ReadPacket]:
    """Read a compound packet; raises RemoteProtocolError when any part of it is malformed."""
    if len(data) > MAX_LENGTH:
        raise RemoteProtocolError("An RTCP packet is too long.")
    packets: list[ReadPacket] = []
    at = 0
    while at < len(data):
        if len(data) < at + _HEADER.size:
            raise RemoteProtocolError("An RTCP packet is shorter than its header.")
        first, kind, words = _HEADER.unpack_from(data, at)
        part = data[at : at + 4 * (words + 1)]
        if len(part) != 4 * (words + 1):
            raise RemoteProtocolError("An RTCP packet is truncated.")
        at += len(part)
        # The packet class takes every RTPFB for a list of sequence numbers.
        if kind == RTCP_RTPFB and first & 0xDF == 0x80 | FEEDBACK_FORMAT:
            packets.append(read_feedback(part))
        else:
            packets += _read_part(part)
    return packets


def _read_part(part: bytes) -> list[AnyRtcpPacket]:
    try:
        return list(RtcpPacket.parse(part))
    except _PARSE_FAILURES as error:
        raise RemoteProtocolError("An RTCP packet is malformed.") from error


def reports_in(packet: ReadPacket) -> list[RtcpReceiverInfo]:
    """The report blocks of a sender or receiver report."""
    return list(packet.reports) if isinstance(packet, RtcpSrPacket | RtcpRrPacket) else []


def nacked(packet: ReadPacket, media_ssrc: int) -> list[int]:
    """The sequence numbers of our stream that a packet asks for."""
    if isinstance(packet, RtcpRtpfbPacket) and packet.fmt == RTCP_RTPFB_NACK and packet.media_ssrc == media_ssrc:
        return [sequence & 0xFFFF for sequence in packet.lost]
    return []


def asks_for_key_frame(packet: ReadPacket, media_ssrc: int) -> bool:
    """Whether a packet is a PLI (RFC 4585 §6.3.1) or FIR (RFC 5104 §4.3.1) for our stream."""
    if not isinstance(packet, RtcpPsfbPacket):
        return False
    if packet.fmt == RTCP_PSFB_PLI:
        return packet.media_ssrc == media_ssrc
    if packet.fmt == RTCP_PSFB_FIR:
        # Each entry: SSRC (4), sequence number (1), reserved (3).
        wanted = {packet.fci[at : at + 4] for at in range(0, len(packet.fci) - 7, 8)}
        return media_ssrc.to_bytes(4, "big") in wanted
    return False


def key_frame_request(sender_ssrc: int, media_ssrc: int) -> bytes:
    """A picture loss indication."""
    return bytes(RtcpPsfbPacket(fmt=RTCP_PSFB_PLI, ssrc=sender_ssrc, media_ssrc=media_ssrc))


def nack_request(sender_ssrc: int, media_ssrc: int, missing: Iterable[int]) -> bytes:
    """A generic NACK for endless sequence numbers in rising order."""
    lost = [sequence & 0xFFFF for sequence in missing]
    # The packet class packs rising numbers only, so where the count wraps a second packet begins.
    wraps = [at + 1 for at, (one, next_) in enumerate(pairwise(lost)) if next_ < one]
    parts = [lost[begin:end] for begin, end in pairwise([0, *wraps, len(lost)])]
    return b"".join(
        bytes(RtcpRtpfbPacket(fmt=RTCP_RTPFB_NACK, ssrc=sender_ssrc, media_ssrc=media_ssrc, lost=part))
        for part in parts
    )
