"""Lines that stay open: on a real PortAudio whose devices come and go, and step by step on a pretended one."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from entrenous.errors import DeviceError
from entrenous.media.devices import look, portaudio, system
from entrenous.media.devices.listing import Direction, SoundDevice
from entrenous.media.devices.system import DeviceChange, Line, SoundSystem
from lab import pulse

DEFAULT = SoundDevice(0, "default", 2, 2, True, True)
HEADSET = SoundDevice(1, "headset", 1, 2, False, False)
OTHER = SoundDevice(2, "other", 1, 2, False, False)


class Computer:
    """A computer whose devices come and go, in place of PortAudio."""

    def __init__(self) -> None:
        self.plugged: list[SoundDevice] = [DEFAULT, HEADSET]
        self.known: list[SoundDevice] = []
        self.refuses: set[str] = set()
        self.running: dict[object, SoundDevice] = {}
        self.ends: list[Any] = []
        self.calls: list[Any] = []
        self.latencies: list[int] = []

    def devices(self) -> list[SoundDevice]:
        return self.known

    def initialise_again(self) -> None:
        assert not self.running, "PortAudio is only terminated when nothing is open"
        self.known = list(self.plugged)

    def open_stream(
        self, _: object, device: SoundDevice, call: Any, configure: Any, ended: Any, latency_ms: int
    ) -> Any:
        if device not in self.plugged or device.name in self.refuses:
            raise DeviceError("Device unavailable")
        configure(48_000, 1)
        self.ends.append(ended)
        self.calls.append(call)
        self.latencies.append(latency_ms)
        computer = self

        class Stream:
            @property
            def is_running(self) -> bool:
                return computer.running.get(self) in computer.plugged

            def close(self) -> None:
                computer.running.pop(self, None)

        stream = Stream()
        self.running[stream] = device
        return stream

    def unplug(self, device: SoundDevice) -> None:
        self.plugged.remove(device)


@pytest.fixture
def computer(monkeypatch: pytest.MonkeyPatch) -> Computer:
    made = Computer()
    for name in ("devices", "initialise_again", "open_stream"):
        monkeypatch.setattr(portaudio, name, getattr(made, name))
    monkeypatch.setattr(look, "signs_of_change", lambda: "the same")
    return made


class Told:
    """Waits for what a line tells."""

    def __init__(self) -> None:
        self.changes: list[DeviceChange] = []
        self._more = threading.Condition()

    def __call__(self, change: DeviceChange) -> None:
        with self._more:
            self.changes.append(change)
            self._more.notify_all()

    def wait(self, count: int) -> list[tuple[str | None, bool]]:
        with self._more:
            assert self._more.wait_for(lambda: len(self.changes) >= count, timeout=60), self.changes
        return [(change.device, change.wanted) for change in self.changes]


@contextmanager
def opened(lines: SoundSystem, direction: Direction, wanted: str | int | None) -> Iterator[tuple[Line, Told]]:
    told = Told()
    line = Line(direction, wanted, lambda *_: None, lambda *_: None, told)
    lines.open(line)
    try:
        yield line, told
    finally:
        lines.close(line)


# --- step by step


@pytest.mark.parametrize(("wanted", "name"), [(None, "default"), ("head", "headset"), (1, "headset")])
def test_a_line_opens_on_what_is_wanted(computer: Computer, wanted: str | int | None, name: str) -> None:
    lines = SoundSystem()
    with opened(lines, Direction.SPEAKER, wanted) as (line, _):
        assert line.device is not None
        assert line.device.name == name
        assert line.is_alive
    assert not computer.running
    assert not [thread for thread in threading.enumerate() if thread.name == "entrenous sound devices"]


@pytest.mark.parametrize(("wanted", "reason"), [("the moon", "none of that name"), ("headset", "Device unavailable")])
def test_what_does_not_open_at_first_is_refused(computer: Computer, wanted: str, reason: str) -> None:
    computer.refuses.add("headset")
    lines = SoundSystem()
    with (
        pytest.raises(DeviceError, match=f"no microphone opens .'{wanted}'.: plug one in.*{reason}"),
        opened(lines, Direction.MICROPHONE, wanted),
    ):
        pass
    assert not [thread for thread in threading.enumerate() if thread.name == "entrenous sound devices"]


def test_a_device_that_dies_is_replaced_and_comes_back(computer: Computer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "_LOOK_INTERVAL", 0.05)
    monkeypatch.setattr(look, "look", lambda _: list(computer.plugged))
    lines = SoundSystem()
    with opened(lines, Direction.SPEAKER, "headset") as (_, told), opened(lines, Direction.MICROPHONE, None) as other:
        computer.unplug(HEADSET)
        assert told.wait(1) == [("default", False)]
        computer.plugged.append(HEADSET)
        assert told.wait(2)[1:] == [("headset", True)]
        assert other[1].changes == [], "who was well is not told, though it was opened again"


def test_the_end_of_a_stream_is_seen_at_once(computer: Computer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "_WATCH_INTERVAL", 1000.0)
    lines = SoundSystem()
    with opened(lines, Direction.SPEAKER, "headset") as (_, told):
        computer.unplug(HEADSET)
        computer.ends[-1]()
        assert told.wait(1) == [("default", False)]


def test_without_any_device_it_is_tried_until_there_is_one(computer: Computer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "_RETRY", 0.01)
    lines = SoundSystem()
    with opened(lines, Direction.SPEAKER, None) as (line, told):
        computer.plugged.clear()
        assert told.wait(1) == [(None, False)]
        assert not line.is_alive
        computer.plugged.append(OTHER)
        assert told.wait(2)[1:] == [("other", True)]


def test_another_default_device_is_followed(computer: Computer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "_LOOK_INTERVAL", 0.05)
    monkeypatch.setattr(look, "signs_of_change", lambda: None)
    monkeypatch.setattr(look, "look", lambda _: list(computer.plugged))
    lines = SoundSystem()
    with opened(lines, Direction.SPEAKER, None) as (_, told):
        computer.plugged[:] = [SoundDevice(0, "television", 0, 2, False, True), DEFAULT]
        assert told.wait(1) == [("television", True)]


def test_while_the_wanted_device_is_away_the_default_is_better_than_any_other(
    computer: Computer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(system, "_LOOK_INTERVAL", 0.05)
    monkeypatch.setattr(look, "look", lambda _: list(computer.plugged))
    lines = SoundSystem()
    with opened(lines, Direction.SPEAKER, "headset") as (_, told):
        computer.plugged[:] = [OTHER]
        assert told.wait(1) == [("other", False)]
        computer.plugged.append(DEFAULT)
        assert told.wait(2)[1:] == [("default", False)]


def test_a_card_that_the_kernel_shows_is_looked_for(computer: Computer, monkeypatch: pytest.MonkeyPatch) -> None:
    signs = ["before"]
    monkeypatch.setattr(system, "_SETTLING", 0.01)
    monkeypatch.setattr(system, "_LOOK_INTERVAL", 1000.0)
    monkeypatch.setattr(look, "signs_of_change", lambda: signs[-1])
    monkeypatch.setattr(look, "look", lambda _: list(computer.plugged))
    lines = SoundSystem()
    with opened(lines, Direction.SPEAKER, "headset") as (_, told):
        computer.unplug(HEADSET)
        told.wait(1)
        computer.plugged.append(HEADSET)
        signs.append("after")
        assert told.wait(2)[1:] == [("headset", True)]


def test_what_does_not_open_though_it_is_there_is_not_tried_all_the_time(
    computer: Computer, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = threading.Semaphore(0)

    def count(_: object) -> list[SoundDevice]:
        looks.release()
        return list(computer.plugged)

    monkeypatch.setattr(system, "_LOOK_INTERVAL", 0.01)
    monkeypatch.setattr(system, "_LONGEST_LOOK_INTERVAL", 1000.0)
    monkeypatch.setattr(system, "_WATCH_INTERVAL", 0.001)
    monkeypatch.setattr(look, "look", count)
    lines = SoundSystem()
    with opened(lines, Direction.SPEAKER, "headset") as (line, told):
        computer.refuses.add("headset")
        computer.unplug(HEADSET)
        told.wait(1)
        computer.plugged.append(HEADSET)
        for _ in range(4):
            assert looks.acquire(timeout=60)
        assert lines._watch is not None
        assert lines._watch._interval >= 0.08
        assert line.device == DEFAULT


def test_a_system_that_keeps_running_dry_is_given_more_to_keep(
    computer: Computer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(system, "_WATCH_INTERVAL", 0.001)
    late = SimpleNamespace(output_underflow=True, input_overflow=False)
    lines = SoundSystem()
    with opened(lines, Direction.SPEAKER, None) as (line, told):
        for latency in (40, 80, 80):
            for _ in range(3):
                computer.calls[-1](None, 480, None, late)
            deadline = time.monotonic() + 60
            while computer.latencies[-1] != latency and time.monotonic() < deadline:
                time.sleep(0.001)  # the thread that watches tells nobody
        assert computer.latencies == [20, 40, 80]
        assert line.troubles == 9
        assert told.changes == [], "it is the same device"


# --- on a real one


_CALL = """
import asyncio, json, sys
import numpy as np
from entrenous.media.devices import system
from entrenous.media.sinks import SpeakerSink
from entrenous.media.sources import MicrophoneSource, ToneSource

