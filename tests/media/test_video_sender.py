"""What leaves as pictures: the newest one, repaired on request, and nothing without a key."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import av
import pytest

from entrenous.crypto.sframe import FrameOpener, FrameSealer
from entrenous.errors import CodecError
from entrenous.media.codecs.base import Content, EncodedPicture, VideoCodec
from entrenous.media.events import SourceFailed
from entrenous.media.identities import StreamIdentity
from entrenous.media.payload import read_piece
from entrenous.media.picture_ladder import PictureSize
from entrenous.media.rtp import RtpPacket, read_rtp
from entrenous.media.streams import Picture, StreamKind
from entrenous.media.video_sender import (
    KEY_FRAME_INTERVAL,
    LARGEST,
    LEAST_BITRATE,
    MAX_BACKLOG,
    MOST_REPAIR_SECONDS,
    VideoSender,
    payload_rate,
)
from lab.calls import EventLog, until

KEY = bytes(range(32))
SCREEN = StreamIdentity(2, {VideoCodec.VP8: 96}, 3, {VideoCodec.VP8: 97})


class Way:
    """Stands for the outlet: takes packets, and is as far behind as it is told to be."""

    def __init__(self) -> None:
        self.packets: list[RtpPacket] = []
        self.repairs: list[RtpPacket] = []
        self.behind = 0.0
        self.overhead = 44
        self.dropped = 0

    def queue(self, kind: StreamKind, packets: Iterable[bytearray], *, repair: bool = False) -> None:
        assert kind is StreamKind.SCREEN
        (self.repairs if repair else self.packets).extend(read_rtp(bytes(packet)) for packet in packets)

    def backlog(self, kind: StreamKind) -> float:
        return self.behind

    def drop(self, kind: StreamKind) -> None:
        assert kind is StreamKind.SCREEN
        self.dropped += 1
        self.behind = 0.0


class Pictures:
    """Yields pictures when told to."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[Picture] = asyncio.Queue()
        self.captured_at = time.monotonic()

    def put(self, width: int = 64, height: int = 48) -> None:
        self.captured_at += 1.0
        self.queue.put_nowait(Picture(av.VideoFrame(width, height, "yuv420p"), self.captured_at))

    async def read(self) -> Picture:
        return await self.queue.get()


class CountingEncoder:
    """Stands for a codec: each frame is its size, so many bytes long as asked for."""

    def __init__(self, codec: VideoCodec, width: int, height: int, length: int, rate: tuple[int, float]) -> None:
        self.codec = codec
        self.size = f"{width}x{height}".encode()
        self.length = length
        self.rates = [rate]
        self.key_frames: list[bool] = []
        self.closed = False
        self.blocked = threading.Event()
        self.blocked.set()

    def encode(self, picture: av.VideoFrame, *, key_frame: bool = False) -> EncodedPicture:
        assert self.blocked.wait(60)
        if picture.width == 13:
            raise CodecError("This size brings misfortune.")
        first = not self.key_frames
        self.key_frames.append(key_frame or first)
        return EncodedPicture(self.size.ljust(self.length), key_frame or first)

    def set_rate(self, bitrate: int, fps: float) -> None:
        self.rates.append((bitrate, fps))

    def close(self) -> None:
        self.closed = True


class VideoBench:
    def __init__(self, length: int = 100, most: PictureSize = LARGEST) -> None:
        self.way, self.log, self.pictures = Way(), EventLog(), Pictures()
        self.encoders: list[CountingEncoder] = []
        self.sealer = FrameSealer(0, KEY)
        self.loss: float = 0.0
        self.round_trip: float | None = None
        self.length = length
        self.sender = VideoSender(
            StreamKind.SCREEN,
            SCREEN,
            self.sealer,
            [VideoCodec.VP8],
            self._make,
            self.pictures,
            self.way,
            lambda: (self.loss, self.round_trip),
            self.log,
            most,
        )
        self.sender.set_rate(1_000_000)
        self.task = asyncio.create_task(self.sender.run())

    def _make(
        self, codec: VideoCodec, width: int, height: int, *, bitrate: int, fps: float, content: Content
    ) -> CountingEncoder:
        assert content is Content.SCREEN
        self.encoders.append(CountingEncoder(codec, width, height, self.length, (bitrate, fps)))
        return self.encoders[-1]

    async def send(self, width: int = 64, height: int = 48) -> None:
        """One picture, all the way to the encoder."""
        before = self.sender.frames + self.sender.skipped
        self.pictures.put(width, height)
        await until(lambda: self.sender.frames + self.sender.skipped > before)


@asynccontextmanager
async def video_bench(length: int = 100, most: PictureSize = LARGEST) -> AsyncIterator[VideoBench]:
    bench = VideoBench(length, most)
    try:
        yield bench
    finally:
        bench.task.cancel()
        await asyncio.wait({bench.task})
        await bench.sender.close()
    assert all(encoder.closed for encoder in bench.encoders)


