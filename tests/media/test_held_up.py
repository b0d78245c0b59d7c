"""A process that is held up, in virtual time: what was not played is past, the rest stays in step and gets no later."""

from __future__ import annotations

import asyncio
import itertools
import math
import threading
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from entrenous.crypto.sframe import FrameOpener, FrameSealer
from entrenous.media.audio_plan import AudioPlan
from entrenous.media.audio_sender import AudioSender
from entrenous.media.codecs.base import BLOCK_SECONDS, Samples
from entrenous.media.identities import AudioFormat, StreamIdentity
from entrenous.media.rtp import read_rtp
from entrenous.media.sinks import Recorder
from entrenous.media.sources import FileSource, TestCardSource
from entrenous.media.sources.testcard import read_frame_number
from entrenous.media.streams import AudioSource, Picture, SoundBlock, StreamKind, VideoSource
from entrenous.media.switching import PictureSwitch
from lab.calls import EventLog, close_call, make_call, open_call, silent
from lab.recordings import read_recording
from world.media_clock import SimulatedClock
from world.virtual_time import VirtualTime

KEY = bytes(range(32))
AUDIO = StreamIdentity(1, {AudioFormat.OPUS: 111})
FPS = 25
LIPS = 0.045
"""Seconds that sound and picture may be apart."""

MODERATE = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
hold_ups = st.lists(st.tuples(st.floats(0.5, 1.5), st.floats(0.0, 1.0)), min_size=1, max_size=2)


async def write_film(path: Path, seconds: int, sound: Callable[[int], Samples]) -> None:
    """A film of a test card; `sound` gives the blocks by their number."""
    card = TestCardSource(160, 120, FPS, beep=True, clock=SimulatedClock())
    await card.start()
    assert card.video is not None
    with av.open(str(path), "w") as container:
        heard = container.add_stream("pcm_s16le", rate=48_000, layout="mono")
        seen = container.add_stream("libx264", rate=FPS, options={"preset": "superfast", "bf": "0"})
        seen.width, seen.height, seen.pix_fmt = 160, 120, "yuv420p"
        for number in range(seconds * FPS):
            for block in range(2 * number, 2 * number + 2):
                frame = av.AudioFrame.from_ndarray(sound(block).reshape(1, -1), format="s16", layout="mono")
                frame.sample_rate, frame.time_base, frame.pts = 48_000, Fraction(1, 48_000), 960 * block
                container.mux(heard.encode(frame))
            picture = await card.video.read()
            assert picture is not None
            picture.frame.time_base, picture.frame.pts = Fraction(1, FPS), number
            container.mux(seen.encode(picture.frame))
        container.mux(seen.encode(None))
        container.mux(heard.encode(None))


