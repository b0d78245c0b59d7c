"""The processor: pairs what is played with what is heard, takes echo and noise out, and costs nothing when off."""

from __future__ import annotations

import logging
import subprocess
import sys

import numpy as np
import pytest

from entrenous.errors import DeviceError
from entrenous.media.processing import Processing, SoundProcessor, Switch, missing_processing, processor
from entrenous.media.processing.settings import Parts

INSTALLED = missing_processing() is None
needs_library = pytest.mark.skipif(not INSTALLED, reason="pywebrtc-audio is not installed")

ECHO = Processing(echo=Switch.ON, noise=Switch.OFF)
NOISE = Processing(echo=Switch.OFF, noise=Switch.ON)


def decibels(wave: np.ndarray) -> float:
    return float(10 * np.log10(np.mean(np.square(wave, dtype=np.float64)) + 1e-9))


def made(processing: Processing) -> SoundProcessor:
    """A processor that is to exist."""
    there = SoundProcessor.make(processing)
    assert there is not None
    return there


@pytest.fixture
def missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processor.importlib.util, "find_spec", lambda _: None)
    monkeypatch.setattr(processor, "_said", set())


def test_nothing_to_do_is_no_processor_and_no_import() -> None:
    code = (
        "import sys\n"
        "from entrenous.media.processing import Processing, SoundProcessor, Switch\n"
        "print(SoundProcessor.make(Processing(echo=Switch.OFF, noise=Switch.OFF)), 'pywebrtc_audio' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["None", "False"]


@pytest.mark.usefixtures("missing")
def test_what_was_switched_on_and_is_missing_says_what_to_install() -> None:
    with pytest.raises(DeviceError, match=r"pip install 'entrenous\[processing\]'"):
        SoundProcessor.make(NOISE)


@pytest.mark.usefixtures("missing")
def test_what_was_not_switched_on_is_missed_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert SoundProcessor.make(Processing()) is None
    assert [record.getMessage() for record in caplog.records] == [missing_processing()]


@needs_library
def test_an_echo_goes_and_comes_back_when_it_is_not_told_what_is_played() -> None:
    chance = np.random.default_rng(1)
    far = (chance.standard_normal(48_000 * 4) * 3000).astype(np.int16)
    echo = np.roll((far * 0.3).astype(np.int16), 48_000 // 20)
    left = {}
    for told in (True, False):
        canceller = made(ECHO)
        out = []
        for at in range(0, len(far), 480):
            if told:
                canceller.play_out(far[at : at + 480])
            out.append(canceller.capture(echo[at : at + 480]))
        left[told] = decibels(np.concatenate(out)[48_000 * 3 :])
    assert left[True] < decibels(echo) - 15
    assert left[False] > decibels(echo) - 3


@needs_library
def test_steady_noise_becomes_softer() -> None:
    noise = (np.random.default_rng(1).standard_normal(48_000 * 4) * 200).astype(np.int16)
    suppressor = made(NOISE)
    out = np.concatenate([suppressor.capture(noise[at : at + 480]) for at in range(0, len(noise), 480)])
    assert decibels(out[-48_000:]) < decibels(noise) - 12


@needs_library
def test_gain_is_there_when_it_is_asked_for() -> None:
    assert not made(Processing()).parts.gain
    gain = made(Processing(echo=Switch.OFF, noise=Switch.OFF, gain=Switch.ON))
    assert gain.parts == Parts(echo=False, noise=False, gain=True)
    assert gain.capture(np.zeros(480, np.int16)).shape == (480,)


@needs_library
def test_uneven_turns_leave_a_cushion_and_a_still_microphone_a_bounded_queue() -> None:
    canceller = made(ECHO)
    silence = np.zeros(480, np.int16)
    canceller.capture(silence)
    assert canceller.unpaired == 1
    for _ in range(2):
        canceller.play_out(silence)
    for _ in range(2):
        canceller.capture(silence)
        canceller.play_out(silence)
    assert canceller.unpaired == 1, "the block that came late stands by"
    for _ in range(100):
        canceller.play_out(silence)
    assert canceller.dropped == 90


@needs_library
def test_a_late_microphone_does_not_hear_of_sounds_after_their_echo() -> None:
    canceller = made(ECHO)
    silence = np.zeros(480, np.int16)
    for _ in range(30):  # the speaker begins earlier
        canceller.play_out(silence)
    before = canceller.dropped
    for _ in range(150):
        canceller.play_out(silence)
        canceller.capture(silence)
    assert canceller.dropped == before + 11, "of twelve that wait one is enough"
    assert canceller.unpaired == 0


@needs_library
def test_bursts_keep_the_cushion_that_they_need() -> None:
    canceller = made(ECHO)
    silence = np.zeros(480, np.int16)
    for _ in range(300):
        for _ in range(3):
            canceller.play_out(silence)
        for _ in range(3):
            canceller.capture(silence)
    assert (canceller.dropped, canceller.unpaired) == (0, 0)


@needs_library
def test_what_is_played_is_not_kept_when_there_is_no_echo_to_take_out() -> None:
    suppressor = made(NOISE)
    for _ in range(100):
        suppressor.play_out(np.zeros(480, np.int16))
    assert suppressor.dropped == 0
