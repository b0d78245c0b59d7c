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
from entrenous.media.red import write_red
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

    def encode(self, number: int, blocks: int = 1) -> bytes:
        return self.encoder.encode(self.tone[number : number + blocks].ravel(), 80 * blocks)

    def arrive(self, number: int, at: float, sealer: FrameSealer | None = None) -> None:
        self.receive(number, (sealer or self.sealer).seal(self.encode(number)), at)

    def receive(self, number: int, payload: bytes, at: float, payload_type: int = 111) -> None:
        packet = RtpPacket(payload_type, 0, number, number * 960, 1, payload)
        self.receiver.receive(packet, 12 + len(payload), at)


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
    bench.encoder.arm_fec(10)
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


def test_a_turn_that_is_late_lets_in_what_waits_in_the_socket_before_it_plays() -> None:
    bench = SoundBench()
    due = bench.receiver._turn = time.monotonic() - 0.02
    assert bench.receiver._have_turn() == due
    bench.arrive(0, due - 0.03)
    assert bench.receiver._have_turn() > due
    assert len(bench.heard) == 1


def test_the_time_for_which_the_process_was_held_up_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    bench, now = SoundBench(), 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    bench.receiver._turn = now
    held_up = []
    for pause in (0.0, 0.019, 0.3, 0.0, 0.9):
        now = max(now, bench.receiver._turn) + pause
        while bench.receiver._have_turn() <= now:
            pass
        held_up.append(bench.receiver.held_up_seconds)
    assert held_up == pytest.approx([0.0, 0.0, 0.3, 0.3, 1.2])


def test_a_repetition_is_no_rejection() -> None:
    bench = SoundBench()
    payload = bench.sealer.seal(bench.encode(0))
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


@pytest.mark.parametrize(
    ("payload_type", "plain"),
    [(111, b"\xff" * 1300), (111, b""), (111, bytes([16 << 3])), (112, b""), (112, b"\xef\x00"), (112, b"\x6f")],
)
def test_an_authentic_frame_that_is_no_sound_is_concealed(payload_type: int, plain: bytes) -> None:
    bench = SoundBench()
    for number in range(10):
        if number == 5:
            bench.receive(number, bench.sealer.seal(plain), number * 0.02, payload_type)
        else:
            bench.arrive(number, number * 0.02)
        bench.receiver.play_one(number * 0.02 + 0.019)
    assert bench.receiver.undecodable == 1
    assert bench.receiver.buffer.counters.concealed == 1
    assert len(bench.heard) >= 8
    assert all(block.shape == (960,) for block, _ in bench.heard)


def test_the_copy_in_a_bundle_stands_in_for_a_lost_packet() -> None:
    bench = SoundBench()
    encoded = [bench.encode(number) for number in range(60)]
    for number in range(60):
        if number not in (20, 40, 41):
            earlier = [(960, encoded[number - 1])] if number else []
            bundle = write_red(111, earlier, encoded[number])
            bench.receive(number, bench.sealer.seal(bundle), number * 0.02, 112)
        bench.receiver.play_one(number * 0.02 + PHASE)
    counters = bench.receiver.buffer.counters
    assert (counters.copies_played, counters.concealed, counters.recovered) == (2, 1, 0)
    assert (counters.duplicates, bench.receiver.malformed) == (0, 0)


def test_a_copy_may_be_bad_without_harm_to_the_rest() -> None:
    bench = SoundBench()
    for number in range(30):
        bundle = write_red(111, [(960, b"\xff" * 40)], bench.encode(number))
        bench.receive(number, bench.sealer.seal(bundle), number * 0.02, 112)
        bench.receiver.play_one(number * 0.02 + PHASE)
    assert bench.receiver.malformed == 30
    assert bench.receiver.buffer.counters.concealed == 0
    assert len(bench.heard) == 29


@pytest.mark.parametrize("blocks", [2, 3])
def test_long_packets_are_played_in_blocks_of_20_ms(blocks: int) -> None:
    bench = SoundBench()
    for number in range(90):
        if number % blocks == 0:
            bench.receive(number, bench.sealer.seal(bench.encode(number, blocks)), number * 0.02)
        bench.receiver.play_one(number * 0.02 + PHASE)
    assert bench.receiver.buffer.counters.concealed == 0
    assert len(bench.heard) == 89
    assert all(block.shape == (960,) for block, _ in bench.heard)


def test_pictures_are_told_when_which_sound_is_heard() -> None:
    bench = SoundBench()
    told: list[tuple[int, float]] = []
    bench.receiver._clock.sound_played = lambda timestamp, at: told.append((timestamp, at))  # type: ignore[method-assign]  # only listened to
    for number in range(30):
        bench.arrive(number, number * 0.02)
        bench.receiver.play_one(number * 0.02 + PHASE)
    assert [timestamp for timestamp, _ in told] == [number * 960 for number in range(29)]
    assert [at for _, at in told] == pytest.approx([number * 0.02 + PHASE + 0.02 for number in range(29)])