@pytest.fixture(scope="module")
def numbered_film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six seconds in which every block of sound and every picture tells its number."""
    path = tmp_path_factory.mktemp("films") / "numbered.mkv"
    asyncio.run(write_film(path, 6, lambda number: np.full(960, number + 1, np.int16)))
    return path


class PlainEncoder:
    """Encodes a block as its first sample."""

    def tune(self, bitrate: int) -> None: ...

    def arm_fec(self, percent: int) -> None: ...

    def encode(self, samples: Samples, size: int) -> bytes:
        return samples[:1].tobytes() + bytes(size - 2)

    def close(self) -> None: ...


class Sent:
    """What leaves a sender, by the clock: the value of each block, the time and the RTP timestamp."""

    def __init__(self, source: AudioSource, encoder: PlainEncoder | None = None) -> None:
        self.blocks: list[tuple[float, int, int]] = []
        self._opener = FrameOpener(0, KEY)
        self.sender = AudioSender(
            AUDIO, FrameSealer(0, KEY), encoder or PlainEncoder(), source, self._take, EventLog(), AudioPlan(32_000)
        )

    def _take(self, packet: bytearray) -> None:
        read = read_rtp(packet)
        plain = self._opener.open(read.payload, now=time.monotonic())
        self.blocks.append((time.monotonic(), int.from_bytes(plain[:2], "little", signed=True), read.timestamp))


async def look(source: VideoSource, seen: list[tuple[float, Picture]]) -> None:
    switch = PictureSwitch(StreamKind.VIDEO, EventLog())
    switch.use(source)
    while True:
        picture = await switch.read()
        seen.append((time.monotonic(), picture))


def after_all(hold_ups: list[tuple[float, float]]) -> float:
    """Seconds after which nothing is held up any more, and what follows at once has followed."""
    end = 0.0
    for at, seconds in sorted(hold_ups):
        end = max(end, at) + seconds
    return end + 0.010


@MODERATE
@given(hold_ups)
@example([(1.0, 0.5)])
@example([(1.25, 0.25)])
@example([(0.999, 0.2201), (1.3, 0.3)])
@example([(1.0, 1.0), (0.5, 1.0)])
@pytest.mark.usefixtures("without_threads")
def test_a_film_goes_on_where_it_would_have_been(numbered_film: Path, hold_ups: list[tuple[float, float]]) -> None:
    virtual = VirtualTime()

    async def play() -> None:
        source = FileSource(numbered_film)
        await source.start()
        assert source.audio is not None
        assert source.video is not None
        sent, seen = Sent(source.audio), list[tuple[float, Picture]]()
        tasks = [asyncio.create_task(sent.sender.run()), asyncio.create_task(look(source.video, seen))]
        begin = time.monotonic()
        for at, seconds in hold_ups:
            virtual.hold_up(begin + at, seconds)
        await asyncio.sleep(begin + 4.5 - time.monotonic())
        await stop(*tasks)
        await source.close()
        settled = begin + after_all(hold_ups)
        delays = {at: at - begin - (value - 1) * BLOCK_SECONDS for at, value, _ in sent.blocks if at >= settled}
        assert len(delays) >= 4.5 / BLOCK_SECONDS - (settled - begin) / BLOCK_SECONDS - 2
        assert max(delays.values()) <= 0.015, "silence, or sound that is late"
        offset = sent.blocks[0][2]
        for _, value, timestamp in sent.blocks:
            if value:
                assert (timestamp - offset) % 2**32 / 48_000 == pytest.approx((value - 1) * BLOCK_SECONDS, abs=0.011)
        for at, picture in seen:
            number = read_frame_number(picture.frame)
            assert number is not None
            assert picture.captured_at == pytest.approx(begin + number / FPS, abs=0.002)
            if at >= settled:
                assert at - picture.captured_at <= 1 / FPS + 0.001, "there was a newer one"
        assert len([at for at, _ in seen if at >= settled]) >= (begin + 4.5 - settled) * FPS - 2
        left_out = sent.sender.beats_left_out
        assert len(sent.blocks) + left_out == pytest.approx(4.5 / BLOCK_SECONDS, abs=2)

    virtual.run(play)


class Device:
    """Captures on its own, in the same clock, and keeps a few blocks, or the newest picture, for a late reader."""

    def __init__(self, latency: float) -> None:
        self.begin = time.monotonic()
        self.latency = latency
        self.number = 0

    async def read(self) -> SoundBlock:
        newest = int((time.monotonic() - self.latency - self.begin) / BLOCK_SECONDS)
        self.number = max(self.number, newest - 10)
        captured_at = self.begin + self.number * BLOCK_SECONDS
        self.number += 1
        await asyncio.sleep(captured_at + BLOCK_SECONDS + self.latency - time.monotonic())
        return SoundBlock(np.full(960, self.number, np.int16), captured_at)


@MODERATE
@given(hold_ups, st.floats(0.0, 0.2))
@example([(1.0, 0.5)], 0.1)
@example([(1.0, 1.0), (1.5, 1.0)], 0.125)
def test_a_microphone_gets_no_later(hold_ups: list[tuple[float, float]], latency: float) -> None:
    virtual = VirtualTime()

    async def play() -> None:
        device = Device(latency)
        sent = Sent(device)
        task = asyncio.create_task(sent.sender.run())
        begin = time.monotonic()
        for at, seconds in hold_ups:
            virtual.hold_up(begin + at, seconds)
        await asyncio.sleep(begin + 4.5 - time.monotonic())
        await stop(task)
        settled = begin + after_all(hold_ups) + BLOCK_SECONDS
        heard = [(at, value) for at, value, _ in sent.blocks if at >= settled]
        assert all(value for _, value in heard)
        assert max(at - begin - value * BLOCK_SECONDS for at, value in heard) <= latency + 0.020

    virtual.run(play)


async def stop(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


STREAMS = 20


def assert_whole(sent: Sent, since: float) -> None:
    """Assert that from monotonic time `since` on nothing was left out, nor silence sent in its place."""
    values = [value for at, value, _ in sent.blocks if at >= since]
    assert len(values) >= 50
    assert values == list(range(values[0], values[0] + len(values)))


@MODERATE
@given(st.integers(0, 9), st.lists(st.tuples(st.floats(0.005, 0.030), st.floats(0.005, 0.025)), min_size=1, max_size=9))
@example(5, [(0.030, 0.010)])
@example(2, [(0.015625, 0.015625)])
def test_a_loop_that_is_always_late_and_not_too_busy_leaves_nothing_out(
    phase: int, steps: list[tuple[float, float]]
) -> None:
    """Steps: seconds for which nothing runs, and then everything does; again and again."""
    virtual = VirtualTime()

    async def play() -> None:
        streams = []
        for number in range(5):
            device = Device(0.010)
            device.begin += (number * phase % 10) * BLOCK_SECONDS / 10
            streams.append(Sent(device))
        tasks = [asyncio.create_task(sent.sender.run()) for sent in streams]
        begin = at = time.monotonic()
        for held, free in itertools.cycle(steps):
            if at >= begin + 4.0:
                break
            virtual.hold_up(at, held)
            at += held + free
        await asyncio.sleep(begin + 4.0 - time.monotonic())
        await stop(*tasks)
        for sent in streams:
            assert_whole(sent, begin + 2.0)

    virtual.run(play)


def test_a_source_has_its_turn_before_a_late_loop_gives_it_up() -> None:
    virtual = VirtualTime()

    async def play() -> int:
        device = Device(0.010)
        device.begin += BLOCK_SECONDS / 2
        sent = Sent(device)
        task = asyncio.create_task(sent.sender.run())
        begin = time.monotonic()
        for turn in range(50):
            virtual.hold_up(begin + turn * 0.040, 0.030)
        await asyncio.sleep(2.0)
        await stop(task)
        return sent.sender.blocks_missed

    assert virtual.run(play) == 0


class DearEncoder(PlainEncoder):
    """Takes its time."""

    def __init__(self, virtual: VirtualTime) -> None:
        self._virtual = virtual
        self.seconds = 0.0

    def encode(self, samples: Samples, size: int) -> bytes:
        self._virtual.now += self.seconds
        return super().encode(samples, size)


@pytest.mark.parametrize("overload", [1.2, 2.0, 4.0])
def test_many_streams_that_are_too_much_at_first_are_in_time_a_second_after_that(overload: float) -> None:
    """The first second takes so many times the time that there is; from then on four fifths of it."""
    virtual = VirtualTime()
    share = BLOCK_SECONDS / STREAMS

    async def play() -> None:
        encoder = DearEncoder(virtual)
        encoder.seconds = overload * share
        streams = [Sent(Device(0.010), encoder) for _ in range(STREAMS)]
        tasks = [asyncio.create_task(sent.sender.run()) for sent in streams]
        await asyncio.sleep(1.0)
        encoder.seconds = 0.8 * share
        relieved = time.monotonic()
        await asyncio.sleep(relieved + 3.5 - time.monotonic())
        await stop(*tasks)
        for sent in streams:
            assert_whole(sent, relieved + 1.0)
            begin = sent.blocks[0][0] - (sent.blocks[0][1] or 1) * BLOCK_SECONDS
            assert (
                max(at - begin - value * BLOCK_SECONDS for at, value, _ in sent.blocks if at >= relieved + 1.5) <= 0.1
            )

    virtual.run(play)


class LaterForGood:
    """Lags a fifth of a second more from its fiftieth block on, as a headset does that takes over."""

    def __init__(self) -> None:
        self.begin = time.monotonic()
        self.number = 0

    async def read(self) -> SoundBlock:
        self.number += 1
        captured_at = self.begin + self.number * BLOCK_SECONDS
        await asyncio.sleep(captured_at + (0.2 if self.number >= 50 else 0.0) - time.monotonic())
        return SoundBlock(np.full(960, self.number, np.int16), captured_at)


def test_a_source_that_lags_more_for_good_is_heard_again() -> None:
    virtual = VirtualTime()

    async def play() -> list[tuple[float, int, int]]:
        sent = Sent(LaterForGood())
        task = asyncio.create_task(sent.sender.run())
        await asyncio.sleep(3.0)
        await stop(task)
        return sent.blocks

    blocks = virtual.run(play)
    assert all(value for _, value, _ in blocks[90:])


@pytest.fixture(scope="module")
def beeping_film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight seconds in which a flash and a beep begin every second."""
    path = tmp_path_factory.mktemp("films") / "beeping.mkv"
    moments = np.arange(8 * 48_000) / 48_000
    sound = np.where((moments >= 1) & (moments % 1 < 0.1), 12_000 * np.sin(2000 * np.pi * moments), 0.0)
    blocks = np.rint(sound).astype(np.int16).reshape(-1, 960)
    asyncio.run(write_film(path, 8, lambda number: blocks[number]))
    return path


