"""Sources are started before they replace another, and closed when nothing comes from them any more."""

from __future__ import annotations

import asyncio

import av
import pytest

from entrenous.errors import DeviceError, LocalProtocolError
from entrenous.media.sources_in_use import SourcesInUse
from entrenous.media.streams import AudioSource, Picture, SoundBlock, StreamKind, VideoSource
from lab.calls import EventLog

CALL = (StreamKind.AUDIO, StreamKind.VIDEO)
SCREEN = (StreamKind.SCREEN,)


class Device:
    """Has sound, pictures or both, and gives the latter without end."""

    def __init__(self, *, sound: bool = False, picture: bool = False, starts: bool = True) -> None:
        self.audio: AudioSource | None = _Silent() if sound else None
        self.video: VideoSource | None = _Still() if picture else None
        self.may_start = asyncio.Event()
        self.may_start.set()
        self.started = self.closed = 0
        self._starts = starts

    async def start(self) -> None:
        await self.may_start.wait()
        if not self._starts:
            raise DeviceError("There is no such device.")
        self.started += 1

    async def close(self) -> None:
        self.closed += 1


class _Silent:
    async def read(self) -> SoundBlock | None:
        await asyncio.Event().wait()
        return None


class _Still:
    async def read(self) -> Picture | None:
        return Picture(av.VideoFrame(2, 2, "yuv420p"), 0.0)


class Bench:
    def __init__(self) -> None:
        self.sound: list[AudioSource | None] = []
        self.sources = SourcesInUse(self.sound.append, EventLog())

    def sending(self) -> list[StreamKind]:
        return [kind for kind in StreamKind if self.sources.sends(kind)]


async def test_nothing_is_read_before_the_beginning() -> None:
    bench, both = Bench(), Device(sound=True, picture=True)
    await bench.sources.use(both, CALL)
    assert (both.started, bench.sound) == (1, [])
    assert bench.sending() == list(CALL)
    bench.sources.begin()
    assert bench.sound == [both.audio]
    assert bench.sending() == list(CALL)
    await bench.sources.close()
    assert both.closed == 1
    assert bench.sending() == []


async def test_a_source_is_replaced_and_closed() -> None:
    bench, old, new = Bench(), Device(sound=True), Device(sound=True, picture=True)
    await bench.sources.use(old, CALL)
    bench.sources.begin()
    assert bench.sending() == [StreamKind.AUDIO]
    await bench.sources.use(new, CALL)
    assert (old.closed, new.started, new.closed) == (1, 1, 0)
    assert bench.sending() == list(CALL)
    assert bench.sound == [old.audio, new.audio]
    await bench.sources.use(None, CALL)
    assert (new.closed, bench.sending(), bench.sound[-1]) == (1, [], None)
    await bench.sources.close()
    assert (old.closed, new.closed) == (1, 1)


async def test_a_camera_goes_on_and_off_while_the_microphone_stays() -> None:
    bench, microphone, camera = Bench(), Device(sound=True), Device(picture=True)
    await bench.sources.use(microphone, CALL)
    bench.sources.begin()
    await bench.sources.use(camera, (StreamKind.VIDEO,))
    assert bench.sending() == list(CALL)
    await bench.sources.use(None, (StreamKind.VIDEO,))
    assert (camera.closed, microphone.started, microphone.closed) == (1, 1, 0)
    assert bench.sending() == [StreamKind.AUDIO]
    assert bench.sound == [microphone.audio]
    await bench.sources.close()


async def test_a_source_of_two_kinds_is_closed_when_both_are_replaced() -> None:
    bench, both, camera = Bench(), Device(sound=True, picture=True), Device(picture=True)
    await bench.sources.use(both, CALL)
    bench.sources.begin()
    await bench.sources.use(camera, (StreamKind.VIDEO,))
    assert both.closed == 0
    await bench.sources.use(None, (StreamKind.AUDIO,))
    assert (both.closed, camera.closed) == (1, 0)
    await bench.sources.close()


async def test_one_source_may_be_camera_and_screen() -> None:
    bench, card = Bench(), Device(picture=True)
    await bench.sources.use(card, CALL)
    await bench.sources.use(card, SCREEN)
    bench.sources.begin()
    assert card.started == 1
    assert bench.sending() == [StreamKind.VIDEO, StreamKind.SCREEN]
    await bench.sources.use(None, SCREEN)
    assert card.closed == 0
    await bench.sources.close()
    assert card.closed == 1


async def test_one_that_does_not_start_changes_nothing() -> None:
    bench, old, broken = Bench(), Device(picture=True), Device(picture=True, starts=False)
    await bench.sources.use(old, CALL)
    bench.sources.begin()
    with pytest.raises(DeviceError):
        await bench.sources.use(broken, CALL)
    assert (broken.closed, old.closed) == (1, 0)
    assert bench.sending() == [StreamKind.VIDEO]
    await bench.sources.close()


async def test_what_has_nothing_of_the_kind_is_closed_at_once() -> None:
    bench, silent = Bench(), Device(sound=True)
    await bench.sources.use(silent, SCREEN)
    assert (silent.closed, bench.sending()) == (1, [])
    await bench.sources.close()


async def test_one_that_starts_too_late_for_the_call_is_closed() -> None:
    bench, slow = Bench(), Device(picture=True)
    slow.may_start.clear()
    using = asyncio.create_task(bench.sources.use(slow, CALL))
    await asyncio.sleep(0)
    await bench.sources.close()
    slow.may_start.set()
    with pytest.raises(LocalProtocolError):
        await using
    assert slow.closed == 1
