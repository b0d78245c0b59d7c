"""Sound devices: bounded hand-over between threads, clear errors, and a tone that is heard on a real sound card."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from entrenous.errors import DeviceError
from entrenous.media import devices
from entrenous.media.devices import MicrophoneStream, SpeakerStream, list_sound_devices
from lab import pulse

LONG_AGO = SimpleNamespace(currentTime=10.0, inputBufferAdcTime=9.95)
NO_TIME = SimpleNamespace(currentTime=0.0, inputBufferAdcTime=0.0)


def sound(value: int) -> bytes:
    return np.full(960, value, np.int16).tobytes()


class FakePortAudio:
    """Stands in for the library where it is to misbehave."""

    class PortAudioError(Exception):
        pass

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.closed = 0

    def stream(self, **settings: object) -> Any:
        if isinstance(self.error, ValueError):
            raise self.error
        return self

    RawInputStream = RawOutputStream = stream

    def start(self) -> None:
        if self.error is not None:
            raise self.error

    def close(self, ignore_errors: bool = True) -> None:
        self.closed += 1


# --- without a sound card


def test_a_missing_portaudio_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(DeviceError, match="apt install libportaudio2"):
        list_sound_devices()


@pytest.mark.parametrize("stream", [MicrophoneStream, SpeakerStream])
@pytest.mark.parametrize(
    "error", [FakePortAudio.PortAudioError("Invalid sample rate"), ValueError("No input device matching 'x'")]
)
async def test_a_device_that_does_not_open_says_so(
    monkeypatch: pytest.MonkeyPatch, stream: type[MicrophoneStream | SpeakerStream], error: Exception
) -> None:
    library = FakePortAudio(error)
    monkeypatch.setattr(devices, "_portaudio", lambda: library)
    with pytest.raises(DeviceError, match=f"opens .*'x'.*{error}"):
        await stream.open("x")
    assert library.closed == (not isinstance(error, ValueError)), "a stream that did not start is closed"


async def test_blocks_from_the_callback_are_read_in_order() -> None:
    microphone = MicrophoneStream()
    for value in range(3):
        await asyncio.to_thread(microphone._on_sound, sound(value), 960, LONG_AGO, None)
    blocks = [await microphone.read() for _ in range(3)]
    assert [int(block.samples[0]) for block in blocks if block] == [0, 1, 2]


async def test_a_reader_is_woken_by_the_callback() -> None:
    microphone = MicrophoneStream()
    reading = asyncio.ensure_future(microphone.read())
    await asyncio.sleep(0)
    await asyncio.to_thread(microphone._on_sound, sound(7), 960, LONG_AGO, None)
    block = await reading
    assert block is not None
    assert block.samples[0] == 7


async def test_a_block_is_dated_to_its_first_sample() -> None:
    microphone = MicrophoneStream()
    for when, ago in ((LONG_AGO, 0.05), (NO_TIME, 0.02)):
        microphone._on_sound(sound(1), 960, when, None)
        block = await microphone.read()
        assert block is not None
        assert 0 <= time.monotonic() - ago - block.captured_at < 1


async def test_a_busy_reader_loses_the_oldest_blocks() -> None:
    microphone = MicrophoneStream()
    for value in range(25):
        microphone._on_sound(sound(value), 960, LONG_AGO, None)
    assert microphone.dropped == 15
    block = await microphone.read()
    assert block is not None
    assert block.samples[0] == 15


async def test_a_microphone_that_goes_away_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "_DEAD_AFTER", 0.01)
    with pytest.raises(DeviceError, match="plugged in"):
        await MicrophoneStream().read()


async def test_closing_the_microphone_ends_the_reading() -> None:
    microphone = MicrophoneStream()
    reading = asyncio.ensure_future(microphone.read())
    await asyncio.sleep(0)
    await microphone.close()
    assert await reading is None


def demand(speaker: SpeakerStream) -> int:
    """What the speaker plays in one turn: the value of a uniform block."""
    out = bytearray(1920)
    speaker._on_demand(out, 960, None, None)
    return int(np.frombuffer(out, np.int16)[0])


def test_a_speaker_begins_with_a_head_start_and_again_after_it_ran_dry() -> None:
    speaker = SpeakerStream()
    assert demand(speaker) == 0
    speaker.write(np.full(960, 1, np.int16))
    assert demand(speaker) == 0
    speaker.write(np.full(960, 2, np.int16))
    assert speaker.waiting == 0.04
    assert [demand(speaker) for _ in range(3)] == [1, 2, 0]
    assert speaker.underruns == 1
    speaker.write(np.full(960, 3, np.int16))
    assert demand(speaker) == 0
    speaker.write(np.full(960, 4, np.int16))
    assert [demand(speaker) for _ in range(2)] == [3, 4]


def test_a_speaker_that_is_too_slow_loses_the_oldest_and_gains_no_delay() -> None:
    speaker = SpeakerStream()
    for value in range(1, 21):
        speaker.write(np.full(960, value, np.int16))
    assert speaker.dropped == 14
    assert speaker.waiting == pytest.approx(0.12)
    assert demand(speaker) == 15


# --- with one


@pytest.fixture(scope="module")
def card() -> Iterator[pulse.SoundCard]:
    if pulse.MISSING:
        pytest.skip(pulse.MISSING)
    with pulse.sound_card() as running:
        yield running


def run(card: pulse.SoundCard, program: str) -> Any:
    """Run a program where the private sound card is the only one, and read the JSON that it prints."""
    done = subprocess.run(
        [sys.executable, "-c", program], env=card.environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_devices_are_listed(card: pulse.SoundCard) -> None:
    listed = run(
        card,
        """
