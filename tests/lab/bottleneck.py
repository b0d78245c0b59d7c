"""Calls over a simulated path: a link with a rate and a queue, loss, jitter, cross traffic; simulated time, seeded.

Only the half of a call that sends is here, with the receiver that reports on it: `Departures` and `FeedbackMaker` are
the real ones, sources are streams of packets of the rate that they are given.
"""

from __future__ import annotations

import heapq
import random
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count

from entrenous.media.allocation import Demand
from entrenous.media.codecs.base import VideoCodec
from entrenous.media.departures import OVERHEAD, Departures
from entrenous.media.feedback import FeedbackMaker, read_feedback
from entrenous.media.identities import AudioFormat, StreamIdentity
from entrenous.media.outgoing import OutgoingStream
from entrenous.media.rtp import read_rtp
from entrenous.media.streams import StreamKind
from entrenous.media.video_sender import MAX_BACKLOG

AUDIO, VIDEO, SCREEN = StreamKind.AUDIO, StreamKind.VIDEO, StreamKind.SCREEN

SOUND = Demand(40_000, 64_000)
CAMERA = Demand(60_000, 3_000_000)
SHARED = Demand(60_000, 3_000_000)

Deliver = Callable[[float], None]


class World:
    """Simulated time."""

    def __init__(self, seed: int = 1) -> None:
        self.now = 0.0
        self.random = random.Random(seed)
        self._order = count()
        self._events: list[tuple[float, int, Callable[[], None]]] = []

    def at(self, time: float, act: Callable[[], None]) -> None:
        """Let something happen at a time."""
        heapq.heappush(self._events, (max(time, self.now), next(self._order), act))

    def run(self, until: float) -> None:
        """Let time pass."""
        while self._events and self._events[0][0] <= until:
            self.now, _, act = heapq.heappop(self._events)
            act()
        self.now = until


class Link:
    """One way of a path.

    Args:
        world: its time.
        rate: bits a second; may be changed at any time.
        delay: seconds of propagation.
        queue: seconds of rate that may wait; what comes on top is dropped.
        loss: share of packets lost at random.
        jitter: seconds that packets are delayed at most besides, at random.
        in_order: whether packets that jitter delays hold up those behind them, instead of being overtaken.
    """

    def __init__(
        self,
        world: World,
        rate: float,
        *,
        delay: float = 0.025,
        queue: float = 0.5,
        loss: float = 0.0,
        jitter: float = 0.0,
        in_order: bool = False,
    ) -> None:
        self.rate = rate
        self.loss = loss
        self.jitter = jitter
        self.delay = delay
        self.dropped = 0
        self._world = world
        self._queue_seconds = queue
        self._in_order = in_order
        self._last_arrival = 0.0
        self._waiting: deque[tuple[int, Deliver]] = deque()
        self._octets = 0
        self._busy = False

    @property
    def queue_delay(self) -> float:
        """Seconds that a packet would wait now."""
        return self._octets * 8 / self.rate

    def offer(self, size: int, deliver: Deliver) -> None:
        """Take a packet; `deliver` is told its arrival, if it arrives."""
        if (self._octets + size) * 8 / self.rate > self._queue_seconds + 0.010:
            self.dropped += 1
            return
        self._waiting.append((size, deliver))
        self._octets += size
        if not self._busy:
            self._serve()

    def _serve(self) -> None:
        self._busy = bool(self._waiting)
        if self._busy:
            size, deliver = self._waiting[0]
            self._world.at(self._world.now + size * 8 / self.rate, lambda: self._served(size, deliver))

    def _served(self, size: int, deliver: Deliver) -> None:
        self._waiting.popleft()
        self._octets -= size
        world = self._world
        if world.random.random() >= self.loss:
            arrival = world.now + self.delay + world.random.random() * self.jitter
            if self._in_order:
                arrival = self._last_arrival = max(arrival, self._last_arrival)
            world.at(arrival, lambda: deliver(arrival))
        self._serve()