@pytest.mark.parametrize(("at", "seconds"), [(2.3, 0.21), (2.315, 0.35), (2.5, 0.5), (2.7, 1.0)])
@pytest.mark.usefixtures("without_threads")
def test_a_call_that_was_held_up_is_recorded_in_sync(
    beeping_film: Path, tmp_path: Path, at: float, seconds: float
) -> None:
    virtual = VirtualTime()

    async def call() -> Path:
        ends = make_call((FileSource(beeping_film), silent(0.0)))
        await open_call(*ends)
        begin = time.monotonic()
        virtual.hold_up(begin + at, seconds)
        await asyncio.sleep(begin + 7.9 - time.monotonic())
        await close_call(*ends)
        recorder = Recorder(tmp_path / "call.mkv")
        await recorder.start()
        sink = ends[1].sink
        shown = iter(sink.seen)
        picture = next(shown, None)
        for block, heard_at in sink.heard:
            while picture is not None and picture[1] <= heard_at:
                while recorder._queue.qsize() > 20:
                    await asyncio.to_thread(threading.Event().wait, 0.002)  # the encoder is a thread in real time
                recorder.show(*picture)
                picture = next(shown, None)
            recorder.play(block, heard_at)
        await recorder.close()
        assert recorder.dropped == 0
        late = [heard_at - begin for _, heard_at in sink.heard]
        assert late[-1] == pytest.approx(7.9, abs=0.1)
        return tmp_path / "call.mkv"

    recording = read_recording(virtual.run(call))
    beeps = recording.beeps()
    delays = {round(beep): beep - round(beep) for beep in beeps}
    after = range(math.ceil(at + seconds + 0.2), 8)
    assert set(after) <= set(delays)
    delay = max(delays[second] for second in after)
    assert delay <= max(delays[1], delays[2]) + 0.025
    offsets = [
        shown_at - number / FPS - delay
        for (shown_at, _), number in zip(recording.pictures, recording.frame_numbers, strict=True)
        if shown_at >= at + seconds + 0.3 and number is not None
    ]
    assert len(offsets) > (7.5 - at - seconds) * FPS * 0.5
    assert max(map(abs, offsets)) <= LIPS
