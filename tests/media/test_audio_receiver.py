"""Sound that arrives: opened, ordered, concealed where it is lost; what does not open is never decoded."""

from __future__ import annotations

import asyncio
import time

import numpy as np
import pytest

from entrenous.crypto.sframe import FrameOpener, FrameSealer
from entrenous.media.audio_receiver import PHASE, AudioReceiver
from entrenous.media.clocksync import PlayoutClock
from entrenous.media.codecs.base import Samples
from entrenous.media.codecs.opus import OpusDecoder, OpusEncoder
from entrenous.media.rtp import RtpPacket
from lab.calls import until

KEY, OTHER_KEY = bytes(32), bytes(range(32))


class SoundBench:
    def __init__(self) -> None:
        self.sealer, self.forger = FrameSealer(0, KEY), FrameSealer(0, OTHER_KEY)
        self.encoder = OpusEncoder()
        self.heard: list[tuple[Samples, float]] = []
        self.first: list[float] = []
        self.receiver = AudioReceiver(
            1,
            FrameOpener(0, KEY),
            OpusDecoder(),
            PlayoutClock(),
            lambda block, at: self.heard.append((block, at)),
            self.first.append,
        )
        tone = 9000 * np.sin(2 * np.pi * 440 * np.arange(960 * 100) / 48_000)
        self.tone = tone.astype(np.int16).reshape(100, 960)

    def arrive(self, number: int, at: float, sealer: FrameSealer | None = None) -> None:
        payload = (sealer or self.sealer).seal(self.encoder.encode(self.tone[number]))
        self.receive(number, payload, at)

    def receive(self, number: int, payload: bytes, at: float) -> None:
        self.receiver.receive(RtpPacket(111, 0, number, number * 960, 1, payload), 12 + len(payload), at)


def test_sound_is_played_in_order() -> None:
    bench = SoundBench()
    for number in range(20):
        bench.arrive(number, number * 0.02)
        bench.receiver.play_one(number * 0.02 + PHASE)
    assert len(bench.heard) >= 17
    assert bench.first == [bench.heard[0][1]]
    assert bench.receiver.buffer.counters.concealed == 0
    assert float(np.abs(bench.heard[-1][0]).mean()) > 1000


def test_one_lost_packet_costs_no_more_than_one_concealed_block() -> None:
    bench = SoundBench()
    for number in range(60):
        if number != 30:
            bench.arrive(number, number * 0.02)
        bench.receiver.play_one(number * 0.02 + PHASE)
    counters = bench.receiver.buffer.counters
    assert (counters.recovered, counters.concealed) == (1, 0)
    assert counters.played >= 56
    assert bench.receiver.reception.lost == 1


async def test_the_play_out_takes_up_the_beat_of_the_arrivals() -> None:
    bench = SoundBench()
    first = time.monotonic() - 0.1  # kept for the gate
    for number in range(6):
        bench.arrive(number, first + number * 0.02)
    task = asyncio.create_task(bench.receiver.run())
    await until(lambda: len(bench.heard) >= 3)
    task.cancel()
    await asyncio.wait({task})
    beats = [(at - first - PHASE) / 0.02 for _, at in bench.heard]
    assert beats == pytest.approx([round(beat) for beat in beats], abs=0.001)


def test_a_repetition_is_no_rejection() -> None:
    bench = SoundBench()
    payload = bench.sealer.seal(bench.encoder.encode(bench.tone[0]))
    bench.receive(0, payload, 0.0)
    bench.receive(0, payload, 0.0)
    assert (bench.receiver.rejected, len(bench.receiver.buffer)) == (0, 1)


def test_with_a_wrong_key_nothing_is_played() -> None:
    bench = SoundBench()
    for number in range(20):
        bench.arrive(number, number * 0.02, bench.forger)
        bench.receiver.play_one(number * 0.02 + 0.019)
    assert bench.heard == []
    assert bench.receiver.rejected == 20


def test_an_authentic_frame_that_is_no_opus_is_concealed() -> None:
    bench = SoundBench()
    for number in range(10):
        if number == 5:
            bench.receive(number, bench.sealer.seal(b"\xff" * 1300), number * 0.02)
        else:
            bench.arrive(number, number * 0.02)
        bench.receiver.play_one(number * 0.02 + 0.019)
    assert bench.receiver.undecodable == 1
    assert all(block.shape == (960,) for block, _ in bench.heard)
