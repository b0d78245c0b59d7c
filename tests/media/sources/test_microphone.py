"""The microphone as a source; that it hears is tested with its stream in `test_devices`."""

from __future__ import annotations

import sys

import pytest

from entrenous.errors import DeviceError
from entrenous.media.devices import MicrophoneStream
from entrenous.media.sources import MicrophoneSource


async def test_it_opens_the_device_it_is_told_at_the_start_only(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[object] = []
    stream = MicrophoneStream()

    async def note(device: object = None, **_: object) -> MicrophoneStream:
        opened.append(device)
        return stream

    monkeypatch.setattr(MicrophoneStream, "open", note)
    source = MicrophoneSource("desk")
    assert (source.audio, source.video, opened) == (None, None, [])
    await source.start()
    assert opened == ["desk"]
    assert source.audio is stream
    await source.close()
    await source.close()
    assert await stream.read() is None


async def test_without_portaudio_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(DeviceError, match="PortAudio is missing"):
        await MicrophoneSource().start()
