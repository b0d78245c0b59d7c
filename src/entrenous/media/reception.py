"""What a receiver report says about one incoming stream (RFC 3550 §6.4.1, A.3, A.8; pure, driven by `now`)."""

from __future__ import annotations

from aiortc.rtp import RtcpReceiverInfo, clamp_packets_lost

from .rtp import RepetitionWindow, RtpPacket, SequenceCounter


class Reception:
    """Counts the packets of one stream.

    Args:
        ssrc: of the stream.
        clock_rate: of its RTP timestamps, hertz.
    """

    def __init__(self, ssrc: int, clock_rate: int) -> None:
        self.ssrc = ssrc
        self.received = 0
        """Packets without repetitions."""
        self._clock_rate = clock_rate
        self._sequences = SequenceCounter()
        self._window = RepetitionWindow()
        self._first: int | None = None
        self._jitter = 0.0
        self._last_transit: float | None = None
        self._last_timestamp: int | None = None
        self._expected_before = 0
        self._received_before = 0
        self._report_received: tuple[int, float] | None = None

    def arrived(self, packet: RtpPacket, at: float) -> int | None:
        """Note one packet that came at monotonic time `at`; its endless sequence number, None for a repetition."""
        extended = self._sequences.extend(packet.sequence_number)
        if not self._window.is_new(extended):
            return None
        if self._first is None or extended < self._first:
            self._first = extended
        self.received += 1
        self._measure_jitter(packet.timestamp, at)
        return extended

    def repaired(self, sequence_number: int) -> int | None:
        """Note a packet that came by retransmission; its endless number, None when it is here already."""
        extended = self._sequences.extend(sequence_number)
        return extended if self._window.is_new(extended) else None

    def sender_reported(self, ntp: int, at: float) -> None:
        """Note a sender report: its 64-bit NTP time and its arrival, from which the peer measures the round trip."""
        self._report_received = ((ntp >> 16) & 0xFFFF_FFFF, at)

    @property
    def lost(self) -> int:
        """Packets that were expected and did not come by themselves; a retransmission does not undo it."""
        return max(0, self._expected - self.received)

    @property
    def loss(self) -> float:
        """The same as a share of what was expected, 0..1."""
        return self.lost / self._expected if self._expected else 0.0

    @property
    def jitter(self) -> float:
        """Interarrival jitter, seconds."""
        return self._jitter

    @property
    def _expected(self) -> int:
        if self._first is None or self._sequences.highest is None:
            return 0
        return self._sequences.highest - self._first + 1

    def report(self, now: float) -> RtcpReceiverInfo | None:
        """The report block of the time since the last one, None before the first packet."""
        if self._sequences.highest is None:
            return None
        expected = self._expected - self._expected_before
        lost = expected - (self.received - self._received_before)
        self._expected_before, self._received_before = self._expected, self.received
        lsr, delay = 0, 0
        if self._report_received is not None:
            lsr = self._report_received[0]
            delay = min(max(0, int((now - self._report_received[1]) * 65536)), 0xFFFF_FFFF)
        return RtcpReceiverInfo(
            ssrc=self.ssrc,
            fraction_lost=min(255, (lost << 8) // expected) if expected > 0 and lost > 0 else 0,
            packets_lost=clamp_packets_lost(self._expected - self.received),
            highest_sequence=self._sequences.highest & 0xFFFF_FFFF,
            jitter=min(int(self._jitter * self._clock_rate), 0xFFFF_FFFF),
            lsr=lsr,
            dlsr=delay,
        )

    def _measure_jitter(self, timestamp: int, at: float) -> None:
        # Packets of one picture share a timestamp and are paced: only the first of each says something (A.8).
        if timestamp == self._last_timestamp:
            return
        self._last_timestamp = timestamp
        transit = (int(at * self._clock_rate) - timestamp) % (1 << 32)
        if self._last_transit is not None:
            step = abs((transit - self._last_transit + (1 << 31)) % (1 << 32) - (1 << 31)) / self._clock_rate
            self._jitter += (step - self._jitter) / 16
        self._last_transit = transit
