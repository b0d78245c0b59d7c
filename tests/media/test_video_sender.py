"""What leaves as pictures: the newest one, repaired on request, and nothing without a key."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import av
import pytest

from entrenous.crypto.sframe import FrameOpener, FrameSealer
from entrenous.errors import DeviceError
from entrenous.media.codecs.base import EncodedPicture, VideoCodec
from entrenous.media.events import SourceEnded, SourceFailed
from entrenous.media.identities import AudioFormat, StreamIdentity
from entrenous.media.payload import read_piece
from entrenous.media.rtp import RtpPacket, read_rtp
from entrenous.media.streams import Picture, StreamKind
from entrenous.media.video_sender import VideoSender
from lab.calls import EventLog, until

KEY = bytes(range(32))
AUDIO = StreamIdentity(1, {AudioFormat.OPUS: 111})
VIDEO = StreamIdentity(2, {VideoCodec.VP8: 96}, 3, {VideoCodec.VP8: 97})


class Wire:
    def __init__(self) -> None:
        self.packets: list[RtpPacket] = []
        self.times: list[float] = []

    def __call__(self, packet: bytes) -> bool:
        self.packets.append(read_rtp(packet))
        self.times.append(time.monotonic())
        return True

    async def has(self, count: int) -> None:
        await until(lambda: len(self.packets) >= count)


async def stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait({task})


class Pictures:
    """Yields pictures when told to."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[Picture | Exception | None] = asyncio.Queue()

    def put(self, width: int = 64, height: int = 48) -> None:
        self.queue.put_nowait(Picture(av.VideoFrame(width, height, "yuv420p"), time.monotonic()))

    async def read(self) -> Picture | None:
        item = await self.queue.get()
        if isinstance(item, Exception):
            raise item
        return item


class CountingEncoder:
    """Stands for VP8: each frame is its size, so many bytes long as asked for."""

    def __init__(self, width: int, height: int, length: int = 100) -> None:
        self.size = f"{width}x{height}".encode()
        self.length = length
        self.key_frames: list[bool] = []
        self.closed = False

    def encode(self, picture: av.VideoFrame, *, key_frame: bool = False) -> EncodedPicture:
        first = not self.key_frames
        self.key_frames.append(key_frame or first)
        return EncodedPicture(self.size.ljust(self.length), key_frame or first)

    def close(self) -> None:
        self.closed = True


class VideoBench:
    def __init__(self, executor: ThreadPoolExecutor, length: int = 100) -> None:
        self.wire, self.log, self.pictures = Wire(), EventLog(), Pictures()
        self.encoders: list[CountingEncoder] = []
        self.sealer = FrameSealer(0, KEY)
        self.sender = VideoSender(
            VIDEO,
            self.sealer,
            lambda width, height: self._make(width, height, length),
            1_000_000,
            self.pictures,
            self.wire,
            executor,
            self.log,
        )
        self.task = asyncio.create_task(self.sender.run())

    def _make(self, width: int, height: int, length: int) -> CountingEncoder:
        self.encoders.append(CountingEncoder(width, height, length))
        return self.encoders[-1]

    async def send(self, width: int = 64, height: int = 48) -> None:
        """One picture, all the way to the encoder."""
        before = self.sender.frames + self.sender.skipped
        self.pictures.put(width, height)
        await until(lambda: self.sender.frames + self.sender.skipped > before)


@contextmanager
def one_thread() -> Iterator[ThreadPoolExecutor]:
    executor = ThreadPoolExecutor(1)
    try:
        yield executor
    finally:
        executor.shutdown()


async def test_a_picture_becomes_the_packets_of_one_sealed_frame() -> None:
    with one_thread() as executor:
        bench = VideoBench(executor, length=3000)
        await bench.send()
        await bench.wire.has(3)
        packets = bench.wire.packets
        assert [packet.marker for packet in packets] == [0, 0, 1]
        assert len({packet.timestamp for packet in packets}) == 1
        sealed = b"".join(read_piece(packet.payload).data for packet in packets)
        assert FrameOpener(0, KEY).open(sealed, now=0.0) == b"64x48".ljust(3000)
        await bench.send()
        await bench.wire.has(6)
        ids = [read_piece(packet.payload).picture_id for packet in bench.wire.packets]
        assert len(set(ids)) == 2
        await stop(bench.task)


