"""What the buffer says is done with real Opus: sound passes straight through, and late sound is sound again at once."""

from __future__ import annotations

import numpy as np
import pytest

from entrenous.media.codecs.base import Samples
from entrenous.media.codecs.opus import OpusDecoder, OpusEncoder, carries_fec
from entrenous.media.jitter import PlayoutBuffer
from entrenous.media.playout import Playout

TURN = 0.020


def voice(count: int) -> Samples:
    """A gliding tone with harmonics under a slow envelope, `count` blocks."""
    at = np.arange(count * 960) / 48_000
    phase = 2 * np.pi * (140 * at + 8 * np.sin(2 * np.pi * 0.7 * at))
    wave = sum(np.sin(number * phase) / number for number in range(1, 8))
    return np.asarray(3500 * wave * (0.6 + 0.4 * np.sin(2 * np.pi * 3 * at)), np.int16)


def packets(sound: Samples, expected_loss: int = 0) -> list[bytes]:
    encoder = OpusEncoder()
    encoder.arm_fec(expected_loss)
    return [encoder.encode(block, 80) for block in sound.reshape(-1, 960)]


class Line:
    """Plays packets that arrive at given turns."""

    def __init__(self) -> None:
        self.buffer = PlayoutBuffer()
        self.playout = Playout(self.buffer, OpusDecoder())
        self.blocks: list[Samples] = []
        self.heard: list[int | None] = []

    def run(self, encoded: list[bytes], delays: dict[int, float], lost: frozenset[int] = frozenset()) -> None:
        arrivals = sorted((number * TURN + delays.get(number, 0.0), number) for number in range(len(encoded)))
        arrivals = [each for each in arrivals if each[1] not in lost]
        turn = 0
        while arrivals or len(self.buffer):
            now = turn * TURN + 0.005
            turn += 1
            while arrivals and arrivals[0][0] <= now:
                at, number = arrivals.pop(0)
                self.buffer.push(number * 960, encoded[number], at, fec=carries_fec(encoded[number]))
            block = self.playout.block(now)
            if block is not None:
                self.blocks.append(block)
                self.heard.append(self.playout.heard)


def decoded(encoded: list[bytes]) -> list[Samples]:
    decoder = OpusDecoder()
    return [decoder.decode(packet) for packet in encoded]


def test_without_trouble_the_sound_is_the_decoder_s() -> None:
    encoded, line = packets(voice(50)), Line()
    line.run(encoded, {})
    assert np.array_equal(np.concatenate(line.blocks), np.concatenate(decoded(encoded)))
    assert line.heard == [number * 960 for number in range(50)]


def test_late_packets_sound_as_if_they_had_been_in_time() -> None:
    encoded, line = packets(voice(100)), Line()
    line.run(encoded, {number: 1.2 - number * TURN for number in range(50, 60)})
    original = np.concatenate(decoded(encoded))
    assert line.buffer.counters.played == 100
    assert line.buffer.counters.concealed >= 6
    first = next(index for index, at in enumerate(line.heard) if at is not None and at >= 50 * 960)
    at = line.heard[first + 1]
    assert at is not None
    assert np.array_equal(line.blocks[first + 1], original[at : at + 960]), "to the sample, and known which"


def test_nothing_clicks_when_late_sound_comes() -> None:
    encoded = packets(voice(100))
    undisturbed = np.abs(np.diff(np.concatenate(decoded(encoded)).astype(int))).max()
    for late in (0.07, 0.1, 0.15):
        line = Line()
        line.run(encoded, {number: 1.0 + late - number * TURN for number in range(50, 50 + int(late / TURN))})
        assert np.abs(np.diff(np.concatenate(line.blocks).astype(int))).max() < 1.3 * undisturbed


def test_a_lost_packet_is_recovered_from_the_next_one() -> None:
    sound = voice(100)
    encoded, line = packets(sound, 10), Line()
    recoverable = next(number for number in range(40, 90) if carries_fec(encoded[number + 1]))
    line.run(encoded, {}, frozenset((recoverable,)))
    assert (line.buffer.counters.recovered, line.buffer.counters.concealed) == (1, 0)
    original = np.concatenate(decoded(encoded))
    begin = recoverable * 960
    heard = np.concatenate(line.blocks)[begin : begin + 960]
    assert np.corrcoef(heard, original[begin : begin + 960])[0, 1] > 0.8


def test_a_long_outage_fades_to_the_background_and_stays_there() -> None:
    noise = np.random.default_rng(1).normal(0, 60, 300 * 960)
    sound = np.where(np.arange(300 * 960) < 100 * 960, noise, voice(300) + noise).astype(np.int16)
    line = Line()
    line.run(packets(sound), {}, frozenset(range(200, 290)))
    levels = [float(block.std()) for block in line.blocks]
    assert levels[190] > 1000
    for level in levels[210:285]:
        assert 15 < level < 120
    assert max(levels[291:]) > 1000
    assert line.buffer.counters.comfort >= 35


def test_what_is_heard_stays_known_when_it_is_stretched() -> None:
    encoded, line = packets(voice(400)), Line()
    line.run(encoded, {number: 2.1 - number * TURN for number in range(100, 105)})
    assert line.buffer.counters.shortened > 0
    original = np.concatenate(decoded(encoded)).astype(float)
    for block, at in list(zip(line.blocks, line.heard, strict=True))[150:390]:
        assert at is not None
        around = range(max(at - 720, 0), min(at + 721, len(original) - 960), 40)
        best = max(np.corrcoef(block, original[begin : begin + 960])[0, 1] for begin in around)
        assert best > 0.8
    assert line.heard[-1] == pytest.approx(399 * 960, abs=960)


def test_a_packet_that_is_no_opus_is_concealed() -> None:
    encoded, line = packets(voice(60)), Line()
    encoded[30] = b"\xff\xff"
    line.run(encoded, {})
    assert line.playout.undecodable == 1
    assert len(line.blocks) == 60
