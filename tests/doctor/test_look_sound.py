"""Microphones and speakers that work, fail, or are not there."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import Any

import numpy as np
import pytest

from entrenous import DeviceError, SoundDevice
from entrenous.doctor import look_sound
from entrenous.doctor.facts import SoundFacts
from entrenous.doctor.look_sound import decibels, look_at_sound
from entrenous.media.streams import SoundBlock
from lab import pulse

MICROPHONE = SoundDevice(1, "Microphone", inputs=1, outputs=0, is_default_input=True, is_default_output=False)
SPEAKER = SoundDevice(2, "Speaker", inputs=0, outputs=2, is_default_input=False, is_default_output=True)


class Stream:
    """A microphone that hears one level, or a speaker that plays or does not."""

    def __init__(self, level: int = 0, *, plays: bool = True) -> None:
        self.level, self.plays, self.is_closed = level, plays, False
        self.waiting = 0.0

    async def open(self, device: object) -> Stream:
        return self

    async def read(self) -> SoundBlock:
        return SoundBlock(np.full(960, self.level, np.int16), time.monotonic())

    def write(self, block: Any) -> None:
        self.waiting = 0.0 if self.plays else 0.06

    async def close(self) -> None:
        self.is_closed = True


class Broken:
    """A device that does not open."""

    async def open(self, device: object) -> None:
        raise DeviceError("it is in use")


@pytest.fixture
def devices(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Put stand-ins in the place of the sound system."""

    def put(listed: list[SoundDevice], microphone: object = None, speaker: object = None) -> None:
        monkeypatch.setattr(look_sound, "list_sound_devices", lambda: listed)
        monkeypatch.setattr(look_sound, "MicrophoneStream", microphone)
        monkeypatch.setattr(look_sound, "SpeakerStream", speaker)

    return put


async def test_both_work(devices: Any) -> None:
    microphone, speaker = Stream(3277), Stream()
    devices([MICROPHONE, SPEAKER], microphone, speaker)
    found = await look_at_sound()
    assert found.level_dbfs == pytest.approx(-20, abs=0.1)
    assert (found.microphone_problem, found.speaker_problem) == (None, None)
    assert microphone.is_closed
    assert speaker.is_closed


async def test_a_muted_microphone_gives_digital_silence(devices: Any) -> None:
    devices([MICROPHONE], Stream(0))
    assert await look_at_sound() == SoundFacts(microphones=1)


async def test_devices_that_do_not_open(devices: Any) -> None:
    devices([MICROPHONE, SPEAKER], Broken(), Broken())
    found = await look_at_sound()
    assert (found.microphone_problem, found.speaker_problem) == ("it is in use", "it is in use")


async def test_a_speaker_that_takes_nothing(devices: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(look_sound, "PLAY_LOOKS", 2)
    devices([SPEAKER], None, Stream(plays=False))
    assert (await look_at_sound()).speaker_problem == "it takes no sound"


async def test_no_devices(devices: Any) -> None:
    devices([])
    assert await look_at_sound() == SoundFacts()


async def test_no_sound_system(devices: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise DeviceError("PortAudio is missing")

    devices([])
    monkeypatch.setattr(look_sound, "list_sound_devices", broken)
    assert (await look_at_sound()).system_problem == "PortAudio is missing"


def test_levels() -> None:
    assert decibels(32768.0) == 0.0
    assert decibels(0.0) is None


_LOOK = """
import asyncio, dataclasses, json
from entrenous.doctor.look_sound import look_at_sound
print(json.dumps(dataclasses.asdict(asyncio.run(look_at_sound()))))
"""


@pytest.mark.skipif(pulse.MISSING is not None, reason=str(pulse.MISSING))
def test_a_real_sound_card() -> None:
    """Its microphone hears what its speaker plays: the doctor's own silence."""
    with pulse.sound_card() as card:
        done = subprocess.run(
            [sys.executable, "-c", _LOOK], env=card.environment, capture_output=True, check=True, timeout=60
        )
    seen = json.loads(done.stdout)
    assert seen["microphones"] > 0
    assert seen["speakers"] > 0
    assert (seen["system_problem"], seen["microphone_problem"], seen["speaker_problem"]) == (None, None, None)
    assert seen["level_dbfs"] is None, "digital silence"
