"""The camera and the screen of this computer as sources, through FFmpeg's input devices in PyAV.

A thread reads and converts; the newest picture wins, so that a call which is behind never works off old ones.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import av
from av.error import FFmpegError

from ...errors import DeviceError
from ..pictures import own_copy
from ..streams import AudioSource, Picture, VideoSource
from .inputs import CAMERA_FORMATS, CaptureInput, camera_format, camera_input, screen_input

_DEAD_AFTER = 3.0
"""Seconds without a picture after which a camera is gone: unplugged, or taken by another program."""

_OPEN_SECONDS = 10.0
"""How long a camera may take to give its first picture; USB ones take a second."""

_JOIN_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Camera:
    """A camera of this computer.

    Args:
        name: what it is opened by.
        description: what a person calls it.
    """

    name: str
    description: str


def list_cameras() -> list[Camera]:
    """Every camera, in the system's order; an empty list when there is none or this system's are not supported."""
    if sys.platform not in CAMERA_FORMATS:
        return []
    try:
        found = av.enumerate_input_devices(camera_format(sys.platform))
    except (FFmpegError, OSError, ValueError):
        return []
    return [
        Camera(each.name, each.description) for each in found if not each.media_types or "video" in each.media_types
    ]


class CaptureSource:
    """Pictures of one input device.

    Args:
        choose: says what to open, on `start` and not before; may block, and raises DeviceError.
        what: a word for it in sentences, such as `camera`.
    """

    def __init__(self, choose: Callable[[], CaptureInput], what: str) -> None:
        self._video = _CapturedVideo(choose, what)

    @property
    def audio(self) -> AudioSource | None:
        """None: sound has devices of its own."""
        return None

    @property
    def video(self) -> VideoSource | None:
        """The pictures."""
        return self._video

    async def start(self) -> None:
        """Open the device and wait for its first picture.

        Raises:
            DeviceError: there is none, it does not open, or gives no picture.
        """
        await self._video.start()

    async def close(self) -> None:
        """Let go of the device; harmless when repeated or never started."""
        await self._video.close()


class CameraSource(CaptureSource):
    """A camera: V4L2 on Linux, AVFoundation on macOS, DirectShow on Windows.

    Args:
        device: part of its name or description, as `list_cameras` has them; None: the first one.
        width, height: the wanted size in pixels; larger pictures are reduced to it.
        fps: wanted pictures a second.
    """

    def __init__(self, device: str | None = None, *, width: int = 1280, height: int = 720, fps: int = 30) -> None:
        def choose() -> CaptureInput:
            return camera_input(sys.platform, _find_camera(device), width=width, height=height, fps=fps)

        super().__init__(choose, "camera")


class ScreenSource(CaptureSource):
    """The whole screen: X11 on Linux, AVFoundation on macOS, GDI on Windows.

    Args:
        width, height: what larger screens are reduced to, keeping their shape; text stays readable at full size.
        fps: pictures a second.
    """

    def __init__(self, *, width: int = 1920, height: int = 1080, fps: int = 15) -> None:
        def choose() -> CaptureInput:
            return screen_input(sys.platform, os.environ, width=width, height=height, fps=fps)

        super().__init__(choose, "screen")


def _find_camera(wanted: str | None) -> str:
    cameras = list_cameras()
    for camera in cameras:
        if wanted is None or wanted == camera.name or wanted.lower() in camera.description.lower():
            return camera.name
    if not cameras:
        raise DeviceError("There is no camera: plug one in, or send a file or the test card.")
    known = ", ".join(camera.description or camera.name for camera in cameras)
    raise DeviceError(f"There is no camera {wanted!r}. There are: {known}.")


class _CapturedVideo:
    """Reads in a thread and keeps the newest picture."""

    def __init__(self, choose: Callable[[], CaptureInput], what: str) -> None:
        self._choose, self._what = choose, what
        self.replaced = 0
        """Pictures that a newer one took the place of before they were read."""
        self._newest: Picture | None = None
        self._turn = threading.Lock()
        self._wake_up_is_due = False
        self._error: DeviceError | None = None
        self._ended = False
        self._arrived = asyncio.Event()
        self._stopping = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    async def start(self) -> None:
        chosen = await asyncio.to_thread(self._choose)
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, args=(chosen,), name=f"entrenous-{self._what}", daemon=True)
        self._thread.start()
        try:
            await self._wait(_OPEN_SECONDS)
        except DeviceError:
            await self.close()
            raise

    async def read(self) -> Picture | None:
        await self._wait(_DEAD_AFTER)
        with self._turn:
            picture, self._newest = self._newest, None
        return picture

    async def close(self) -> None:
        self._ended = True
        self._arrived.set()
        self._stopping.set()
        thread, self._thread = self._thread, None
        if thread is not None:
            await asyncio.to_thread(thread.join, _JOIN_SECONDS)

    async def _wait(self, patience: float) -> None:
        """Wait until there is a picture, or will be none any more."""
        while self._newest is None and not self._ended:
            if self._error is not None:
                raise self._error
            self._arrived.clear()
            try:
                async with asyncio.timeout(patience):
                    await self._arrived.wait()
            except TimeoutError:
                raise DeviceError(
                    f"The {self._what} gives no picture: is it still there, and does no other program use it?"
                ) from None

    def _run(self, chosen: CaptureInput) -> None:
        try:
            for frame in self._frames(chosen):
                if self._stopping.is_set():
                    return
                picture = Picture(own_copy(frame, *_within(frame, chosen)), time.monotonic())
                self._put(picture)
        except FFmpegError as error:
            sentence = f"The {self._what} cannot be used: {error.strerror or error}."
            self._tell(self._fail, DeviceError(sentence))
        else:
            self._tell(self._fail, DeviceError(f"The {self._what} has stopped."))

    @staticmethod
    def _frames(chosen: CaptureInput) -> Iterator[av.VideoFrame]:
        # Decoded in this thread alone: frame threads of the codec would hold back a picture each.
        with av.open(chosen.url, format=chosen.format, options=dict(chosen.options)) as container:
            stream = container.streams.video[0]
            stream.thread_type = "NONE"
            yield from container.decode(stream)

    def _tell(self, function: Callable[..., None], *arguments: object) -> None:
        assert self._loop is not None  # set before the thread starts
        # The loop may be closed by now, when nobody closed us: then there is no one to tell.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(function, *arguments)

    def _put(self, picture: Picture) -> None:
        # In the thread: however long the loop is held up, one picture waits for it and one call wakes it.
        with self._turn:
            self.replaced += self._newest is not None
            self._newest = picture
            is_told, self._wake_up_is_due = self._wake_up_is_due, True
        if not is_told:
            self._tell(self._wake_up)

    def _wake_up(self) -> None:
        self._wake_up_is_due = False
        self._arrived.set()

    def _fail(self, error: DeviceError) -> None:
        self._error = error
        self._arrived.set()


def _within(frame: av.VideoFrame, chosen: CaptureInput) -> tuple[int, int]:
    """The size of a picture reduced to what was asked for, in its own shape and in even numbers."""
    scale = min(1.0, chosen.width / frame.width, chosen.height / frame.height)
    return max(2, round(frame.width * scale / 2) * 2), max(2, round(frame.height * scale / 2) * 2)