import json
from dataclasses import asdict
from entrenous.media.devices import list_sound_devices
print(json.dumps([asdict(device) for device in list_sound_devices()]))
""",
    )
    assert "entrenous" in [device["name"] for device in listed]
    (default,) = [device for device in listed if device["is_default_input"]]
    assert default["inputs"] > 0
    assert default["is_default_output"]


def test_a_tone_from_the_speaker_is_heard_by_the_microphone(card: pulse.SoundCard) -> None:
    heard = run(
        card,
        """
import asyncio, json, threading
import numpy as np
from entrenous.media.sinks import SpeakerSink
from entrenous.media.sources import MicrophoneSource, ToneSource

async def main():
    tone, speaker, microphone = ToneSource(880), SpeakerSink(), MicrophoneSource("entrenous")
    await speaker.start()
    await microphone.start()
    await tone.start()
    samples, times = [], []
    for _ in range(100):
        block = await tone.read()
        speaker.play(block.samples, block.captured_at)
        captured = await microphone.audio.read()
        samples.append(captured.samples)
        times.append(captured.captured_at)
    await microphone.close()
    await speaker.close()
    await speaker.close()
    second = np.concatenate(samples[40:]).astype(float)
    spectrum = np.abs(np.fft.rfft(second * np.hanning(len(second))))
    print(json.dumps({
        "hz": float(spectrum.argmax() * 48000 / len(second)),
        "share": float(spectrum[spectrum.argmax() - 40:spectrum.argmax() + 40].sum() / spectrum.sum()),
        "shapes": sorted({block.shape[0] for block in samples}),
        "ordered": times == sorted(times),
        "threads": [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()
                    and not thread.name.startswith("asyncio")],
    }))

asyncio.run(main())
""",
    )
    assert heard["hz"] == pytest.approx(880, abs=5)
    assert heard["share"] > 0.3
    assert heard["shapes"] == [960]
    assert heard["ordered"]
    assert heard["threads"] == []


def test_a_device_of_another_name_is_refused(card: pulse.SoundCard) -> None:
    message = run(
        card,
        """
import asyncio, json
from entrenous.errors import DeviceError
from entrenous.media.sinks import SpeakerSink
try:
    asyncio.run(SpeakerSink("the moon").start())
except DeviceError as error:
    print(json.dumps(str(error)))
""",
    )
    assert message.startswith("no speaker opens ('the moon'): plug one in")