system._LOOK_INTERVAL = system._LONGEST_LOOK_INTERVAL = 0.5

device = sys.argv[1] if len(sys.argv) > 1 else None

def hears(sound):
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
    return bool(spectrum.argmax() * 48000 / len(sound) == 880 and spectrum.max() > 1e6)

async def main():
    changes = asyncio.Queue()
    tone, speaker, microphone = ToneSource(880), SpeakerSink(device), MicrophoneSource(device)
    for part in (speaker, microphone):
        part.tell_device_changes(changes.put_nowait)
    for part in (speaker, microphone, tone):
        await part.start()

    async def play():
        while True:
            block = await tone.read()
            speaker.play(block.samples, block.captured_at)

    playing, said = asyncio.create_task(play()), None
    heard = np.zeros(0)
    while True:
        block = await microphone.audio.read()
        state = [speaker.stream.device, microphone.stream.device]
        if state != said or len(heard) < 24000:
            heard = np.concatenate((heard, block.samples))
        while not changes.empty():
            changes.get_nowait()
            heard = np.zeros(0)
        if len(heard) >= 24000:
            if state != said and hears(heard[-12000:]):
                print(json.dumps(state), flush=True)
                said = state
            heard = heard[-12000:]

asyncio.run(main())
"""


@contextmanager
def call(card: pulse.SoundCard, *device: str) -> Iterator[subprocess.Popen[str]]:
    """A process that plays a tone, and says on which devices it is whenever it hears it on others than before."""
    process = subprocess.Popen(
        [sys.executable, "-c", _CALL, *device], env=card.environment, stdout=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def hears_on(process: subprocess.Popen[str]) -> list[str]:
    """Speaker and microphone."""
    assert process.stdout is not None
    devices: list[str] = json.loads(process.stdout.readline())
    return devices


needs_pulse = pytest.mark.skipif(pulse.MISSING is not None, reason=str(pulse.MISSING))


@needs_pulse
def test_a_headset_is_pulled_out_and_plugged_in_again_during_a_call() -> None:
    with pulse.sound_card() as card, ExitStack() as plug:
        plug.enter_context(card.headset())
        with call(card, pulse.HEADSET) as process:
            assert hears_on(process) == ["headset", "headset"]
            plug.close()
            assert hears_on(process) == ["default", "default"]
            plug.enter_context(card.headset())
            assert hears_on(process) == ["headset", "headset"]


@needs_pulse
def test_the_default_device_is_followed_during_a_call() -> None:
    with pulse.sound_card() as card, call(card) as process:
        assert hears_on(process) == ["default", "default"]
        card.pactl("load-module", "module-null-sink", "sink_name=television", "rate=44100", "channels=2")
        card.pactl("set-default-sink", "television")
        recorder = subprocess.Popen(
            ["parec", "-d", "television.monitor", "--rate=48000", "--channels=1", "--raw"],
            env=card.environment,
            stdout=subprocess.PIPE,
        )
        assert recorder.stdout is not None
        try:
            while True:  # until the tone is in it; the test's own time limit ends what does not succeed
                sound = np.frombuffer(recorder.stdout.read(24_000), np.int16).astype(float)
                spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
                if spectrum.max() > 1e6:
                    break
        finally:
            recorder.kill()
            recorder.communicate()
        assert spectrum.argmax() * 48_000 / len(sound) == pytest.approx(880, abs=4)
