"""What leaves as sound: an unchanging beat, and nothing without a key."""

from __future__ import annotations

import asyncio
import time
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from entrenous.crypto.sframe import FrameOpener, FrameSealer
from entrenous.errors import DeviceError
from entrenous.media import audio_sender as audio_sender_module
from entrenous.media.audio_plan import AudioPlan
from entrenous.media.audio_sender import PATIENCE, AudioSender
from entrenous.media.codecs.base import Samples
from entrenous.media.codecs.opus import OpusDecoder, OpusEncoder
from entrenous.media.events import SourceEnded, SourceFailed
from entrenous.media.identities import AudioFormat, StreamIdentity
from entrenous.media.red import read_red
from entrenous.media.rtp import RtpPacket, read_rtp
from entrenous.media.streams import SoundBlock, StreamKind
from lab.calls import EventLog, SoundSource, until
from world.virtual_time import VirtualTime, in_virtual_time

KEY = bytes(range(32))
AUDIO = StreamIdentity(1, {AudioFormat.OPUS: 111, AudioFormat.RED: 112})
PLAN = AudioPlan(32_000)
TONE = (9000 * np.sin(np.arange(960) * 2 * np.pi / 96)).astype(np.int16)


class Wire:
    def __init__(self) -> None:
        self.packets: list[RtpPacket] = []
        self.times: list[float] = []

    def __call__(self, packet: bytearray) -> bool:
        self.packets.append(read_rtp(packet))
        self.times.append(time.monotonic())
        return True

    async def has(self, count: int) -> None:
        await until(lambda: len(self.packets) >= count)


def audio_sender(
    source: Any, wire: Wire, log: EventLog, sealer: FrameSealer | None = None, plan: AudioPlan = PLAN
) -> AudioSender:
    return AudioSender(AUDIO, sealer or FrameSealer(0, KEY), OpusEncoder(), source, wire, log, plan)


async def stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait({task})


def heard_of(wire: Wire) -> list[Samples]:
    """What each packet sounds like, by its own Opus packet alone."""
    opener, decoder = FrameOpener(0, KEY), OpusDecoder()
    plain = [(packet, opener.open(packet.payload, now=0.0)) for packet in wire.packets]
    return [decoder.decode(read_red(each)[-1][1] if packet.payload_type == 112 else each) for packet, each in plain]


def loudness(wire: Wire) -> list[float]:
    return [float(np.abs(sound.astype(np.float64)).mean()) for sound in heard_of(wire)]


def noise(blocks: int) -> SoundSource:
    return SoundSource(np.random.default_rng(1).integers(-9000, 9000, 960 * blocks).astype(np.int16))


@in_virtual_time
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
    assert {len(packet.payload) for packet in wire.packets} == {PLAN.sealed_bytes}
    assert {packet.marker for packet in wire.packets} == {0}
    heard = loudness(wire)
    assert max(heard[1:4]) > 1000
    assert min(heard[7:9]) < 100
    assert max(heard[12:14]) > 1000
    assert max(heard[20:]) < 100
    assert wire.times[24] - wire.times[0] == pytest.approx(0.48, abs=0.005)


@in_virtual_time
async def test_without_a_source_silence_keeps_the_beat() -> None:
    wire = Wire()
    task = asyncio.create_task(audio_sender(None, wire, EventLog()).run())
    await wire.has(10)
    await stop(task)
    assert max(loudness(wire)) < 10
    assert wire.times[9] - wire.times[0] == pytest.approx(0.18, abs=0.005)


@pytest.mark.parametrize(
    "plan",
    [
        AudioPlan(16_000, frame_ms=60),
        AudioPlan(24_000, frame_ms=40),
        AudioPlan(24_000, fec=True, duplicate_distance=2),
        AudioPlan(20_000, duplicate_distance=1, frame_ms=60),
    ],
)
@in_virtual_time
async def test_every_plan_has_its_size_and_its_beat(plan: AudioPlan) -> None:
    wire, source, sealer = Wire(), noise(40), FrameSealer(0, KEY)
    sealer._counter = 250  # the header of the frame layer grows on the way
    await source.start()
    task = asyncio.create_task(audio_sender(source, wire, EventLog(), sealer, plan).run())
    await wire.has(10)
    await stop(task)
    assert {len(packet.payload) for packet in wire.packets} == {plan.sealed_bytes}
    assert {(b.timestamp - a.timestamp) % 2**32 for a, b in pairwise(wire.packets)} == {48 * plan.frame_ms}
    assert {len(sound) for sound in heard_of(wire)} == {48 * plan.frame_ms}
    assert {packet.payload_type for packet in wire.packets} == {112 if plan.duplicate_distance else 111}
    assert wire.times[9] - wire.times[0] == pytest.approx(9 * plan.frame_ms / 1000, abs=0.005)


