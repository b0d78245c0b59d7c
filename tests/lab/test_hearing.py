"""The ear of the laboratory: which tone it hears, and what it takes for a gap."""

from __future__ import annotations

import time

import numpy as np
import pytest

from entrenous import BLOCK_SAMPLES, SAMPLE_RATE, Samples
from lab.network.sound import is_steady
from world.hearing import AMPLITUDE, AUDIBLE, BLOCK_SECONDS, ToneEar, heard_at, longest_gap


def tone(hz: float, amplitude: float = AMPLITUDE) -> Samples:
    wave = np.sin(2 * np.pi * hz / SAMPLE_RATE * np.arange(BLOCK_SAMPLES))
    return np.rint(amplitude * wave).astype(np.int16)


@pytest.mark.parametrize(
    ("block", "audible"),
    [
        (tone(440), True),
        (tone(440, AMPLITUDE / 2), True),
        (tone(660), False),
        (tone(440, 500), False),
        (tone(0), False),
    ],
)
def test_only_the_expected_tone_is_heard(block: Samples, audible: bool) -> None:
    ear = ToneEar(440)
    ear.play(block, 0.0)
    assert (ear.blocks[0][1] >= AUDIBLE) == audible


def test_what_is_played_late_is_heard_late_and_what_is_played_early_when_it_is_due() -> None:
    ear, now = ToneEar(440), time.monotonic()
    ear.play(tone(440), now - 1.0)
    ear.play(tone(440), now + 1.0)
    assert ear.blocks[0][0] >= now
    assert ear.blocks[1][0] == now + 1.0


def sound(*spans: tuple[float, float, float]) -> list[tuple[float, float]]:
    """Blocks every 20 ms in spans of begin, end and level."""
    return [
        (begin + number * BLOCK_SECONDS, level)
        for begin, end, level in spans
        for number in range(round((end - begin) / BLOCK_SECONDS))
    ]


def test_silence_and_missing_blocks_are_gaps_alike() -> None:
    silent = sound((0.0, 1.0, 1.0), (1.0, 1.3, 0.0), (1.3, 2.0, 1.0))
    missing = sound((0.0, 1.0, 1.0), (1.3, 2.0, 1.0))
    for blocks in (silent, missing):
        assert longest_gap(blocks, 0.5, 1.9) == pytest.approx(0.3)
        assert longest_gap(blocks, 1.2, 1.9) == pytest.approx(0.3), "the part before the span counts too"
        assert longest_gap(blocks, 1.5, 1.9) == pytest.approx(0.0)
    assert heard_at(silent, 1.1) == pytest.approx(1.3)
    assert heard_at(silent, 2.5) is None


def test_a_gap_that_has_not_ended_counts_up_to_the_end_of_the_span() -> None:
    assert longest_gap(sound((0.0, 1.0, 1.0)), 0.5, 4.0) == pytest.approx(3.0)
    assert longest_gap([], 0.5, 4.0) == pytest.approx(3.5)


def test_sound_is_steady_after_half_a_second_without_a_hole() -> None:
    blocks = sound((0.0, 1.0, 1.0), (3.0, 4.0, 1.0))
    assert not is_steady(blocks, 3.2)
    assert is_steady(blocks, 3.9)
    assert not is_steady(blocks, 5.0)