async def test_key_frames_on_request_at_most_once_a_second() -> None:
    with one_thread() as executor:
        bench = VideoBench(executor)
        await bench.send()
        now = time.monotonic()
        bench.sender.request_key_frame(now)  # the first frame was one
        await bench.send()
        bench.sender.request_key_frame(now + 1.1)
        await bench.send()
        await bench.send()
        assert bench.encoders[0].key_frames == [True, False, True, False]
        assert bench.sender.key_frames == 2
        await stop(bench.task)


async def test_muting_stops_pictures_and_unmuting_begins_with_a_key_frame() -> None:
    with one_thread() as executor:
        bench = VideoBench(executor)
        await bench.send()
        bench.sender.muted = True
        await bench.send()
        assert bench.sender.frames == 1
        bench.sender.unmute()
        await bench.send()
        assert bench.encoders[0].key_frames == [True, True]
        await stop(bench.task)


async def test_another_size_takes_another_encoder_and_odd_sizes_are_made_even() -> None:
    with one_thread() as executor:
        bench = VideoBench(executor)
        await bench.send(64, 48)
        await bench.send(66, 49)
        assert [encoder.size for encoder in bench.encoders] == [b"64x48", b"66x48"]
        assert [encoder.closed for encoder in bench.encoders] == [True, False]
        await stop(bench.task)
        bench.sender.close_encoder()
        assert bench.encoders[1].closed


async def test_of_waiting_pictures_the_newest_wins() -> None:
    with one_thread() as executor:
        bench = VideoBench(executor)
        blocker = executor.submit(time.sleep, 0.1)
        for width in (64, 66, 68, 70):
            bench.pictures.put(width)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        await until(lambda: bench.sender.frames == 2)
        assert blocker.done()
        assert bench.encoders[-1].size == b"70x48"
        assert bench.sender.skipped == 2
        await stop(bench.task)


async def test_pictures_are_skipped_while_the_path_is_behind() -> None:
    with one_thread() as executor:
        bench = VideoBench(executor, length=150_000)  # half a second at the pace
        await bench.send()
        await bench.send()
        assert (bench.sender.frames, bench.sender.skipped) == (1, 1)
        await stop(bench.task)


async def test_missed_packets_are_sent_again_on_the_repair_stream() -> None:
    with one_thread() as executor:
        bench = VideoBench(executor)
        await bench.send()
        await bench.wire.has(1)
        lost = bench.wire.packets[0]
        bench.sender.repair([lost.sequence_number, (lost.sequence_number + 500) % 65536], time.monotonic(), None)
        await bench.wire.has(2)
        repair = bench.wire.packets[1]
        assert (repair.ssrc, repair.payload_type) == (3, 97)
        assert repair.payload == lost.sequence_number.to_bytes(2, "big") + lost.payload
        assert (bench.sender.nacks_received, bench.sender.stream.retransmitted) == (2, 1)
        await stop(bench.task)


async def test_a_picture_that_cannot_be_sealed_is_not_sent_and_not_built_upon() -> None:
    with one_thread() as executor:
        bench = VideoBench(executor)
        await bench.send()
        await bench.wire.has(1)
        bench.sealer.forget()
        bench.pictures.put()
        await until(lambda: len(bench.encoders[0].key_frames) == 2)
        bench.sealer.rotate(1, KEY)
        await bench.send()
        assert len(bench.wire.packets) == 2
        assert bench.encoders[0].key_frames == [True, False, True]
        await stop(bench.task)


@pytest.mark.parametrize(
    ("last", "event"),
    [
        (None, SourceEnded(StreamKind.VIDEO)),
        (DeviceError("The camera is gone."), SourceFailed(StreamKind.VIDEO, "The camera is gone.")),
    ],
)
async def test_the_end_of_the_source_is_told(last: Exception | None, event: Any) -> None:
    with one_thread() as executor:
        bench = VideoBench(executor)
        bench.pictures.queue.put_nowait(last)
        async with asyncio.timeout(5):
            await bench.task
        assert bench.log.events == [event]