async def test_a_picture_becomes_the_packets_of_one_sealed_frame() -> None:
    async with video_bench(length=3000) as bench:
        await bench.send()
        packets = bench.way.packets
        assert [packet.marker for packet in packets] == [0, 0, 1]
        assert {(packet.ssrc, packet.payload_type) for packet in packets} == {(2, 96)}
        assert len({packet.timestamp for packet in packets}) == 1
        sealed = b"".join(read_piece(packet.payload).data for packet in packets)
        assert FrameOpener(0, KEY).open(sealed, now=0.0) == b"64x48".ljust(3000)
        await bench.send()
        ids = [read_piece(packet.payload).picture_id for packet in bench.way.packets]
        assert (len(ids), len(set(ids))) == (6, 2)


async def test_a_key_frame_comes_when_asked_for_at_most_once_a_second() -> None:
    async with video_bench() as bench:
        await bench.send()
        bench.sender.request_key_frame(time.monotonic())  # the first frame was one: this is for later
        await bench.send()
        assert bench.encoders[0].key_frames == [True, False]
        assert bench.sender._key_frame_due is not None
        assert bench.sender._key_frame_due - bench.sender._key_frame_at == pytest.approx(KEY_FRAME_INTERVAL)
        bench.sender._key_frame_due -= KEY_FRAME_INTERVAL
        await bench.send()
        await bench.send()
        assert bench.encoders[0].key_frames == [True, False, True, False]
        assert bench.sender.key_frames == 2


async def test_pausing_stops_pictures_and_going_on_begins_with_a_key_frame() -> None:
    async with video_bench() as bench:
        await bench.send()
        bench.sender.pause(True)
        await bench.send()
        assert (bench.sender.frames, bench.sender.skipped) == (1, 1)
        bench.sender.pause(False)
        await bench.send()
        bench.sender.pause(False)
        await bench.send()
        assert bench.encoders[0].key_frames == [True, True, False]


async def test_a_rate_is_taken_in_place_and_none_means_no_pictures() -> None:
    async with video_bench() as bench:
        await bench.send()
        bench.sender.set_rate(300_000)
        await bench.send()
        await bench.send()
        (encoder,) = bench.encoders
        assert len(encoder.rates) == 2
        assert encoder.rates[0][0] > 800_000
        assert 200_000 < encoder.rates[1][0] < 300_000
        assert encoder.key_frames == [True, False, False]
        bench.sender.set_rate(0)
        await bench.send()
        assert (bench.sender.frames, bench.sender.skipped) == (3, 1)
        bench.sender.set_rate(300_000)
        await bench.send()
        assert encoder.key_frames == [True, False, False, False]


async def test_another_size_or_codec_takes_another_encoder() -> None:
    async with video_bench() as bench:
        await bench.send(64, 48)
        await bench.send(96, 64)
        bench.sender.stream.use(StreamIdentity(2, {VideoCodec.VP9: 99}))
        bench.sender.accept([VideoCodec.VP9])
        await bench.send(96, 64)
        assert [(encoder.codec, encoder.size) for encoder in bench.encoders] == [
            (VideoCodec.VP8, b"64x48"),
            (VideoCodec.VP8, b"96x64"),
            (VideoCodec.VP9, b"96x64"),
        ]
        assert [encoder.closed for encoder in bench.encoders] == [True, True, False]
        assert [packet.payload_type for packet in bench.way.packets] == [96, 96, 99]
        assert bench.sender.key_frames == 3


async def test_of_waiting_pictures_the_newest_wins() -> None:
    async with video_bench() as bench:
        await bench.send()
        bench.encoders[0].blocked.clear()
        bench.pictures.put()
        await until(lambda: bench.pictures.queue.empty() and bench.sender._newest is None)
        for _ in range(3):
            bench.pictures.put()
        await until(bench.pictures.queue.empty)
        bench.encoders[0].blocked.set()
        await until(lambda: bench.sender.frames == 3)
        assert bench.sender.skipped == 2
        newest = bench.sender.stream.timestamp_of(bench.pictures.captured_at)
        assert bench.way.packets[-1].timestamp == newest


async def test_pictures_are_skipped_while_the_path_is_behind() -> None:
    async with video_bench() as bench:
        bench.way.behind = 2 * MAX_BACKLOG
        await bench.send()
        bench.way.behind = 0.0
        await bench.send()
        assert (bench.sender.frames, bench.sender.skipped) == (1, 1)


@pytest.mark.parametrize(("behind", "rate", "dropped"), [(2.0, 100_000, 1), (0.5, 900_000, 0), (0.1, 100_000, 0)])
async def test_what_waits_when_the_rate_collapses_is_forgotten_for_a_key_frame(
    behind: float, rate: int, dropped: int
) -> None:
    async with video_bench() as bench:
        await bench.send()
        bench.way.behind = behind * MAX_BACKLOG
        bench.sender.set_rate(rate)
        assert bench.way.dropped == dropped
        await bench.send()
        assert bench.encoders[0].key_frames == [True, bool(dropped)]