@in_virtual_time
async def test_another_plan_begins_with_a_whole_frame_and_the_sound_goes_on() -> None:
    wire, source = Wire(), noise(60)
    await source.start()
    sender = audio_sender(source, wire, EventLog(), plan=AudioPlan(16_000, frame_ms=60))
    task = asyncio.create_task(sender.run())
    plans = [AudioPlan(48_000, duplicate_distance=1), AudioPlan(24_000, frame_ms=40), AudioPlan(64_000)]
    looks = {(sender.plan.sealed_bytes, 48 * sender.plan.frame_ms)}
    await wire.has(2)
    for plan in plans:
        looks.add((plan.sealed_bytes, 48 * plan.frame_ms))
        await asyncio.sleep(0.025)  # into the middle of a longer frame
        sender.use_plan(plan)
        count = len(wire.packets)
        await wire.has(count + 4)
        assert sender.plan == plan
        assert len(wire.packets[-1].payload) == plan.sealed_bytes
    await stop(task)
    sounds = heard_of(wire)
    assert {(len(packet.payload), len(sound)) for packet, sound in zip(wire.packets, sounds, strict=True)} == looks
    for (before, after), sound in zip(pairwise(wire.packets), sounds, strict=False):
        assert (after.timestamp - before.timestamp) % 2**32 == len(sound)
    assert np.median(loudness(wire)[1:]) > 1000


class WaitingSource:
    """Never yields anything; knows whether it was let go of."""

    def __init__(self) -> None:
        self.let_go = asyncio.Event()

    async def read(self) -> SoundBlock | None:
        try:
            await asyncio.Event().wait()
        finally:
            self.let_go.set()
        return None


@in_virtual_time
async def test_the_source_changes_while_the_beat_goes_on() -> None:
    wire, log, waiting, loud = Wire(), EventLog(), WaitingSource(), noise(100)
    sender = audio_sender(waiting, wire, log)
    task = asyncio.create_task(sender.run())
    await wire.has(5)
    await loud.start()
    sender.use_source(loud)
    async with asyncio.timeout(60):
        await waiting.let_go.wait()
    changed_at = len(wire.packets)
    await wire.has(changed_at + 10)
    sender.use_source(None)
    gone_at = len(wire.packets)
    await wire.has(gone_at + 6)
    await stop(task)
    levels = loudness(wire)
    assert max(levels[:changed_at]) < 100
    assert np.median(levels[changed_at + 2 : gone_at]) > 1000
    assert max(levels[gone_at + 3 :]) < 100
    assert {(b.timestamp - a.timestamp) % 2**32 for a, b in pairwise(wire.packets)} == {960}
    assert {len(packet.payload) for packet in wire.packets} == {PLAN.sealed_bytes}
    assert wire.times[-1] - wire.times[0] == pytest.approx(0.02 * (len(wire.times) - 1), abs=PATIENCE + 0.005)
    assert log.events == []


class LaggingSource:
    """Yields what was captured some time ago, always."""

    def __init__(self, lag: float) -> None:
        self.lag = lag

    async def read(self) -> SoundBlock | None:
        await asyncio.sleep(0.02)  # it captures in real time
        return SoundBlock(TONE, time.monotonic() - self.lag)


@in_virtual_time
async def test_a_source_that_lags_further_behind_than_the_one_before_is_heard() -> None:
    wire = Wire()
    sender = audio_sender(LaggingSource(0.0), wire, EventLog())
    task = asyncio.create_task(sender.run())
    await wire.has(5)
    sender.use_source(LaggingSource(0.3))
    await wire.has(20)
    await stop(task)
    assert np.median(loudness(wire)[10:]) > 1000


class PromptedSource:
    """Yields a block whenever it is told to."""

    def __init__(self) -> None:
        self.prompt = asyncio.Event()

    async def read(self) -> SoundBlock | None:
        await self.prompt.wait()
        self.prompt.clear()
        return SoundBlock(TONE, time.monotonic())


@in_virtual_time
async def test_a_late_block_leaves_as_soon_as_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audio_sender_module, "PATIENCE", 3600.0)
    wire, source = Wire(), PromptedSource()
    task = asyncio.create_task(audio_sender(source, wire, EventLog()).run())
    for count in (1, 2):
        await asyncio.sleep(0.03)  # the absence of packets has no event to wait for
        assert len(wire.packets) == count - 1
        source.prompt.set()
        await wire.has(count)
    await stop(task)
    assert min(loudness(wire)[1:]) > 1000


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
        await asyncio.sleep(captured_at - time.monotonic())  # it captures in real time
        if self.number == 4:
            await self.go_on.wait()
        if self.number > 4 and time.monotonic() - captured_at < 0.02:
            self.caught_up.set()
        late = time.monotonic() - captured_at > 0.1
        return SoundBlock(TONE if late else np.zeros(960, np.int16), captured_at)


