"""One outgoing RTP stream above all legs: numbering, history for retransmission, sender reports (pure)."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import islice

from aiortc.rtp import RtcpReceiverInfo, RtcpSenderInfo, RtcpSrPacket

from .identities import Format, StreamIdentity
from .rtcp import ReportClock
from .rtp import HEADER_LENGTH, MAX_PADDING, retransmission_of, write_padding, write_rtp
from .stats import RateMeter

HISTORY_SECONDS = 1.0
HISTORY_PACKETS = 1024
"""How long and how many packets can be asked for again."""

REPAIR_SHARE = 0.5
"""Retransmitted bytes for each byte sent, over a second: more feeds the congestion that lost them."""

_REPAIR_FLOOR = 20_000.0
"""Bytes a second that may be retransmitted however little is sent, so that a lone key frame can be repaired."""

_LOOKED_AT = 16
"""Newest packets among which one is looked for that fits into a probe."""


@dataclass(slots=True)
class _Sent:
    packet: bytearray
    format_: Format
    at: float
    repaired_at: float = float("-inf")


class OutgoingStream:
    """Numbers packets and remembers them.

    Args:
        identity: its SSRCs and payload types.
        clock_rate: of its timestamps, hertz.
        repairable: whether packets are kept for retransmission.
    """

    def __init__(self, identity: StreamIdentity, clock_rate: int, *, repairable: bool) -> None:
        self.identity = identity
        self.clock_rate = clock_rate
        self.packets = 0
        self.retransmitted = 0
        self.sent_rate = RateMeter()
        self._octets = 0
        self._repairable = repairable
        # Below half of the range, so that SRTP's rollover counter has no wrap in the first packets (RFC 3711 §3.3.1).
        self._sequence = secrets.randbelow(1 << 15)
        self._rtx_sequence = secrets.randbelow(1 << 15)
        self.timestamp_offset = secrets.randbits(32)
        self._anchor: tuple[float, int] | None = None
        self._history: OrderedDict[int, _Sent] = OrderedDict()
        self._repair_rate = RateMeter()
        self._original_rate = RateMeter()
        self._ssrc = identity.ssrc.to_bytes(4, "big")

    def use(self, remote: StreamIdentity) -> None:
        """Take the payload types that the peer wants to receive on the leg in use."""
        self.identity = replace(
            self.identity, payload_types=remote.payload_types, rtx_payload_types=remote.rtx_payload_types
        )

    def timestamp_of(self, captured_at: float) -> int:
        """The RTP timestamp of monotonic time `captured_at`."""
        return (self.timestamp_offset + round(captured_at * self.clock_rate)) % (1 << 32)

    def frame(
        self, payloads: list[bytes], timestamp: int, captured_at: float, *, marker: bool, format_: Format
    ) -> list[bytearray]:
        """Make the packets of one frame; they count as sent with `sent`.

        Args:
            payloads: of each packet, in order.
            timestamp: RTP timestamp of all of them.
            captured_at: the monotonic time that it stands for.
            marker: whether the last one carries the marker bit.
            format_: of the payloads; the peer takes it.
        """
        self._anchor = (captured_at, timestamp)
        payload_type = self.identity.payload_types[format_]
        packets = []
        for number, payload in enumerate(payloads, start=1):
            last = int(marker and number == len(payloads))
            packet = write_rtp(payload_type, last, self._sequence, timestamp, self.identity.ssrc, payload)
            if self._repairable:
                self._remember(self._sequence, packet, format_, captured_at)
            self._sequence = (self._sequence + 1) % (1 << 16)
            packets.append(packet)
        return packets

    def sent(self, packet: bytes | bytearray, now: float) -> bool:
        """Count one packet of ours, repairs and padding too, that was handed to the leg at monotonic time `now`.

        Returns:
            Whether it was sent for the first time, and is neither a retransmission nor padding.
        """
        size = len(packet)
        self.sent_rate.add(size, now)
        if packet[8:12] != self._ssrc:
            return False
        # Reports speak of this stream alone; retransmissions are another one (RFC 4588 §4).
        self.packets += 1
        self._octets += size - HEADER_LENGTH
        self._original_rate.add(size, now)
        return True

    def size_of(self, sequences: Iterable[int]) -> int:
        """Bytes of the packets of these numbers, as far as they are remembered."""
        held = (self._history.get(sequence) for sequence in sequences)
        return sum(len(each.packet) for each in held if each is not None)

    def repair(self, sequence: int, now: float, round_trip: float | None) -> bytearray | None:
        """The retransmission of a packet (RFC 4588), or None.

        There is none when it is too old, was repeated less than a round trip ago, the peer takes no
        retransmissions, or these have used up their share of the rate.
        """
        held = self._history.get(sequence)
        rtx_ssrc = self.identity.rtx_ssrc
        if held is None or rtx_ssrc is None:
            return None
        rtx_type = self.identity.rtx_payload_types.get(held.format_)
        if rtx_type is None:
            return None
        if now - held.at > HISTORY_SECONDS or now - held.repaired_at < (round_trip or 0.0):
            return None
        if self._repair_rate.per_second(now) > _REPAIR_FLOOR + REPAIR_SHARE * self._original_rate.per_second(now):
            return None
        held.repaired_at = now
        packet = self._on_rtx(held.packet, rtx_type, rtx_ssrc)
        self.retransmitted += 1
        self._repair_rate.add(len(packet), now)
        return packet

    def padding(self, most: int) -> bytearray | None:
        """A packet for a probe that has nothing better to send; None when the peer takes no retransmissions.

        It repeats the newest packet that fits, as a retransmission nobody asked for: on the way it looks like any
        other, and it may replace one that was lost. When none fits, it is padding.

        Args:
            most: bytes that it may have.
        """
        rtx_ssrc = self.identity.rtx_ssrc
        for held in islice(reversed(self._history.values()), _LOOKED_AT):
            rtx_type = self.identity.rtx_payload_types.get(held.format_)
            if rtx_ssrc is not None and rtx_type is not None and most // 2 <= len(held.packet) <= most - 2:
                return self._on_rtx(held.packet, rtx_type, rtx_ssrc)
        rtx_type = next(iter(self.identity.rtx_payload_types.values()), None)
        if rtx_ssrc is None or rtx_type is None or self._anchor is None:
            return None
        size = max(1, min(MAX_PADDING, most - HEADER_LENGTH))
        return write_padding(rtx_type, self._next_rtx_sequence(), self._anchor[1], rtx_ssrc, size)

    def report(self, clock: ReportClock, now: float, blocks: list[RtcpReceiverInfo]) -> RtcpSrPacket | None:
        """A sender report with these report blocks, None before the first frame."""
        if self._anchor is None:
            return None
        captured_at, timestamp = self._anchor
        return RtcpSrPacket(
            ssrc=self.identity.ssrc,
            sender_info=RtcpSenderInfo(
                ntp_timestamp=clock.ntp(now),
                rtp_timestamp=(timestamp + round((now - captured_at) * self.clock_rate)) % (1 << 32),
                packet_count=self.packets % (1 << 32),
                octet_count=self._octets % (1 << 32),
            ),
            reports=blocks,
        )

    def _on_rtx(self, packet: bytearray, payload_type: int, ssrc: int) -> bytearray:
        return retransmission_of(
            packet, payload_type=payload_type, sequence_number=self._next_rtx_sequence(), ssrc=ssrc
        )

    def _next_rtx_sequence(self) -> int:
        sequence = self._rtx_sequence
        self._rtx_sequence = (sequence + 1) % (1 << 16)
        return sequence

    def _remember(self, sequence: int, packet: bytearray, format_: Format, now: float) -> None:
        self._history.pop(sequence, None)
        self._history[sequence] = _Sent(packet, format_, now)
        while len(self._history) > HISTORY_PACKETS:
            self._history.popitem(last=False)
        while now - next(iter(self._history.values())).at > HISTORY_SECONDS:
            self._history.popitem(last=False)