async def test_missed_packets_are_sent_again_on_the_repair_stream() -> None:
    async with video_bench() as bench:
        await bench.send()
        lost = bench.way.packets[0]
        bench.sender.repair(
            [lost.sequence_number, (lost.sequence_number + 500) % 65536], bench.pictures.captured_at, None
        )
        (repair,) = bench.way.repairs
        assert (repair.ssrc, repair.payload_type) == (3, 97)
        assert repair.payload == lost.sequence_number.to_bytes(2, "big") + lost.payload
        assert (bench.sender.nacks_received, bench.sender.stream.retransmitted) == (2, 1)


async def test_over_a_long_and_lossy_path_a_repair_is_sent_twice() -> None:
    async with video_bench(length=3000) as bench:
        await bench.send()
        bench.loss = 0.1
        lost = bench.way.packets[0].sequence_number
        now = bench.pictures.captured_at
        bench.sender.repair([lost], now, 0.2)
        bench.sender.repair([lost], now + 0.1, 0.2)
        first, second = bench.way.repairs
        assert first.payload == second.payload
        assert first.sequence_number != second.sequence_number
        bench.sender.repair([lost], now + 0.3, 0.05)
        assert len(bench.way.repairs) == 3


async def test_what_takes_too_long_to_repair_is_given_up_for_a_key_frame() -> None:
    async with video_bench(length=9000) as bench:
        await bench.send()
        await bench.send()
        now = bench.pictures.captured_at
        lost = [packet.sequence_number for packet in bench.way.packets[-8:]]
        bench.sender.set_rate(150_000)
        bench.sender.repair(lost, now, None)
        assert (bench.way.repairs, bench.sender._key_frame_due is not None) == ([], True)
        bench.sender.repair(lost[:2], now, None)
        assert len(bench.way.repairs) == 2
        bench.sender.set_rate(1_000_000)
        bench.sender.repair(lost, now, None)
        assert len(bench.way.repairs) == 2 + len(lost)


async def test_where_repairs_take_too_long_those_before_the_last_key_frame_are_left_out() -> None:
    async with video_bench(length=9000) as bench:
        await bench.send(64, 48)
        await bench.send(96, 64)
        assert bench.sender.key_frames == 2
        before, newer = bench.way.packets[:8], bench.way.packets[8:]
        bench.sender.set_rate(150_000)
        bench.sender.repair(
            [packet.sequence_number for packet in (*before, *newer[:3])], bench.pictures.captured_at, None
        )
        assert [repair.payload[2:] for repair in bench.way.repairs] == [packet.payload for packet in newer[:3]]
        assert bench.sender._key_frame_due is None
        bench.way.behind = 2 * MOST_REPAIR_SECONDS  # what waits counts as well
        bench.sender.repair([before[0].sequence_number, newer[3].sequence_number], bench.pictures.captured_at, None)
        assert len(bench.way.repairs) == 4


async def test_small_frames_are_sent_twice_over_a_long_and_lossy_path() -> None:
    async with video_bench() as bench:
        bench.loss, bench.round_trip = 0.1, 0.2
        bench.pictures.captured_at -= 1.0
        await bench.send()
        first, second = bench.way.packets
        assert (first.ssrc, second.ssrc, bench.sender.stream.retransmitted) == (2, 3, 1)
        assert second.payload[2:] == first.payload


async def test_a_picture_that_cannot_be_sealed_is_not_sent_and_not_built_upon() -> None:
    async with video_bench() as bench:
        await bench.send()
        bench.sealer.forget()
        bench.pictures.put()
        await until(lambda: len(bench.encoders[0].key_frames) == 2)
        bench.sealer.rotate(1, KEY)
        await bench.send()
        assert len(bench.way.packets) == 2
        assert bench.encoders[0].key_frames == [True, False, True]


async def test_a_picture_that_cannot_be_encoded_is_told_and_the_next_one_sent() -> None:
    async with video_bench() as bench:
        await bench.send(64, 48)
        bench.pictures.put(13, 48)
        assert (await bench.log.wait_for(SourceFailed)).kind is StreamKind.SCREEN
        await bench.send(64, 48)
        assert bench.sender.frames == 2


@pytest.mark.parametrize(("rate", "fps"), [(60_000, 10.0), (300_000, 30.0), (2_000_000, 30.0)])
def test_headers_and_repairs_are_taken_off_the_rate(rate: int, fps: float) -> None:
    bitrate = payload_rate(rate, fps, 0.0, 44)
    assert 0.4 * rate < bitrate < 0.97 * rate
    assert payload_rate(rate, fps, 0.1, 44) < bitrate
    assert payload_rate(rate, fps, 0.0, 64) < bitrate
    assert payload_rate(rate, fps, 1.0, 44) == payload_rate(rate, fps, 0.3, 44) >= LEAST_BITRATE


def test_a_rate_below_all_headers_is_still_one() -> None:
    assert payload_rate(1, 30.0, 0.0, 44) == LEAST_BITRATE


async def test_pictures_are_reduced_to_what_is_wanted_at_most() -> None:
    async with video_bench(most=PictureSize(32, 32, 30.0)) as bench:
        await bench.send(64, 48)
        assert bench.encoders[0].size == b"32x24"
