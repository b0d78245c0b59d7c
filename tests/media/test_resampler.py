"""The resampler: right pitch, right level, nothing folded down, and a ratio that may change."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from entrenous.media.resampler import Resampler, rounded


def tone(hz: float, rate: float, seconds: float = 0.5) -> NDArray[np.float64]:
    return 10_000 * np.sin(2 * np.pi * hz * np.arange(round(rate * seconds)) / rate)


def through(resampler: Resampler, wave: NDArray[np.float64], piece: int) -> NDArray[np.float64]:
    """In pieces, everything that can be had each time."""
    out = []
    for at in range(0, len(wave), piece):
        resampler.push(wave[at : at + piece].astype(np.float32))
        out.append(resampler.pull(resampler.available))
    return np.concatenate(out).astype(np.float64)


def fit(wave: NDArray[np.float64], hz: float, rate: float) -> tuple[float, float]:
    """Level of the tone in the wave, and dB by which it stands above everything else."""
    wave = wave[len(wave) // 8 : -len(wave) // 8]
    at = 2 * np.pi * hz * np.arange(len(wave)) / rate
    basis = np.stack((np.sin(at), np.cos(at)), axis=1)
    weights = np.linalg.lstsq(basis, wave, rcond=None)[0]
    rest = wave - basis @ weights
    return float(np.hypot(*weights)), float(20 * np.log10(np.hypot(*weights) / np.sqrt(2) / rest.std()))


@pytest.mark.parametrize(("before", "after"), [(44_100, 48_000), (16_000, 48_000), (48_000, 44_100), (48_000, 16_000)])
@pytest.mark.parametrize("hz", [300, 3000])
def test_a_tone_keeps_its_pitch_and_level(before: int, after: int, hz: int) -> None:
    out = through(Resampler(before / after), tone(hz, before), before // 100)
    assert len(out) == pytest.approx(after / 2, abs=60)
    level, clean = fit(out, hz, after)
    assert level == pytest.approx(10_000, rel=0.01)
    assert clean > 60


def test_what_the_lower_rate_cannot_say_is_taken_out_instead_of_folded_down() -> None:
    out = through(Resampler(3), tone(11_000, 48_000), 480)
    assert np.abs(out[200:-200]).max() < 10


def test_as_it_came_while_nothing_is_to_be_changed() -> None:
    wave = np.arange(1000, dtype=np.float64)
    out = through(Resampler(), wave, 100)
    assert out.tolist() == [0, *range(len(out) - 1)]


def test_the_ratio_may_change_without_a_click() -> None:
    resampler, out = Resampler(), []
    wave = tone(500, 48_000, 1.0)
    for number, at in enumerate(range(0, len(wave), 480)):
        resampler.step = 1 + 0.005 * (number % 3 - 1)
        resampler.push(wave[at : at + 480].astype(np.float32))
        out.append(resampler.pull(resampler.available))
    steps = np.abs(np.diff(np.concatenate(out)[100:]))
    assert steps.max() < 1.05 * 10_000 * 2 * np.pi * 500 / 48_000


def test_skipping_leaves_the_oldest_out() -> None:
    resampler = Resampler()
    resampler.push(np.arange(1, 1001, dtype=np.float32))
    waiting = resampler.waiting
    resampler.skip(300)
    assert resampler.waiting == waiting - 300
    resampler.skip(10_000)
    assert resampler.waiting == 0


def test_more_than_there_is_cannot_be_pulled() -> None:
    resampler = Resampler()
    resampler.push(np.zeros(100, np.float32))
    with pytest.raises(ValueError, match="101 samples"):
        resampler.pull(101)


def test_rounding_clips() -> None:
    assert rounded(np.array([1.5, -40_000, 40_000], np.float32)).tolist() == [2, -32768, 32767]
