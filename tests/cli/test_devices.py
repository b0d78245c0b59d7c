"""`entrenous devices`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from entrenous import Camera, CheckPart, DeviceError, SoundCheck, SoundDevice, SoundFinding
from entrenous.cli import devices as module
from entrenous.cli.exits import ExitCode

HEADSET = SoundDevice(3, "Headset", inputs=1, outputs=2, is_default_input=True, is_default_output=False, rate=44_100)
SPEAKER = SoundDevice(5, "Speaker", inputs=0, outputs=2, is_default_input=False, is_default_output=True)
FRONT, NAMELESS = Camera("/dev/video0", "Front camera"), Camera("/dev/video2", "")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for the account, empty so far."""
    monkeypatch.setenv("ENTRENOUS_PROFILE", str(tmp_path))
    return tmp_path


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let the machine have these devices."""

    def has(*devices: SoundDevice, cameras: tuple[Camera, ...] = ()) -> None:
        monkeypatch.setattr(module, "list_sound_devices", lambda: list(devices))
        monkeypatch.setattr(module, "list_cameras", lambda: list(cameras))

    return has


def choose(folder: Path) -> None:
    """Let the account's configuration name devices."""
    settings = 'microphone = "Headset"\nspeaker = 5\ncamera_device = "front"\n'
    (folder / "node.toml").write_text(f'server = "calls.example.org"\nprofile = "."\n[media]\n{settings}')


def test_tables_for_people(entrenous: Callable, machine: Callable) -> None:
    machine(HEADSET, SPEAKER, cameras=(FRONT, NAMELESS))
    lines = [line.split() for line in entrenous("devices").out.splitlines()]
    assert lines == [
        ["Number", "Name", "Microphone", "Speaker", "Rate"],
        ["3", "Headset", "default", "yes", "44.1", "kHz"],
        ["5", "Speaker", "default", "48", "kHz"],
        [],
        ["Camera", "Opened", "as"],
        ["Front", "camera", "/dev/video0"],
        ["/dev/video2", "/dev/video2"],
    ]


def test_json_for_scripts(entrenous: Callable, machine: Callable, folder: Path) -> None:
    machine(SPEAKER, cameras=(FRONT,))
    told = entrenous("devices", "--json").object
    assert told["devices"][0]["name"] == "Speaker"
    assert told["cameras"] == [{"name": "/dev/video0", "description": "Front camera"}]
    assert told["chosen"] == {"microphone": None, "speaker": None, "camera_device": None}
    choose(folder)
    chosen = entrenous("devices", "--json").object["chosen"]
    assert chosen == {"microphone": "Headset", "speaker": 5, "camera_device": "front"}


def test_what_the_configuration_chooses_is_said(entrenous: Callable, machine: Callable, folder: Path) -> None:
    machine(HEADSET, SPEAKER, cameras=(FRONT,))
    choose(folder)
    chosen = entrenous("devices").out.splitlines()[-1]
    assert chosen == f"Chosen in {folder}/node.toml: microphone = 'Headset', speaker = 5, camera_device = 'front'"


def test_none(entrenous: Callable, machine: Callable) -> None:
    machine()
    told = entrenous("devices")
    assert told.code == ExitCode.OK
    assert "--send-audio" in told.out
    assert "There is no camera" in told.out


def test_no_sound_system(entrenous: Callable, machine: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> list[SoundDevice]:
        raise DeviceError("PortAudio is not installed.")

    machine()
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


def test_what_the_configuration_chooses_is_tested_unless_another_is_named(
    entrenous: Callable, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    asked = pretend(monkeypatch, CHECK)
    entrenous("devices", "--test")
    choose(folder)
    entrenous("devices", "--test")
    entrenous("devices", "--test", "--microphone", "0")
    entrenous("devices", "--test", "--speaker", "desk")
    assert asked == [None, None, "Headset", 5, 0, 5, "Headset", "desk"]


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
