"""What leaves a session as RTP, in what order and when: numbering, pacing, probes, rates (pure, driven by `now`).

::

    sound ─────────────────────────────┐
    pictures, repairs ─► Pacer ────────┼─► number ─► send ─► history
    padding, while a probe needs it ───┘                        │
    feedback ─► CongestionController ─► Allocator ─► rates ◄────┘
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from .allocation import Allocator, Demand
from .congestion.controller import CongestionController
from .congestion.probing import Probe
from .feedback import TransportFeedback
from .outgoing import OutgoingStream
from .pacer import BURST, Pacer
from .rtp import number_packet
from .stats import RateMeter
from .streams import StreamKind

OVERHEAD = 44
"""Bytes that each packet has on the wire beyond RTP until the path says otherwise: IPv4 20, UDP 8, SRTP's tag 16."""

PACING = 2.5
"""Times the rate of the pictures at which packets leave: a frame takes its time, but not that of the next one."""

LEAST_PACING = 1.1
"""Times that rate at which they leave where more would only wait further on, in front of a link known to be narrow."""

LEAST_PACE = 100_000.0
"""Bits a second at which packets leave at least: what was queued before a picture was paused has to end."""

REPAIRS_AT_MOST = 0.5
"""Share of the rate of a stream that is kept back for its repairs at most."""

NOTABLE = 0.03
"""Share by which a rate has to change before it is told again: encoders are not to be set anew all the time."""

_PADDING_SECONDS = 0.004
_PADDING_SIZES = (120, 1200)
"""How long one packet of padding takes at the rate of its probe, and the bytes that it has at least and at most."""


