"""A tone has its pitch, no seams, and the cadence of a call."""

from __future__ import annotations

import numpy as np
import pytest

from entrenous.media.sources import ToneSource
from lab.recordings import dominant_hz
from world.media_clock import SimulatedClock


@pytest.mark.parametrize("hz", [440.0, 1234.5])
async def test_a_tone_is_one_unbroken_wave(hz: float) -> None:
    source = ToneSource(hz, amplitude=0.5, clock=SimulatedClock())
    await source.start()
    blocks = [await source.read() for _ in range(50)]
    samples = np.concatenate([block.samples for block in blocks if block])
    assert dominant_hz(samples) == pytest.approx(hz, abs=1)
    assert np.abs(samples).max() == pytest.approx(0.5 * 32767, abs=20)
    steepest = 0.5 * 32767 * 2 * np.pi * hz / 48_000
    assert np.abs(np.diff(samples.astype(int))).max() <= steepest + 1
    await source.close()


async def test_blocks_are_20_ms_apart_without_drift() -> None:
    source = ToneSource(clock=SimulatedClock())
    await source.start()
    times = [block.captured_at for block in [await source.read() for _ in range(500)] if block]
    assert times == [1000 + number * 0.02 for number in range(500)]
    assert source.video is None
