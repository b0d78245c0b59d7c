"""PortAudio: clear errors, and streams that open as the device wants them."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

import pytest

from entrenous.errors import DeviceError
from entrenous.media.devices import portaudio
from entrenous.media.devices.listing import Direction, SoundDevice

DEVICE = SoundDevice(4, "old card", 2, 2, True, True, rate=44_100)


class FakePortAudio:
    """Stands in for the library where it is to misbehave.

    Args:
        accepts: the rate and channels that a stream opens with; None: any.
        starts: whether a stream that was opened starts.
    """

    class PortAudioError(Exception):
        pass

    def __init__(self, accepts: tuple[int, int] | None = None, *, starts: bool = True) -> None:
        self.accepts = accepts
        self.starts = starts
        self.tried: list[tuple[int, int, int]] = []
        self.closed = 0

    def stream(self, **settings: Any) -> Any:
        self.tried.append((settings["samplerate"], settings["channels"], settings["blocksize"]))
        if self.accepts not in (None, self.tried[-1][:2]):
            raise self.PortAudioError("Invalid sample rate")
        return self

    RawInputStream = RawOutputStream = stream

    def start(self) -> None:
        if not self.starts:
            raise self.PortAudioError("Device unavailable")

    def close(self, ignore_errors: bool = True) -> None:
        self.closed += 1

    def query_devices(self) -> Any:
        raise self.PortAudioError("Not initialised")

    @property
    def default(self) -> Any:
        raise self.PortAudioError("Not initialised")

    _terminate = query_devices


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Callable[[FakePortAudio], FakePortAudio]:
    def put(fake: FakePortAudio) -> FakePortAudio:
        monkeypatch.setattr(portaudio, "library", lambda: fake)
        return fake

    return put


def open_it(configured: list[tuple[int, int]], latency_ms: int = 20) -> portaudio.OpenStream:
    return portaudio.open_stream(
        Direction.SPEAKER, DEVICE, lambda *_: None, lambda *kind: configured.append(kind), lambda: None, latency_ms
    )


def test_a_missing_portaudio_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(DeviceError, match="apt install libportaudio2"):
        portaudio.devices()


@pytest.mark.parametrize(("given", "obeyed"), [(False, "40"), (True, "60")])
def test_how_much_the_sound_server_keeps_is_ours_to_say_unless_somebody_has(
    install: Callable[[FakePortAudio], FakePortAudio], monkeypatch: pytest.MonkeyPatch, given: bool, obeyed: str
) -> None:
    monkeypatch.setenv("PULSE_LATENCY_MSEC", "60")
    monkeypatch.setattr(portaudio, "_PULSE_LATENCY_IS_GIVEN", given)
    install(FakePortAudio())
    open_it([], latency_ms=40)
    assert os.environ["PULSE_LATENCY_MSEC"] == obeyed


def test_a_list_that_cannot_be_had_is_an_error(install: Callable[[FakePortAudio], FakePortAudio]) -> None:
    install(FakePortAudio())
    for ask in (portaudio.devices, portaudio.initialise_again):
        with pytest.raises(DeviceError, match="cannot be listed: Not initialised"):
            ask()


@pytest.mark.parametrize("kind", [(48_000, 1), (48_000, 2), (44_100, 1), (44_100, 2)])
def test_a_stream_opens_as_the_device_wants_it(
    install: Callable[[FakePortAudio], FakePortAudio], kind: tuple[int, int]
) -> None:
    fake = install(FakePortAudio(kind))
    configured: list[tuple[int, int]] = []
    open_it(configured)
    assert configured[-1] == kind, "whoever is called back knows in what form"
    assert fake.tried[0] == (48_000, 1, 480), "48 kHz mono is asked for first"
    assert fake.tried[-1][2] == kind[0] // 100, "10 ms at a time"


def test_what_does_not_start_is_closed(install: Callable[[FakePortAudio], FakePortAudio]) -> None:
    fake = install(FakePortAudio(starts=False))
    with pytest.raises(DeviceError, match="Device unavailable"):
        open_it([])
    assert fake.closed == len(fake.tried)
