"""What is heard on a real sound card: other rates, names that do not exist, and an echo that is taken out."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from entrenous.media.processing import missing_processing
from lab import pulse

pytestmark = pytest.mark.skipif(pulse.MISSING is not None, reason=str(pulse.MISSING))


@pytest.fixture(scope="module")
def card() -> Iterator[pulse.SoundCard]:
    with pulse.sound_card() as running:
        yield running


def run(card: pulse.SoundCard, program: str, *arguments: str) -> Any:
    """Run a program where the private sound card is the only one, and read the JSON that it prints."""
    command = [sys.executable, "-c", program, *arguments]
    done = subprocess.run(command, env=card.environment, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_devices_are_listed_and_one_that_is_not_is_refused(card: pulse.SoundCard) -> None:
    listed, message = run(
        card,
        """
import asyncio, json
from dataclasses import asdict
from entrenous import DeviceError, SpeakerSink, list_sound_devices
listed = [asdict(device) for device in list_sound_devices()]
try:
    asyncio.run(SpeakerSink("the moon").start())
except DeviceError as error:
    print(json.dumps([listed, str(error)]))
""",
    )
    assert "entrenous" in [device["name"] for device in listed]
    (default,) = [device for device in listed if device["is_default_input"]]
    assert default["inputs"] > 0
    assert default["is_default_output"]
    assert default["rate"] == 44_100
    assert message.startswith("no speaker opens ('the moon'): plug one in")


_TONE = """
import asyncio, json, sys, threading, types
import numpy as np
from entrenous import DeviceError, MicrophoneSource, SpeakerSink, ToneSource
from entrenous.media.devices import portaudio, speaker as speakers

refused, opened, start = sys.argv[1] == "refuse 48000", set(), portaudio._started

def like_old_hardware(direction, number, rate, *rest):
    if refused and rate == 48000:
        raise portaudio.library().PortAudioError("Invalid sample rate")
    opened.add(rate)
    return start(direction, number, rate, *rest)

portaudio._started = like_old_hardware

async def main():
    tone, speaker, microphone = ToneSource(880), SpeakerSink(), MicrophoneSource("entrenous")
    for part in (speaker, microphone, tone):
        await part.start()

    async def play():
        while True:
            block = await tone.read()
            speaker.play(block.samples, block.captured_at)

    playing = asyncio.create_task(play())
    sound, times = np.zeros(0), []
    while True:  # until it is heard: a sound server may take two seconds to begin
        block = await microphone.audio.read()
        times.append(block.captured_at)
        sound = np.concatenate((sound, block.samples))[-24000:]
        spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
        if len(sound) == 24000 and spectrum.max() > 1e7:
            break
    playing.cancel()
    before, stopped = speaker.stream.underruns, speakers.time.monotonic()
    speakers.time = types.SimpleNamespace(monotonic=lambda: stopped)  # so nothing is as late as a pause
    while speaker.stream.underruns == before:
        await asyncio.sleep(0.1)  # until the sound card has taken what there was
        speaker.play(block.samples, 0.0)
    await microphone.close()
    await speaker.close()
    await speaker.close()
    print(json.dumps({
        "ran dry": speaker.stream.underruns - before,
        "hz": int(spectrum.argmax()) * 2,
        "opened": sorted(opened),
        "block": len(block.samples),
        "threads": [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()
                    and not thread.name.startswith("asyncio")],
    }))

asyncio.run(main())
"""


def check_tone(card: pulse.SoundCard, hardware: str, opened: int) -> None:
    heard = run(card, _TONE, hardware)
    assert heard.pop("hz") == pytest.approx(880, abs=12), "gaps of a busy machine smear it a little"
    assert heard == {"ran dry": 1, "opened": [opened], "block": 960, "threads": []}


def test_a_tone_is_heard_and_running_dry_is_counted(card: pulse.SoundCard) -> None:
    check_tone(card, "", 48_000)


def test_a_tone_keeps_its_pitch_where_neither_hardware_nor_sound_server_has_our_rate() -> None:
    with pulse.sound_card(rate=16_000) as card:
        check_tone(card, "refuse 48000", 44_100)


@pytest.mark.skipif(missing_processing() is not None, reason=str(missing_processing()))
def test_an_echo_of_the_speaker_is_taken_out_of_the_microphone_and_nothing_else(card: pulse.SoundCard) -> None:
    """The null sink's monitor is an echo without any room, as loud as what is played."""
    share = run(
        card,
        """
import asyncio, json
import numpy as np
from entrenous import FileSource, MicrophoneSource, Processing, SoundCard, SpeakerSink, Switch, ToneSource, asset_path

LOUD = 1e4  # the power of what anybody would hear

def power(block):
    return float(np.mean(np.square(block.samples, dtype=float)))

async def play(source, sink):
    while (block := await source.read()) is not None:
        sink.play(block.samples, block.captured_at)

async def main():
    card = SoundCard(processing=Processing(echo=Switch.ON, noise=Switch.OFF))
    bare = MicrophoneSource("entrenous")  # the same without any processing
    speech, tone, stranger = FileSource(asset_path("speech-a.opus"), loop=True), ToneSource(880), SpeakerSink()
    for part in (card.sink, card.source, bare, speech, tone, stranger):
        await part.start()

    echo = asyncio.create_task(play(speech.audio, card.sink))
    heard, there = [], []
    for _ in range(2000):  # the canceller needs a moment to know the way, and begins anew when that becomes longer
        heard.append(power(await card.source.audio.read()))
        there.append(power(await bare.audio.read()))
        share = sum(heard[-100:]) / max(1.0, sum(there[-100:]))
        if sum(there[-100:]) > 100 * LOUD and share < 1 / 30:
            break
    echo.cancel()

    own = asyncio.create_task(play(tone, stranger))  # which our speaker has not played: it is said in the room
    while power(await card.source.audio.read()) < LOUD:
        pass
    own.cancel()
    for part in (card.sink, card.source, bare, speech, stranger):
        await part.close()
    print(json.dumps(share))

asyncio.run(main())
""",
    )
    assert share < 1 / 30, "two seconds of speech are 15 dB softer"
