"""The way out on the event loop."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from entrenous.media.allocation import Demand
from entrenous.media.codecs.base import VideoCodec
from entrenous.media.feedback import TransportFeedback
from entrenous.media.identities import AudioFormat, StreamIdentity
from entrenous.media.outgoing import OutgoingStream
from entrenous.media.outlet import Outlet
from entrenous.media.rtp import RtpPacket, read_rtp
from entrenous.media.streams import StreamKind
from lab.calls import until

AUDIO, VIDEO = StreamKind.AUDIO, StreamKind.VIDEO


class Way:
    def __init__(self) -> None:
        self.left: list[RtpPacket] = []
        self.rates: list[dict[StreamKind, int]] = []
        self.outlet = Outlet(self._send, lambda rates: self.rates.append(dict(rates)))
        self.sound = OutgoingStream(StreamIdentity(1, {AudioFormat.OPUS: 111}), 48_000, repairable=False)
        self.camera = OutgoingStream(StreamIdentity(2, {VideoCodec.VP8: 96}), 90_000, repairable=True)
        self.outlet.open(AUDIO, self.sound, Demand(40_000, 64_000))

    def _send(self, packet: bytes) -> bool:
        self.left.append(read_rtp(packet))
        return True

    def speak(self) -> bool:
        (packet,) = self.sound.frame([bytes(80)], 0, 0.0, marker=False, format_=AudioFormat.OPUS)
        return self.outlet.send_now(packet, AUDIO)

    def show(self, count: int) -> None:
        self.outlet.queue(VIDEO, self.camera.frame([bytes(1000)] * count, 0, 0.0, marker=True, format_=VideoCodec.VP8))


@contextmanager
def way_out() -> Iterator[Way]:
    way = Way()
    try:
        yield way
    finally:
        way.outlet.close()


async def test_sound_leaves_at_once_past_what_waits() -> None:
    with way_out() as way:
        way.outlet.open(VIDEO, way.camera, Demand(60_000, 1_000_000))
        way.show(20)
        waiting = way.outlet.backlog(VIDEO)
        assert way.speak()
        assert way.left[-1].ssrc == 1
        assert waiting > 0.0
        await until(lambda: len(way.left) == 21)
        assert way.outlet.backlog(VIDEO) == 0.0


async def test_feedback_and_a_new_path_reach_what_decides() -> None:
    with way_out() as way:
        way.speak()
        way.outlet.feedback(TransportFeedback(0, 0, 0, (1,)), time.monotonic())
        assert way.outlet.departures.controller.feedbacks == 1
        before = way.outlet.departures.controller.rate
        way.outlet.path_changed(time.monotonic())
        assert way.outlet.departures.controller.rate < before


async def test_rates_are_told_and_kept() -> None:
    with way_out() as way:
        way.outlet.open(VIDEO, way.camera, Demand(60_000, 1_000_000))
        assert way.rates[-1] == dict(way.outlet.rates)
        way.outlet.shut(VIDEO)
        assert way.outlet.rates.keys() == {AUDIO}


async def test_nothing_leaves_after_the_end() -> None:
    with way_out() as way:
        way.outlet.open(VIDEO, way.camera, Demand(60_000, 1_000_000))
        way.show(20)
        left = len(way.left)
        way.outlet.close()
        assert not way.speak()
        way.show(1)
        way.outlet.feedback(TransportFeedback(0, 0, 0, (1,)), time.monotonic())
        assert len(way.left) == left


async def test_the_overhead_of_the_path_counts() -> None:
    with way_out() as way:
        way.outlet.open(VIDEO, way.camera, Demand(60_000, 1_000_000))
        way.show(20)
        before = way.outlet.backlog(VIDEO)
        way.outlet.overhead += 100
        assert way.outlet.overhead == way.outlet.departures.overhead
        assert way.outlet.backlog(VIDEO) > before
