"""The speaker as a sink; that it is heard is tested with its stream in `test_devices`."""

from __future__ import annotations

import sys

import av
import numpy as np
import pytest

from entrenous.errors import DeviceError
from entrenous.media.devices import SpeakerStream
from entrenous.media.sinks import SpeakerSink


async def test_sound_waits_for_the_speaker_and_pictures_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[object] = []
    stream = SpeakerStream()

    async def note(device: object = None, **_: object) -> SpeakerStream:
        opened.append(device)
        return stream

    monkeypatch.setattr(SpeakerStream, "open", note)
    sink = SpeakerSink(3)
    sink.play(np.zeros(960, np.int16), 0.0)
    assert stream.waiting == 0, "nothing is taken before the start"
    await sink.start()
    assert opened == [3]
    sink.play(np.zeros(960, np.int16), 0.0)
    sink.show(av.VideoFrame(64, 48), 0.0)
    assert stream.waiting == pytest.approx(0.02, abs=0.001)
    await sink.close()
    await sink.close()


async def test_without_portaudio_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(DeviceError, match="PortAudio is missing"):
        await SpeakerSink().start()
