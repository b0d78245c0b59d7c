"""What a sound test says about what was heard."""

from __future__ import annotations

import numpy as np
import pytest

from entrenous.media.devices.verdict import Heard, SoundFinding, judge, level, melody
from entrenous.media.streams import SoundBlock

PLAYED_AT = 100.0


def blocks(wave: np.ndarray, begin: float = PLAYED_AT) -> list[SoundBlock]:
    whole = len(wave) // 960
    return [SoundBlock(wave[n * 960 : (n + 1) * 960].astype(np.int16), begin + n * 0.02) for n in range(whole)]


def noise(seconds: float, dbfs: float) -> np.ndarray:
    return np.random.default_rng(1).standard_normal(round(seconds * 48_000)) * 32768 * 10 ** (dbfs / 20)


def voice(dbfs: float) -> np.ndarray:
    """Three seconds of bursts."""
    at = np.arange(3 * 48_000) / 48_000
    return 32768 * 10 ** (dbfs / 20) * np.sqrt(2) * np.sin(2 * np.pi * 180 * at) * (at % 0.6 < 0.4)


def tune(dbfs: float | None, *, after: float = 0.080) -> np.ndarray:
    """2.5 s in which the melody comes at this level, None for not at all."""
    sound = noise(2.5, -75)
    if dbfs is not None:
        wave = np.concatenate(melody()).astype(float)
        wave *= 32768 * 10 ** (dbfs / 20) / np.sqrt(np.mean(wave**2))
        begin = round(after * 48_000)
        sound[begin : begin + len(wave)] += wave
    return sound


ROOM = noise(0.8, -75)


@pytest.mark.parametrize(
    ("room", "played", "spoken", "finding"),
    [
        (ROOM * 0, ROOM * 0, ROOM * 0, SoundFinding.DEAD_MICROPHONE),
        (ROOM, tune(None), noise(3, -75), SoundFinding.NOTHING_HEARD),
        (ROOM, tune(-40), np.clip(voice(4), -32768, 32767), SoundFinding.CLIPPING),
        (ROOM, tune(-40), voice(-50), SoundFinding.TOO_SOFT),
        (ROOM, tune(-20), voice(-20), SoundFinding.LOUD_ECHO),
        (noise(0.8, -40), tune(-35), voice(-20), SoundFinding.NOISY),
        (ROOM, tune(None), voice(-20), SoundFinding.SPEAKER_UNHEARD),
        (ROOM, tune(-40), noise(3, -75), SoundFinding.NOBODY_SPOKE),
        (ROOM, tune(-40), voice(-20), SoundFinding.FINE),
    ],
)
def test_findings(room: np.ndarray, played: np.ndarray, spoken: np.ndarray, finding: SoundFinding) -> None:
    heard = Heard(blocks(room, 90.0), blocks(played), blocks(spoken, 110.0))
    assert judge(heard, PLAYED_AT).finding is finding


def test_levels_and_the_way_from_speaker_to_microphone() -> None:
    heard = Heard(blocks(ROOM, 90.0), blocks(tune(-40, after=0.0835)), blocks(voice(-20), 110.0))
    check = judge(heard, PLAYED_AT, microphone="desk", underruns=2)
    assert check.noise_dbfs == pytest.approx(-75, abs=1)
    assert check.voice_dbfs == pytest.approx(-20, abs=0.5)
    assert check.echo_dbfs == pytest.approx(-40, abs=0.5)
    assert check.round_trip_ms == pytest.approx(83.5, abs=0.1)
    assert (check.microphone, check.underruns) == ("desk", 2)


def test_times_that_cannot_be_true_are_left_out() -> None:
    heard = Heard(blocks(ROOM, 90.0), blocks(tune(-40), PLAYED_AT - 1), blocks(voice(-20), 110.0))
    check = judge(heard, PLAYED_AT)
    assert check.round_trip_ms is None
    assert check.echo_dbfs is not None


def test_nothing_at_all_is_a_dead_microphone() -> None:
    assert judge(Heard([], [], []), PLAYED_AT).finding is SoundFinding.DEAD_MICROPHONE
    assert level(np.zeros(960, np.int16)) is None
