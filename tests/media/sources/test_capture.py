"""Pictures of real input devices: an X server's screen, and FFmpeg's own generator where there is no camera."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest

from entrenous.errors import DeviceError
from entrenous.media.pictures import pixels
from entrenous.media.sources.capture import Camera, CameraSource, CaptureSource, ScreenSource, list_cameras
from entrenous.media.sources.inputs import CaptureInput
from entrenous.media.streams import Picture
from lab.screen import needs_screen, running_screen


def generator(description: str, width: int = 320, height: int = 240) -> CaptureSource:
    return CaptureSource(lambda: CaptureInput("lavfi", description, width, height), "camera")


async def next_picture(source: CaptureSource) -> Picture:
    assert source.video is not None
    picture = await source.video.read()
    assert picture is not None
    return picture


@needs_screen
async def test_the_screen_is_captured_as_it_is_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running_screen(tmp_path, 640, 480) as screen:
        monkeypatch.setenv("DISPLAY", screen.display)
        screen.pixels[:, :320] = 255
        source = ScreenSource(fps=30)
        await source.start()
        try:
            first = await next_picture(source)
            luma = pixels(first.frame.planes[0])
            assert (first.frame.width, first.frame.height, first.frame.format.name) == (640, 480, "yuv420p")
            assert luma[100:400, :300].min() > 220
            assert luma[100:400, 340:].max() < 30
            screen.pixels[:, :] = (0, 0, 255, 0)  # red
            while pixels((picture := await next_picture(source)).frame.planes[2]).mean() < 200:
                assert picture.captured_at > first.captured_at
        finally:
            await source.close()


@needs_screen
async def test_a_large_screen_is_reduced_in_its_own_shape(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running_screen(tmp_path, 800, 448) as screen:
        monkeypatch.setenv("DISPLAY", screen.display)
        source = ScreenSource(width=400, height=400)
        await source.start()
        picture = await next_picture(source)
        await source.close()
        assert (picture.frame.width, picture.frame.height) == (400, 224)


async def test_what_is_read_late_is_the_newest_picture_and_no_other_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    calls: list[object] = []
    forward = loop.call_soon_threadsafe
    source = generator("testsrc2=size=320x240:rate=50:duration=2")
    await source.start()
    video, thread = source._video, source._video._thread
    assert thread is not None
    monkeypatch.setattr(loop, "call_soon_threadsafe", lambda *call: (calls.append(call), forward(*call))[1])
    thread.join()  # on the loop, which is held up by it
    assert len(calls) <= 2, "the loop is woken for the first picture and told the end, and no more"
    assert video.replaced == 99
    newest = await next_picture(source)
    assert np.ptp(pixels(newest.frame.planes[0])) > 100
    with pytest.raises(DeviceError, match="has stopped"):
        await next_picture(source)
    await source.close()
    await source.close()


async def test_a_device_that_stops_is_told_after_its_last_picture() -> None:
    source = generator("testsrc2=size=64x48:rate=100:duration=0.05")
    await source.start()
    with pytest.raises(DeviceError, match="camera has stopped"):
        while True:
            await next_picture(source)
    await source.close()


async def test_a_device_that_does_not_open_says_why() -> None:
    source = CaptureSource(lambda: CaptureInput("v4l2", "/dev/no-such-camera", 640, 480), "camera")
    with pytest.raises(DeviceError, match="The camera cannot be used"):
        await source.start()
    await source.close()


async def test_a_source_that_was_closed_has_ended() -> None:
    source = generator("testsrc2=size=64x48:rate=10")
    await source.start()
    await source.close()
    assert source.video is not None
    await source.video.read()
    assert await source.video.read() is None


def cameras(monkeypatch: pytest.MonkeyPatch, *found: Camera) -> None:
    monkeypatch.setattr("entrenous.media.sources.capture.list_cameras", lambda: list(found))


async def test_without_a_camera_a_sentence_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    cameras(monkeypatch)
    with pytest.raises(DeviceError, match="plug one in"):
        await CameraSource().start()


async def test_a_camera_that_is_not_there_is_answered_with_those_that_are(monkeypatch: pytest.MonkeyPatch) -> None:
    cameras(monkeypatch, Camera("/dev/video0", "Front Camera"), Camera("/dev/video2", "Desk Camera"))
    with pytest.raises(DeviceError, match="Front Camera, Desk Camera"):
        await CameraSource("back").start()
    with pytest.raises(DeviceError, match="The camera cannot be used"):  # found by its description, and not there
        await CameraSource("desk").start()


def test_cameras_are_listed_where_there_may_be_none() -> None:
    assert all(camera.name for camera in list_cameras())
