"""A change of sound device reaches the session's events through whatever stands between the device and the session."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from entrenous.media.device_changes import Tell, tell_device_changes
from entrenous.media.devices import DeviceChange, Direction, MicrophoneStream, SpeakerStream
from entrenous.media.sinks import NullSink, SpeakerSink, TeeSink
from entrenous.media.sinks.guarded import GuardedSink
from entrenous.media.sources import CombinedSource, FileSource, MicrophoneSource, TestCardSource
from entrenous.media.streams import StreamKind
from lab import pulse
from lab.calls import KeepingSink, SoundSource, close_call, make_call

HEADSET_GONE = DeviceChange(Direction.MICROPHONE, "default", wanted=False)
BOTH_GONE = [HEADSET_GONE, DeviceChange(Direction.SPEAKER, None, wanted=False)]


class Microphone(SoundSource):
    """A source whose device changes when a test says so."""

    def __init__(self) -> None:
        super().__init__(np.zeros(48_000, np.int16))
        self.change: Tell | None = None
        self.told_before_start = False

    def tell_device_changes(self, tell: Tell) -> None:
        self.change = tell
        self.told_before_start = not self.started


class Speaker(KeepingSink):
    """A sink whose device changes when a test says so."""

    change: Tell | None = None

    def tell_device_changes(self, tell: Tell) -> None:
        self.change = tell


@pytest.mark.parametrize(("stream", "part"), [(MicrophoneStream, MicrophoneSource), (SpeakerStream, SpeakerSink)])
async def test_what_opens_a_device_passes_the_hook_to_its_stream(
    monkeypatch: pytest.MonkeyPatch, stream: type, part: Callable[[], MicrophoneSource | SpeakerSink]
) -> None:
    hooks: list[Tell] = []

    async def note(_: object, *, on_change: Tell, **__: object) -> None:
        hooks.append(on_change)

    monkeypatch.setattr(stream, "open", note)
    told: list[DeviceChange] = []
    device = part()
    tell_device_changes(device, told.append)
    await device.start()
    hooks[0](HEADSET_GONE)
    assert told == [HEADSET_GONE]


def test_what_passes_media_on_passes_the_hook_on() -> None:
    told: list[DeviceChange] = []
    microphone, speaker = Microphone(), Speaker()
    tell_device_changes(CombinedSource(audio=microphone, video=TestCardSource()), told.append)
    tell_device_changes(GuardedSink(TeeSink(NullSink(), speaker), lambda _: None), told.append)
    assert microphone.change is not None
    assert speaker.change is not None
    microphone.change(BOTH_GONE[0])
    speaker.change(BOTH_GONE[1])
    assert told == BOTH_GONE


def test_what_has_no_device_is_left_alone() -> None:
    for part in (FileSource("x.opus"), NullSink(), KeepingSink(), CombinedSource()):
        tell_device_changes(part, lambda _: None)


async def test_a_session_tells_of_both_ends_and_of_a_microphone_that_came_later() -> None:
    microphone, speaker, later = Microphone(), Speaker(), Microphone()
    here, there = make_call((CombinedSource(audio=microphone), SoundSource()), sinks=(speaker, KeepingSink()))
    await here.session.open()
    assert microphone.told_before_start
    _change(microphone, BOTH_GONE[0])
    _change(speaker, BOTH_GONE[1])
    assert here.log.of(DeviceChange) == BOTH_GONE
    await here.session.use_source(later, (StreamKind.AUDIO,))
    assert later.told_before_start
    _change(later, HEADSET_GONE)
    assert here.log.of(DeviceChange) == [*BOTH_GONE, HEADSET_GONE]
    await close_call(here, there)


def _change(part: Microphone | Speaker, change: DeviceChange) -> None:
    assert part.change is not None
    part.change(change)


# --- on a real one


_SESSION = """
import asyncio, json
from dataclasses import astuple
from entrenous.media.devices import DeviceChange, system
from entrenous.media.processing import Processing, Switch
from entrenous.media.sinks import NullSink, TeeSink
from entrenous.media.sound_card import SoundCard
from entrenous.media.sources import CombinedSource
from lab.calls import KeepingSink, SoundSource, make_call, open_call

system._LOOK_INTERVAL = system._LONGEST_LOOK_INTERVAL = 0.5

def tell(event):
    if isinstance(event, DeviceChange):
        print(json.dumps(astuple(event)), flush=True)

async def main():
    card = SoundCard(microphone="headset", speaker="headset", processing=Processing(echo=Switch.OFF, noise=Switch.OFF))
    ends = make_call(
        (CombinedSource(audio=card.source), SoundSource()), sinks=(TeeSink(NullSink(), card.sink), KeepingSink())
    )
    ends[0].log.listeners.append(tell)
    await open_call(*ends)
    print(json.dumps("open"), flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.mark.skipif(pulse.MISSING is not None, reason=str(pulse.MISSING))
def test_a_session_on_a_headset_tells_when_it_is_pulled_out_and_back() -> None:
    with pulse.sound_card() as card, ExitStack() as plug:
        plug.enter_context(card.headset())
        paths = os.pathsep.join([str(Path(__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])])
        process = subprocess.Popen(
            [sys.executable, "-c", _SESSION],
            env={**card.environment, "PYTHONPATH": paths},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        lines = map(json.loads, process.stdout)
        try:
            assert next(lines) == "open"
            plug.close()
            gone = sorted([next(lines), next(lines)])
            assert gone == [["microphone", "default", False], ["speaker", "default", False]]
            plug.enter_context(card.headset())
            back = sorted([next(lines), next(lines)])
            assert back == [["microphone", "headset", True], ["speaker", "headset", True]]
        finally:
            process.kill()
            process.communicate()
