"""Sound is made shorter and longer by whole periods, keeps its pitch, and nothing clicks."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entrenous.media.codecs.base import Samples
from entrenous.media.stretch import join, lengthen, shorten

Change = Callable[[Samples, Samples, int, float], Samples | None]


def voice(pitch: float, count: int, start: int = 0, level: float = 6000) -> Samples:
    """A tone with four harmonics: as periodic as a vowel."""
    at = (start + np.arange(count)) / 48_000
    wave = sum(np.sin(2 * np.pi * pitch * number * at + number) / number for number in range(1, 5))
    return np.asarray(level * wave, np.int16)


def steepest(sound: Samples) -> int:
    return int(np.abs(np.diff(sound.astype(int))).max())


@pytest.mark.parametrize("pitch", [80.0, 110.0, 220.5, 350.0])
@pytest.mark.parametrize("change", [shorten, lengthen])
def test_a_voice_loses_or_gains_whole_periods_and_keeps_its_shape(pitch: float, change: Change) -> None:
    heard, sound = voice(pitch, 960), voice(pitch, 1920, 960)
    changed = change(heard, sound, 720, 0.95)
    assert changed is not None
    assert changed.dtype == np.int16
    lag = abs(len(changed) - len(sound))
    period = 48_000 / pitch
    assert 120 <= lag <= 720
    assert abs(lag - period * round(lag / period)) <= 1
    whole = np.concatenate((heard, changed))
    expected = voice(pitch, len(whole))
    assert np.abs(whole.astype(int) - expected).max() < 0.06 * np.abs(expected.astype(int)).max()


@pytest.mark.parametrize("change", [shorten, lengthen])
def test_no_more_is_changed_than_asked_for(change: Change) -> None:
    heard, sound = voice(200, 960), voice(200, 960, 960)
    changed = change(heard, sound, 250, 0.5)
    assert changed is not None
    assert abs(len(changed) - 960) == pytest.approx(240, abs=1)
    assert change(heard, sound, 119, -1.0) is None


@pytest.mark.parametrize("change", [shorten, lengthen])
def test_what_does_not_resemble_itself_is_left_alone_unless_it_has_to_be(change: Change) -> None:
    noise = np.random.default_rng(1).normal(0, 4000, 1920).astype(np.int16)
    assert change(noise[:960], noise[960:], 720, 0.8) is None
    assert change(noise[:960], noise[960:], 720, -1.0) is not None


@pytest.mark.parametrize("change", [shorten, lengthen])
@pytest.mark.parametrize("level", [0, 100])
def test_quiet_passages_are_changed_readily(change: Change, level: int) -> None:
    noise = np.random.default_rng(1).normal(0, level, 1920).astype(np.int16)
    assert change(noise[:960], noise[960:], 720, 2.0) is not None


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    stored=st.integers(960, 4000),
    most=st.integers(0, 5000),
    longer=st.booleans(),
    level=st.sampled_from([0.0, 10.0, 3000.0, 30_000.0]),
)
def test_whatever_the_sound_lengths_are_kept_to(seed: int, stored: int, most: int, longer: bool, level: float) -> None:
    rng = np.random.default_rng(seed)
    line = np.clip(rng.normal(0, level, 960 + stored), -32_768, 32_767).astype(np.int16)
    heard, sound = line[:960], line[960:]
    before = line.copy()
    changed = (lengthen if longer else shorten)(heard, sound, most, -1.0)
    assert np.array_equal(line, before)
    if changed is None:
        assert most < 120
        return
    added = len(changed) - stored
    assert 120 <= (added if longer else -added) <= min(most, 720)
    untouched = len(changed) - max(240, added)
    assert np.array_equal(changed[len(changed) - untouched :], sound[stored - untouched :])
    assert changed[0] == sound[0]


def test_joined_sounds_are_in_step() -> None:
    for shift in (0, 37, 150, 333):
        continuation, sound = voice(150, 960), voice(150, 960, 5000 + shift)
        joined = join(continuation, sound)
        assert 960 <= len(joined) <= 960 + 480
        assert steepest(np.concatenate((voice(150, 960, -960), joined))) < 1.2 * steepest(sound)
        assert np.array_equal(joined[-700:], sound[-700:])


def test_a_sound_after_quiet_begins_at_once() -> None:
    joined = join(np.zeros(960, np.int16), voice(150, 960))
    assert len(joined) == 960
    assert joined[0] == 0
