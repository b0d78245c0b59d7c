"""What leaves: sound in an unchanging beat, the newest picture, nothing without a key."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import av
import numpy as np
import pytest

from entrenous.crypto.sframe import FrameOpener, FrameSealer
from entrenous.errors import DeviceError
from entrenous.media.codecs.base import EncodedPicture
from entrenous.media.codecs.opus import OpusDecoder, OpusEncoder
from entrenous.media.events import SourceEnded, SourceFailed
from entrenous.media.identities import StreamIdentity
from entrenous.media.payload import read_piece
from entrenous.media.rtp import RtpPacket, read_rtp
from entrenous.media.sender import AudioSender, VideoSender
from entrenous.media.streams import Picture, SoundBlock, StreamKind
from lab.calls import EventLog, SoundSource, until

KEY = bytes(range(32))
AUDIO = StreamIdentity(1, 111)
VIDEO = StreamIdentity(2, 96, 3, 97)


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


def audio_sender(source: Any, wire: Wire, log: EventLog, sealer: FrameSealer | None = None) -> AudioSender:
    return AudioSender(AUDIO, sealer or FrameSealer(0, KEY), OpusEncoder(), source, wire, log)


async def stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait({task})


def loudness(wire: Wire) -> list[float]:
    opener, decoder = FrameOpener(0, KEY), OpusDecoder()
    blocks = [decoder.decode(opener.open(packet.payload, now=0.0)) for packet in wire.packets]
    return [float(np.abs(block.astype(np.float64)).mean()) for block in blocks]


def noise(blocks: int) -> SoundSource:
    return SoundSource(np.random.default_rng(1).integers(-9000, 9000, 960 * blocks).astype(np.int16))


async def test_talk_mute_the_end_and_silence_look_the_same() -> None:
    wire, log, source = Wire(), EventLog(), noise(15)
    await source.start()
    sender = audio_sender(source, wire, log)
    task = asyncio.create_task(sender.run())
    await wire.has(5)
    sender.muted = True
    await wire.has(10)
    sender.muted = False
    await wire.has(25)
    await stop(task)
    assert log.events == [SourceEnded(StreamKind.AUDIO)]
    steps = {(b.timestamp - a.timestamp) % 2**32 for a, b in pairwise(wire.packets)}
    assert steps == {960}
    # The counter of the frame layer takes one more byte from the ninth frame on; nothing else may differ.
    assert {len(packet.payload) for packet in wire.packets[9:]} == {len(wire.packets[9].payload)}
    assert {packet.marker for packet in wire.packets} == {0}
    heard = loudness(wire)
    assert max(heard[1:4]) > 1000
    assert min(heard[7:9]) < 100
    assert max(heard[12:14]) > 1000
    assert max(heard[20:]) < 100
    # 24 beats; a shared machine delays single ones, never the sum.
    assert wire.times[24] - wire.times[0] == pytest.approx(0.48, abs=0.1)


async def test_without_a_source_silence_keeps_the_beat() -> None:
    wire = Wire()
    task = asyncio.create_task(audio_sender(None, wire, EventLog()).run())
    await wire.has(10)
    await stop(task)
    assert max(loudness(wire)) < 10
    assert wire.times[9] - wire.times[0] == pytest.approx(0.18, abs=0.08)


class StallingSource:
    """Captures without a break but hands nothing over from the fourth block on, until told to go on."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()
        self.number = 0
        self.begin = time.monotonic()
        self.caught_up = asyncio.Event()

    async def read(self) -> SoundBlock | None:
        self.number += 1
        captured_at = self.begin + self.number * 0.02
        await asyncio.sleep(captured_at - time.monotonic())
        if self.number == 4:
            await self.go_on.wait()
        if self.number > 4 and time.monotonic() - captured_at < 0.02:
            self.caught_up.set()
        late = time.monotonic() - captured_at > 0.1
        return SoundBlock(np.full(960, 9000 if late else 0, np.int16), captured_at)


async def test_a_stalled_source_does_not_stop_the_beat_and_what_silence_replaced_is_left_out() -> None:
    wire, source = Wire(), StallingSource()
    task = asyncio.create_task(audio_sender(source, wire, EventLog()).run())
    await wire.has(15)
    source.go_on.set()
    async with asyncio.timeout(10):
        await source.caught_up.wait()
    count = len(wire.packets)
    await wire.has(count + 3)
    await stop(task)
    # Of what was handed over late, only what silence had not yet stood in for was sent.
    assert sum(loud > 100 for loud in loudness(wire)) <= 3
    assert wire.times[-1] - wire.times[0] == pytest.approx(0.02 * (len(wire.times) - 1), abs=0.1)


async def test_a_loop_that_was_held_up_sends_what_was_captured_and_no_silence_instead() -> None:
    wire, source = Wire(), noise(40)
    await source.start()
    task = asyncio.create_task(audio_sender(source, wire, EventLog()).run())
    await wire.has(5)
    for _ in range(4):
        time.sleep(0.1)  # noqa: ASYNC251 - as an encoder or a busy machine would
        await asyncio.sleep(0)
    await wire.has(35)
    await stop(task)
    assert min(loudness(wire)[1:35]) > 1000
    assert {(b.timestamp - a.timestamp) % 2**32 for a, b in pairwise(wire.packets)} == {960}


class PausingSource:
    """Captures without a break but for half a second after the fifth block."""

    def __init__(self) -> None:
        self.number = 0
        self.begin = time.monotonic()

    async def read(self) -> SoundBlock | None:
        self.number += 1
        captured_at = self.begin + self.number * 0.02 + (0.5 if self.number > 5 else 0.0)
        await asyncio.sleep(self.begin + self.number * 0.02 - time.monotonic())
        return SoundBlock(np.zeros(960, np.int16), captured_at)


async def test_timestamps_follow_a_pause_of_the_capture() -> None:
    wire = Wire()
    task = asyncio.create_task(audio_sender(PausingSource(), wire, EventLog()).run())
    await wire.has(10)
    await stop(task)
    steps = [(b.timestamp - a.timestamp) % 2**32 // 960 for a, b in pairwise(wire.packets)]
    assert max(steps) == 26
    assert sorted(steps)[:-1] == [1] * (len(steps) - 1)


class BrokenSource:
    def __init__(self, block: SoundBlock | None = None) -> None:
        self.block = block

    async def read(self) -> SoundBlock | None:
        if self.block is None:
            raise DeviceError("The microphone is gone.")
        return self.block


@pytest.mark.parametrize(
    "source", [BrokenSource(), BrokenSource(SoundBlock(np.zeros(7, np.int16), time.monotonic() + 60))]
)
async def test_a_broken_source_is_reported_and_silence_goes_on(source: BrokenSource) -> None:
    wire, log = Wire(), EventLog()
    task = asyncio.create_task(audio_sender(source, wire, log).run())
    await wire.has(5)
    await stop(task)
    (event,) = log.of(SourceFailed)
    assert event.kind is StreamKind.AUDIO
    assert event.sentence


async def test_without_a_key_nothing_leaves() -> None:
    wire, sealer = Wire(), FrameSealer()
    task = asyncio.create_task(audio_sender(None, wire, EventLog(), sealer).run())
    await asyncio.sleep(0.1)  # the absence of packets has no event to wait for
    assert wire.packets == []
    sealer.rotate(0, KEY)
    await wire.has(1)
    sealer.forget()
    count = len(wire.packets)
    await asyncio.sleep(0.06)
    await stop(task)
    assert len(wire.packets) == count


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