class Departures:
    """Everything that leaves.

    Args:
        now: monotonic seconds.
        send: takes a numbered packet; whether it has left.
        on_rates: told the rate of each stream when it has changed notably; bits a second on the wire.
    """

    def __init__(
        self, now: float, send: Callable[[bytes], bool], on_rates: Callable[[Mapping[StreamKind, int]], None]
    ) -> None:
        self.controller = CongestionController(now)
        self.rates: dict[StreamKind, int] = {}
        """Bits a second on the wire, by stream; those without a demand have none."""
        self.padded = 0
        """Packets of padding that have left."""
        self._send = send
        self._on_rates = on_rates
        self._allocator = Allocator()
        self._overhead = OVERHEAD
        self._pacer = Pacer(LEAST_PACE, OVERHEAD)
        self._streams: dict[StreamKind, OutgoingStream] = {}
        self._pictures: list[StreamKind] = []
        self._demands: dict[StreamKind, Demand] = {}
        self._most = 0.0
        """What all streams can use together, bits a second on the wire."""
        self._told: dict[StreamKind, int] = {}
        self._repairs: dict[StreamKind, RateMeter] = {}
        self._now = now
        self._probe: Probe | None = None
        self._probe_packets = 0
        self._probe_size = 0
        self._pumped_at = float("-inf")

    # Streams

    def open(self, kind: StreamKind, stream: OutgoingStream, demand: Demand) -> None:
        """Let the packets of a stream leave from now on; when it is open already, only its demand is taken."""
        self._streams[kind] = stream
        self._demands[kind] = demand
        self._take_stock()
        self._divide()

    def shut(self, kind: StreamKind) -> None:
        """Give the rate of a stream to the others and forget what waits of it."""
        self._streams.pop(kind, None)
        self._demands.pop(kind, None)
        self._pacer.drop(kind)
        self._take_stock()
        self._divide()

    def _take_stock(self) -> None:
        self._pictures = [kind for kind in self._streams if kind is not StreamKind.AUDIO]
        self._most = float(sum(demand.maximum for demand in self._demands.values()))

    # Out

    def leave_now(self, kind: StreamKind, packet: bytearray, now: float) -> bool:
        """Send a packet past everything that waits; whether it has left."""
        sent = self._leave(kind, packet, now, None)
        self._begin_probe(now)
        return sent

    def queue(self, kind: StreamKind, packets: Iterable[bytearray], *, repair: bool = False) -> None:
        """Let packets leave when it is their turn, with the next `pump`."""
        for packet in packets:
            self._pacer.push(kind, packet, repair=repair)

    def pump(self, now: float) -> None:
        """Send what may leave at monotonic time `now`."""
        self._pumped_at = now
        self._begin_probe(now)
        while self._pacer.may_leave(now):
            # A small probe of large packets would take several times its time, all of which would be queue.
            small = self._probe is not None and self._probe.size < self._probe.packets * _PADDING_SIZES[1]
            turn = None if small else self._pacer.pop()
            if turn is None and self._probe is not None:
                turn = self._padding(self._probe)
            if turn is None:
                return
            kind, packet = turn
            probe = self._probe
            self._leave(kind, packet, now, probe.number if probe is not None else None)
            size = len(packet) + self._overhead
            self._pacer.spend(size)
            if probe is not None:
                self._probe_packets += 1
                self._probe_size += size
                if self._probe_packets >= probe.packets and self._probe_size >= probe.size:
                    self._end_probe()

    def next_at(self) -> float | None:
        """When `pump` is to be called again, None when nothing waits.

        Between two bursts of pictures lies the time that a burst stands for: each of them costs a turn of the event
        loop here and one at the peer. The packets of a probe are measured one by one and do not wait for each other.
        """
        if self._probe is not None:
            return self._pacer.free_at
        return None if self._pacer.empty else max(self._pacer.free_at, self._pumped_at + BURST)

    def backlog(self, kind: StreamKind) -> float:
        """Seconds that it takes, at the rate of the stream, to send what waits of it."""
        waiting = self._pacer.waiting(kind)
        return waiting * 8 / max(LEAST_PACE, float(self.rates.get(kind, 0))) if waiting else 0.0

    def drop(self, kind: StreamKind) -> None:
        """Forget what waits of a stream, which goes on."""
        self._pacer.drop(kind)
        if kind in self.rates:
            self._pacer.share({kind: max(1.0, float(self.rates[kind]))})

    def _leave(self, kind: StreamKind, packet: bytearray, now: float, probe: int | None) -> bool:
        self._now = now
        number_packet(packet, self.controller.history.next_number)
        if not self._send(bytes(packet)):
            return False
        self.controller.sent(len(packet) + self._overhead, now, probe)
        stream = self._streams.get(kind)
        if stream is not None:
            is_original = stream.sent(packet, now)
            if probe is None and not is_original:
                self._repairs.setdefault(kind, RateMeter()).add(len(packet) + self._overhead, now)
        return True

    # Probes

    def _begin_probe(self, now: float) -> None:
        if self._probe is not None or not self._pictures:
            return
        if not any(self._streams[kind].packets for kind in self._pictures):
            return  # before the first picture there is nothing to pad a probe with
        self._probe = self.controller.probe(self._most, now)
        if self._probe is not None:
            self._probe_packets = self._probe_size = 0
            self._pacer.rate = self._probe.rate

    def _padding(self, probe: Probe) -> tuple[StreamKind, bytearray] | None:
        least, most = _PADDING_SIZES
        size = max(least, min(most, round(probe.rate * _PADDING_SECONDS / 8) - self._overhead))
        for kind in self._pictures:
            packet = self._streams[kind].padding(size)
            if packet is not None:
                self.padded += 1
                return kind, packet
        self._end_probe()
        return None

    def _end_probe(self) -> None:
        self._probe = None
        self._pace()

    # Rates

    def feedback(self, feedback: TransportFeedback, now: float) -> None:
        """Take one feedback of the peer that arrived at monotonic time `now`."""
        self._now = now
        self.controller.feedback(feedback, now)
        self._divide()
        self._begin_probe(now)

    @property
    def overhead(self) -> int:
        """Bytes that each packet has on the wire beyond RTP."""
        return self._overhead

    @overhead.setter
    def overhead(self, overhead: int) -> None:
        self._overhead = self._pacer.overhead = overhead

    def path_changed(self, now: float) -> None:
        """Begin carefully on another path."""
        self._probe = None
        self.controller.path_changed(now)
        self._divide()

    def _pace(self) -> None:
        pictures = sum(self.rates.get(kind, 0) for kind in self._pictures)
        pace = PACING * pictures
        bottleneck = self.controller.bottleneck
        if bottleneck is not None:
            pace = min(pace, max(LEAST_PACING * pictures, bottleneck - self.rates.get(StreamKind.AUDIO, 0)))
        self._pacer.rate = max(LEAST_PACE, pace)

    def _divide(self) -> None:
        self.rates = self._allocator.divide(self.controller.rate, self._demands)
        for kind, repairs in self._repairs.items():
            # What repairs take is not there for what is new: both together would be too much for a narrow path.
            rate = self.rates.get(kind, 0)
            if rate:
                self.rates[kind] = rate - round(min(REPAIRS_AT_MOST * rate, 8.0 * repairs.per_second(self._now)))
        self._pacer.share({kind: max(1.0, float(self.rates[kind])) for kind in self._pictures})
        if self._probe is None:
            self._pace()
        if self.rates.keys() != self._told.keys() or any(
            abs(rate - self._told[kind]) > NOTABLE * self._told[kind] for kind, rate in self.rates.items()
        ):
            self._told = dict(self.rates)
            self._on_rates(self._told)
