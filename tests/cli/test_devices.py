"""`entrenous devices`."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from entrenous import DeviceError, SoundDevice
from entrenous.cli import devices as module
from entrenous.cli.exits import ExitCode

HEADSET = SoundDevice(3, "Headset", inputs=1, outputs=2, is_default_input=True, is_default_output=False)
SPEAKER = SoundDevice(5, "Speaker", inputs=0, outputs=2, is_default_input=False, is_default_output=True)


def test_a_table_for_people(entrenous: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "list_sound_devices", lambda: [HEADSET, SPEAKER])
    lines = [line.split() for line in entrenous("devices").out.splitlines()]
    assert lines == [
        ["Number", "Name", "Microphone", "Speaker"],
        ["3", "Headset", "default", "yes"],
        ["5", "Speaker", "default"],
    ]


def test_json_for_scripts(entrenous: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "list_sound_devices", lambda: [SPEAKER])
    assert entrenous("devices", "--json").object["devices"][0]["name"] == "Speaker"


def test_none(entrenous: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "list_sound_devices", list)
    told = entrenous("devices")
    assert told.code == ExitCode.OK
    assert "--send-audio" in told.out


def test_no_sound_system(entrenous: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> list[SoundDevice]:
        raise DeviceError("PortAudio is not installed.")

    monkeypatch.setattr(module, "list_sound_devices", broken)
    failed = entrenous("devices")
    assert failed.code == ExitCode.NO_SOUND_CARD
    assert failed.err == "entrenous: PortAudio is not installed.\n"
