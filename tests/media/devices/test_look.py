"""A look from another process."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from entrenous.media.devices import look
from entrenous.media.devices.listing import SoundDevice
from lab import pulse


def test_signs_stay_while_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert look.signs_of_change() == look.signs_of_change()
    monkeypatch.setattr(sys, "platform", "darwin")
    assert look.signs_of_change() is None


def test_a_card_that_is_plugged_in_is_a_sign(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    cards = tmp_path / "cards"
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(look, "_SIGNS", (cards,))
    before = look.signs_of_change()
    cards.write_text("0 [Headset]")
    assert look.signs_of_change() != before


@pytest.mark.parametrize("said", ["", "no JSON", '[{"colour": "red"}]', "5"])
def test_what_cannot_be_found_out_is_none(monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    class Process:
        def __init__(self, *_: object, **__: object) -> None:
            pass

        def communicate(self, timeout: float | None = None) -> tuple[str, None]:
            return said, None

    monkeypatch.setattr(subprocess, "Popen", Process)
    assert look.look(threading.Event()) is None


def test_a_packed_program_does_not_start_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setattr(subprocess, "Popen", None)
    assert look.look(threading.Event()) is None


def test_a_look_that_is_not_wanted_any_more_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    killed = []

    class Process:
        def __init__(self, *_: object, **__: object) -> None:
            pass

        def communicate(self, timeout: float | None = None) -> tuple[str, None]:
            if killed:
                return "", None
            raise subprocess.TimeoutExpired("look", 0)

        def kill(self) -> None:
            killed.append(True)

    monkeypatch.setattr(subprocess, "Popen", Process)
    stop = threading.Event()
    stop.set()
    assert look.look(stop) is None
    assert killed


@pytest.mark.skipif(pulse.MISSING is not None, reason=str(pulse.MISSING))
def test_what_is_plugged_in_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    with pulse.sound_card() as card:
        for name in list(os.environ):
            if name not in card.environment:
                monkeypatch.delenv(name)
        for name, value in card.environment.items():
            monkeypatch.setenv(name, value)

        def names() -> set[str]:
            found = look.look(threading.Event())
            assert found is not None
            assert all(isinstance(device, SoundDevice) for device in found)
            return {device.name for device in found}

        assert pulse.HEADSET not in names()
        with card.headset():
            assert pulse.HEADSET in names()
        assert pulse.HEADSET not in names()
