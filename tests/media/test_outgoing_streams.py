"""What is sent is what there is a source, a key and a rate for, in codecs that the peer takes."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from entrenous.crypto.sframe import FrameSealer
from entrenous.errors import LocalProtocolError, RemoteProtocolError
from entrenous.media.codecs.base import VideoCodec
from entrenous.media.events import SourceEnded
from entrenous.media.feedback import FeedbackMaker
from entrenous.media.identities import LocalStreams, RemoteStreams, new_streams
from entrenous.media.outgoing_streams import OutgoingStreams
from entrenous.media.reports import ReportExchange
from entrenous.media.rtcp import key_frame_request, nack_request, read_rtcp
from entrenous.media.rtp import read_rtp
from entrenous.media.sources import CombinedSource, TestCardSource, ToneSource
from entrenous.media.streams import Source, StreamKind
from lab.calls import SETTINGS, EventLog, until

PEER = RemoteStreams(new_streams().by_kind)
BOTH = (StreamKind.AUDIO, StreamKind.VIDEO)


class Bench:
    def __init__(self, streams: LocalStreams | None = None, kinds: tuple[StreamKind, ...] = tuple(StreamKind)) -> None:
        self.streams = streams or new_streams()
        self.log = EventLog()
        self.sent: list[bytes] = []
        self.reports = ReportExchange([identity.ssrc for identity in self.streams.by_kind.values()])
        sealers = {kind: FrameSealer(0, bytes(32)) for kind in kinds}
        self.out = OutgoingStreams(self.streams, sealers, SETTINGS, self.reports, self._send, self.log)
        self.tasks: list[asyncio.Task[None]] = []

    def _send(self, packet: bytes) -> bool:
        self.sent.append(packet)
        return True

    async def start(self, source: Source | None, remote: RemoteStreams = PEER) -> None:
        await self.out.sources.use(source, BOTH)
        self.tasks = [asyncio.create_task(work) for work in self.out.start(remote)]

    def of(self, kind: StreamKind) -> int:
        return sum(read_rtp(packet).ssrc == self.streams.by_kind[kind].ssrc for packet in self.sent)

    async def close(self) -> None:
        self.out.stop()
        for task in self.tasks:
            task.cancel()
        if self.tasks:
            await asyncio.wait(self.tasks)
        await self.out.sources.close()
        await self.out.free()

    def take(self, packet: bytes) -> None:
        for part in read_rtcp(packet):
            self.out.take(part, time.monotonic())


def both() -> CombinedSource:
    return CombinedSource(audio=ToneSource(440), video=TestCardSource(128, 96, 15))


def test_without_keys_for_sound_nothing_is_sent() -> None:
    with pytest.raises(LocalProtocolError):
        Bench(kinds=(StreamKind.VIDEO,))


async def test_a_rate_is_shared_by_what_is_sent() -> None:
    bench = Bench()
    await bench.start(both())
    rates = bench.out.outlet.rates
    assert set(rates) == set(BOTH)
    await until(lambda: bench.of(StreamKind.AUDIO) > 3 and bench.of(StreamKind.VIDEO) > 1)
    bench.out.mute(StreamKind.VIDEO, True)
    assert set(bench.out.outlet.rates) == {StreamKind.AUDIO}
    bench.out.mute(StreamKind.VIDEO, False)
    bench.out.hold(True)
    assert set(bench.out.outlet.rates) == {StreamKind.AUDIO}
    assert bench.out.audio is not None
    assert bench.out.audio.muted
    bench.out.hold(False)
    assert not bench.out.audio.muted
    assert set(bench.out.outlet.rates) == set(BOTH)
    assert bench.of(StreamKind.SCREEN) == 0
    await bench.close()


async def test_what_is_counted_is_what_left() -> None:
    bench = Bench()
    await bench.start(ToneSource(440))
    await until(lambda: len(bench.sent) > 5)
    assert bench.out.audio is not None
    assert bench.out.audio.stream.packets == len(bench.sent)
    numbers = [read_rtp(packet).transport_sequence for packet in bench.sent]
    assert numbers == list(range(numbers[0] or 0, (numbers[0] or 0) + len(numbers)))
    await bench.close()


async def test_a_source_that_ends_gives_its_rate_back() -> None:
    class Short(TestCardSource):
        async def read_nothing(self) -> Any:
            return None

        @property
        def video(self) -> Any:
            return self

        read = read_nothing

    bench = Bench()
    await bench.start(Short(128, 96, 15))
    await bench.log.wait_for(SourceEnded)
    assert set(bench.out.outlet.rates) == {StreamKind.AUDIO}
    await bench.close()


async def test_without_a_key_for_pictures_there_are_none() -> None:
    bench = Bench(kinds=(StreamKind.AUDIO,))
    await bench.start(both())
    await until(lambda: bench.of(StreamKind.AUDIO) > 3)
    assert bench.out.senders == ()
    assert bench.of(StreamKind.VIDEO) == 0
    await bench.close()


async def test_a_peer_without_a_codec_of_ours_is_refused() -> None:
    bench = Bench(new_streams([VideoCodec.VP8]))
    with pytest.raises(RemoteProtocolError):
        bench.out.use(RemoteStreams(new_streams([VideoCodec.H264]).by_kind))
    await bench.close()


async def test_requests_and_feedback_of_the_peer_reach_the_stream_that_they_are_about() -> None:
    bench = Bench()
    await bench.start(both())
    await until(lambda: bench.of(StreamKind.VIDEO) > 1)
    video, screen = bench.out.senders
    ssrc = video.stream.identity.ssrc
    sequence = next(read_rtp(packet).sequence_number for packet in bench.sent if read_rtp(packet).ssrc == ssrc)
    bench.take(nack_request(9, ssrc, [sequence]))
    bench.take(key_frame_request(9, ssrc))
    assert (video.nacks_received, screen.nacks_received) == (1, 0)
    assert video._key_frame_due is not None
    feedback = FeedbackMaker(9, ssrc)
    for number in range(20):
        feedback.arrived(number, 100, time.monotonic() + number / 100)
    for packet in feedback.poll(time.monotonic() + 1.0):
        bench.take(packet)
    assert bench.out.outlet.departures.controller.feedbacks == 1
    await bench.close()


async def test_the_overhead_of_the_path_is_reckoned_with() -> None:
    bench = Bench()
    try:
        await bench.start(None)
        before = bench.out.adaptation.demand
        bench.out.path_has(84)
        assert bench.out.outlet.overhead == 84
        assert bench.out.adaptation.demand.minimum > before.minimum
        assert bench.out.outlet.rates[StreamKind.AUDIO] == bench.out.adaptation.demand.maximum
    finally:
        await bench.close()
