"""`entrenous devices`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from entrenous import CheckPart, DeviceError, SoundCheck, SoundDevice, SoundFinding
from entrenous.cli import devices as module
from entrenous.cli.exits import ExitCode

HEADSET = SoundDevice(3, "Headset", inputs=1, outputs=2, is_default_input=True, is_default_output=False, rate=44_100)
SPEAKER = SoundDevice(5, "Speaker", inputs=0, outputs=2, is_default_input=False, is_default_output=True)


def test_a_table_for_people(entrenous: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "list_sound_devices", lambda: [HEADSET, SPEAKER])
    lines = [line.split() for line in entrenous("devices").out.splitlines()]
    assert lines == [
        ["Number", "Name", "Microphone", "Speaker", "Rate"],
        ["3", "Headset", "default", "yes", "44.1", "kHz"],
        ["5", "Speaker", "default", "48", "kHz"],
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


CHECK = SoundCheck(
    microphone="Headset",
    speaker="Speaker",
    noise_dbfs=-70.2,
    echo_dbfs=-40.0,
    voice_dbfs=-20.0,
    clipped=0.0,
    round_trip_ms=31.4,
    underruns=1,
    overruns=0,
    finding=SoundFinding.FINE,
)


def pretend(monkeypatch: pytest.MonkeyPatch, check: SoundCheck) -> list[object]:
    """Let a test come out like this; what it was asked to test."""
    asked: list[object] = []

    async def done(microphone: object, speaker: object, on_level: Callable) -> SoundCheck:
        asked.extend((microphone, speaker))
        for part in CheckPart:
            on_level(part, -30.0)
            on_level(part, None)
        return check

    monkeypatch.setattr(module, "check_sound", done)
    return asked


def test_a_test_says_what_it_does_and_what_came_out(entrenous: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = pretend(monkeypatch, CHECK)
    told = entrenous("devices", "--test", "--microphone", "3", "--speaker", "desk")
    assert asked == [3, "desk"]
    assert told.code == ExitCode.OK
    assert told.err.splitlines() == ["Be quiet for a moment …", "You should hear a melody …", "Speak, please …"]
    assert told.out.splitlines() == [
        "Microphone: Headset   Speaker: Speaker",
        "room -70 dB · voice -20 dB · echo -40 dB · speaker to microphone 31 ms · gaps 1 played, 0 recorded",
        "It works: the melody and your voice were heard well.",
    ]


@pytest.mark.parametrize("finding", SoundFinding)
def test_every_finding_has_a_sentence_and_faults_an_exit_code(
    entrenous: Callable, monkeypatch: pytest.MonkeyPatch, finding: SoundFinding
) -> None:
    pretend(monkeypatch, replace(CHECK, finding=finding))
    told = entrenous("devices", "--test", "--json")
    assert told.code == (ExitCode.FAULT_FOUND if finding.is_fault else ExitCode.OK)
    assert told.object["check"]["finding"] == finding.value
    assert told.object["fault"] is finding.is_fault
    assert told.object["advice"].endswith(".")


def test_devices_are_chosen_for_a_test_only(entrenous: Callable) -> None:
    assert entrenous("devices", "--microphone", "3").code == ExitCode.USAGE


@pytest.mark.parametrize(("dbfs", "filled"), [(None, 0), (-90.0, 0), (-30.0, 20), (0.0, 40), (3.0, 40)])
def test_the_meter(dbfs: float | None, filled: int) -> None:
    assert module.bar(dbfs).count("█") == filled