@in_virtual_time
async def test_a_stalled_source_does_not_stop_the_beat_and_what_silence_replaced_is_left_out() -> None:
    wire, source = Wire(), StallingSource()
    sender = audio_sender(source, wire, EventLog())
    task = asyncio.create_task(sender.run())
    await wire.has(15)
    source.go_on.set()
    async with asyncio.timeout(60):
        await source.caught_up.wait()
    count = len(wire.packets)
    await wire.has(count + 3)
    await stop(task)
    assert sender.blocks_missed >= 5
    # Of what was handed over late, only what silence had not yet stood in for was sent.
    assert sum(loud > 100 for loud in loudness(wire)) <= 3
    assert wire.times[-1] - wire.times[0] == pytest.approx(0.02 * (len(wire.times) - 1), abs=0.02)


class LaterSource:
    """Captures without a break, but hands everything over 12 ms later from some block on, after a stall."""

    def __init__(self) -> None:
        self.number = 0
        self.begin = time.monotonic()

    async def read(self) -> SoundBlock | None:
        self.number += 1
        captured_at = self.begin + self.number * 0.02
        due = captured_at if self.number < 8 else max(captured_at, self.begin + 13 * 0.02) + 0.012
        await asyncio.sleep(due - time.monotonic())  # it captures in real time
        return SoundBlock(TONE, captured_at)


@in_virtual_time
async def test_a_source_that_comes_back_behind_the_beat_is_followed() -> None:
    wire = Wire()
    sender = audio_sender(LaterSource(), wire, EventLog())
    task = asyncio.create_task(sender.run())
    await wire.has(45)
    missed = sender.blocks_missed
    await wire.has(60)
    await stop(task)
    assert missed > 0
    assert sender.blocks_missed == missed
    assert np.median(loudness(wire)[46:60]) > 1000


def test_a_loop_that_was_held_up_sends_what_was_captured_and_no_silence_instead() -> None:
    virtual, wire, source = VirtualTime(), Wire(), noise(40)

    async def talk() -> AudioSender:
        await source.start()
        sender = audio_sender(source, wire, EventLog())
        task = asyncio.create_task(sender.run())
        await wire.has(5)
        for pause in range(4):  # as an encoder or a busy machine would
            virtual.hold_up(time.monotonic() + pause * 0.1, 0.1)
        await wire.has(35)
        await stop(task)
        return sender

    sender = virtual.run(talk)
    assert min(loudness(wire)[1:25]) > 1000
    steps = [(b.timestamp - a.timestamp) % 2**32 / 960 for a, b in pairwise(wire.packets)]
    assert sum(steps) - len(steps) == pytest.approx(sender.beats_left_out, abs=2)


class PausingSource:
    """Captures without a break but for half a second after the fifth block."""

    def __init__(self) -> None:
        self.number = 0
        self.begin = time.monotonic()

    async def read(self) -> SoundBlock | None:
        self.number += 1
        captured_at = self.begin + self.number * 0.02 + (0.5 if self.number > 5 else 0.0)
        await asyncio.sleep(self.begin + self.number * 0.02 - time.monotonic())  # it captures in real time
        return SoundBlock(np.zeros(960, np.int16), captured_at)


@in_virtual_time
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
@in_virtual_time
async def test_a_broken_source_is_reported_and_silence_goes_on(source: BrokenSource) -> None:
    wire, log = Wire(), EventLog()
    task = asyncio.create_task(audio_sender(source, wire, log).run())
    await wire.has(5)
    await stop(task)
    (event,) = log.of(SourceFailed)
    assert event.kind is StreamKind.AUDIO
    assert event.sentence


@in_virtual_time
async def test_without_a_key_nothing_leaves() -> None:
    wire, sealer = Wire(), FrameSealer()
    task = asyncio.create_task(audio_sender(None, wire, EventLog(), sealer).run())
    await asyncio.sleep(0.1)  # the absence of packets has no event to wait for
    assert wire.packets == []
    sealer.rotate(0, KEY)
    await wire.has(1)
    sealer.forget()
    count = len(wire.packets)
    await asyncio.sleep(0.06)  # as above
    await stop(task)
    assert len(wire.packets) == count