@dataclass
class Trace:
    """What was seen of one call."""

    sent: list[tuple[float, int, StreamKind]] = field(default_factory=list)
    arrived: list[tuple[float, float, int, StreamKind]] = field(default_factory=list)
    """Arrival, departure, bytes on the wire, stream."""
    estimates: list[tuple[float, float]] = field(default_factory=list)

    def sending(self, begin: float, end: float, kinds: tuple[StreamKind, ...] = (AUDIO, VIDEO, SCREEN)) -> float:
        """Bits a second that were sent."""
        return sum(size for at, size, kind in self.sent if begin <= at < end and kind in kinds) * 8 / (end - begin)

    def arriving(self, begin: float, end: float, kinds: tuple[StreamKind, ...] = (AUDIO, VIDEO, SCREEN)) -> float:
        """Bits a second that arrived."""
        octets = sum(size for at, _, size, kind in self.arrived if begin <= at < end and kind in kinds)
        return octets * 8 / (end - begin)

    def delays(self, begin: float, end: float, kind: StreamKind = AUDIO) -> list[float]:
        """Seconds that packets were under way which left in that time, in rising order."""
        return sorted(at - left for at, left, _, which in self.arrived if begin <= left < end and which is kind)


class SimulatedCall:
    """The sending half of a call and the receiver that reports on it.

    Args:
        world: its time.
        link: on which it sends.
        camera, screen: what these demand; None: not sent.
        back: seconds that feedback takes.
        back_loss: share of feedback that is lost.
        clock: seconds by which the receiver's clock is ahead.
        drift: by how much it runs fast, as a share.
        most: bits a second that its camera yields, whatever it may.
        frames_per_second: of camera and screen.
        key_frame: times its share of the rate that a picture takes which stands alone: the first one, and each first
            one of a rate twice as high as at the last of them, where an encoder goes on to larger pictures.
    """

    def __init__(
        self,
        world: World,
        link: Link,
        *,
        camera: Demand | None = CAMERA,
        screen: Demand | None = None,
        back: float = 0.025,
        back_loss: float = 0.0,
        clock: float = 1000.0,
        drift: float = 0.0,
        most: Mapping[StreamKind, float] | None = None,
        frames_per_second: float = 30.0,
        key_frame: float = 1.0,
    ) -> None:
        self.trace = Trace()
        self.link = link
        self.most = dict(most or {})
        self.back = back
        self.back_loss = back_loss
        self.rates: Mapping[StreamKind, int] = {}
        self._world = world
        self._clock = clock
        self._drift = drift
        self._interval = 1.0 / frames_per_second
        self._key_frame = key_frame
        self._key_frame_rates: dict[StreamKind, float] = {}
        self._maker = FeedbackMaker(1, 2)
        self._pump_at: float | None = None
        self._leaving: StreamKind = AUDIO
        self.departures = Departures(world.now, self._send, self._rated)
        self._streams = {
            AUDIO: OutgoingStream(StreamIdentity(1, {AudioFormat.OPUS: 111}), 48_000, repairable=False),
            VIDEO: OutgoingStream(_pictures(2), 90_000, repairable=True),
            SCREEN: OutgoingStream(_pictures(4), 90_000, repairable=True),
        }
        self._kinds = {
            ssrc: kind
            for kind, stream in self._streams.items()
            for ssrc in (stream.identity.ssrc, stream.identity.rtx_ssrc)
        }
        self.departures.open(AUDIO, self._streams[AUDIO], SOUND)
        self._speak()
        for kind, demand in ((VIDEO, camera), (SCREEN, screen)):
            if demand is not None:
                self.show(kind, demand)
        self._receive_on_time()

    def show(self, kind: StreamKind, demand: Demand) -> None:
        """Begin to send pictures."""
        self.departures.open(kind, self._streams[kind], demand)
        self._draw(kind)

    def _rated(self, rates: Mapping[StreamKind, int]) -> None:
        self.rates = dict(rates)

    # Sending

    def _speak(self) -> None:
        (packet,) = self._streams[AUDIO].frame([bytes(90)], 0, self._world.now, marker=False, format_=AudioFormat.OPUS)
        self.departures.leave_now(AUDIO, packet, self._world.now)
        self._schedule()
        self._world.at(self._world.now + 0.020, self._speak)

    def _draw(self, kind: StreamKind) -> None:
        now, random_ = self._world.now, self._world.random
        self._world.at(now + self._interval, lambda: self._draw(kind))
        rate = min(self.rates.get(kind, 0), self.most.get(kind, float("inf")))
        if rate > 0 and self.departures.backlog(kind) <= MAX_BACKLOG:
            left = int(rate * self._interval / 8 * random_.uniform(0.7, 1.3))
            if rate >= 2.0 * self._key_frame_rates.get(kind, 0.0):
                self._key_frame_rates[kind] = rate
                left = int(self._key_frame * left)
            pieces = max(1, -(-left // 1200))
            payload = bytes(max(50, left // pieces - OVERHEAD - 20))
            frame = self._streams[kind].frame([payload] * pieces, 0, now, marker=True, format_=VideoCodec.VP8)
            self.departures.queue(kind, frame)
            self._pump()

    def _pump(self) -> None:
        self._pump_at = None
        self.departures.pump(self._world.now)
        self._schedule()

    def _schedule(self) -> None:
        next_at = self.departures.next_at()
        if next_at is not None and self._pump_at is None:
            self._pump_at = max(self._world.now + 0.001, next_at)
            self._world.at(self._pump_at, self._pump)

    def _send(self, packet: bytes) -> bool:
        read = read_rtp(packet)
        number, size, left, kind = read.transport_sequence, len(packet) + OVERHEAD, self._world.now, None
        kind = self._kinds[read.ssrc]
        assert number is not None
        self.trace.sent.append((left, size, kind))

        def deliver(at: float) -> None:
            self.trace.arrived.append((at, left, size, kind))
            self._maker.arrived(number, size, self._theirs(at))
            self._report(at)

        self.link.offer(size, deliver)
        return True

    # Receiving

    def _theirs(self, at: float) -> float:
        return self._clock + at * (1.0 + self._drift)

    def _receive_on_time(self) -> None:
        self._report(self._world.now)
        self._world.at(self._world.now + 0.050, self._receive_on_time)

    def _report(self, at: float) -> None:
        for packet in self._maker.poll(self._theirs(at)):
            if self._world.random.random() >= self.back_loss:
                self._world.at(self._world.now + self.back, lambda packet=packet: self._reported(packet))

    def _reported(self, packet: bytes) -> None:
        self.departures.feedback(read_feedback(packet), self._world.now)
        self.trace.estimates.append((self._world.now, self.departures.controller.rate))
        self._schedule()


class LossBasedFlow:
    """A bulk transfer that fills queues as TCP does: a window that grows by one packet a round trip and halves at loss.

    Args:
        world: its time.
        link: on which it sends.
    """

    KEPT = 0.5
    """Share of the window that is left after a loss."""

    def __init__(self, world: World, link: Link) -> None:
        self.arrived = 0
        """Bytes."""
        self._world = world
        self._link = link
        self._window = 10.0
        self._threshold = float("inf")
        self._reduced_at = -1.0
        self._in_flight = 0
        self._fill()

    def _fill(self) -> None:
        while self._in_flight < int(self._window):
            self._in_flight += 1
            dropped = self._link.dropped
            left = self._world.now
            self._link.offer(1500, lambda at, left=left: self._acknowledge(at, left))
            if self._link.dropped > dropped:
                self._world.at(self._world.now + 2 * self._link.delay + self._link.queue_delay, self._lost)

    def _acknowledge(self, at: float, left: float) -> None:
        self.arrived += 1500

        def returned() -> None:
            self._in_flight -= 1
            self._window += 1.0 if self._window < self._threshold else self._growth()
            self._fill()

        self._world.at(at + self._link.delay, returned)

    def _growth(self) -> float:
        """Packets by which the window grows with one that was acknowledged."""
        return 1.0 / self._window

    def _lost(self) -> None:
        self._in_flight -= 1
        if self._world.now - self._reduced_at > 0.2:
            self._reduced_at = self._world.now
            self._threshold = self._window = max(2.0, self._window * self.KEPT)
        self._fill()


class CubicFlow(LossBasedFlow):
    """One that grows by time and not by round trips, and gives way less, as most systems have it (RFC 9438)."""

    KEPT = 0.7

    def _growth(self) -> float:
        most = self._threshold / self.KEPT
        climb = (most * (1.0 - self.KEPT) / 0.4) ** (1 / 3)
        target = 0.4 * (self._world.now - self._reduced_at - climb) ** 3 + most
        reno = 3 * (1 - self.KEPT) / (1 + self.KEPT) / self._window
        return max(reno, min(1.5 * self._window, target) / self._window - 1.0)


def _pictures(ssrc: int) -> StreamIdentity:
    return StreamIdentity(ssrc, {VideoCodec.VP8: 96}, ssrc + 1, {VideoCodec.VP8: 97})
