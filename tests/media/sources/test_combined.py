"""The sound of one and the picture of another, beginning together, failing together."""

from __future__ import annotations

import pytest

from entrenous.errors import MediaFileError
from entrenous.media.sources import CombinedSource, FileSource, TestCardSource, ToneSource
from entrenous.media.streams import AudioSource, Source, VideoSource
from world.media_clock import SimulatedClock


class Slow(ToneSource):
    """A source that takes long to open."""

    async def open(self) -> None:
        await self.timeline._clock.sleep_until(self.timeline._clock.now() + 3)


class Device:
    """A source with a time of its own."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.audio: AudioSource | None = None
        self.video: VideoSource | None = None

    async def start(self) -> None:
        self.calls.append("start")

    async def close(self) -> None:
        self.calls.append("close")


async def test_both_begin_on_one_time_line_once_both_are_open() -> None:
    clock = SimulatedClock()
    source = CombinedSource(audio=Slow(), video=TestCardSource(fps=10), clock=clock)
    await source.start()
    assert source.audio is not None
    assert source.video is not None
    block, picture = await source.audio.read(), await source.video.read()
    assert block is not None
    assert picture is not None
    assert block.captured_at == picture.captured_at == 1003
    await source.close()


async def test_a_device_is_started_and_closed_with_the_other() -> None:
    device = Device()
    source = CombinedSource(audio=device, video=TestCardSource(clock=SimulatedClock()))
    await source.start()
    await source.close()
    assert device.calls == ["start", "close"]


async def test_one_source_for_both_is_started_once() -> None:
    device = Device()
    source = CombinedSource(audio=device, video=device)
    await source.start()
    await source.close()
    assert device.calls == ["start", "close"]


async def test_when_one_fails_the_other_is_closed() -> None:
    device: Device = Device()
    sound: Source = device
    with pytest.raises(MediaFileError, match="no such file"):
        await CombinedSource(audio=sound, video=FileSource("/nowhere/film.mkv")).start()
    assert device.calls == ["start", "close"]


def test_what_is_not_given_is_not_there() -> None:
    assert CombinedSource(audio=ToneSource()).video is None
    assert CombinedSource(video=TestCardSource()).audio is None
