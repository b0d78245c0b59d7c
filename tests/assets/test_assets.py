"""The speech that comes with the package is there, speaks, and is small."""

from __future__ import annotations

import numpy as np
import pytest

from entrenous.assets import asset_path
from lab.recordings import read_sound


@pytest.mark.parametrize("name", ["speech-a.opus", "speech-b.opus"])
def test_the_speech_is_there(name: str) -> None:
    assert asset_path(name).stat().st_size < 80_000
    samples = read_sound(asset_path(name))
    assert 10 < len(samples) / 48_000 < 20
    assert 500 < np.sqrt(np.mean(samples.astype(float) ** 2)) < 10_000


def test_the_two_voices_differ() -> None:
    one, other = (read_sound(asset_path(f"speech-{voice}.opus"))[:480_000].astype(float) for voice in "ab")
    assert abs(np.corrcoef(one, other)[0, 1]) < 0.1


def test_what_is_not_there_is_named() -> None:
    with pytest.raises(FileNotFoundError, match="speech-z"):
        asset_path("speech-z.opus")
