"""Writes what a call receives into files, sound and picture on one time line."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from dataclasses import dataclass
from pathlib import Path

import av
from av.error import FFmpegError

from ...errors import LocalProtocolError, MediaFileError
from ..codecs.base import SAMPLE_RATE, Samples
from .recording import RecordingFile, holds_pictures

_BLOCKS_WAITING = 500
_PICTURES_WAITING = 30
"""What waits for a slow disk or processor at most: ten seconds of sound, one or two of pictures."""

_FINISH_SECONDS = 60.0
"""How long closing waits for what is waiting to be encoded and written."""


@dataclass(frozen=True, slots=True)
class _Sound:
    samples: Samples
    at: float


@dataclass(frozen=True, slots=True)
class _Shown:
    frame: av.VideoFrame
    at: float
    is_screen: bool


class Recorder:
    """Records sound (`.ogg`, `.opus`, `.wav`) or picture and sound (`.mkv`, `.mp4`).

    One file, `Recorder("call.mkv")`, or one for each, `Recorder(audio="call.wav", video="call.mkv")`, whose time
    lines begin together. Where sound is missing there is silence, so that it stays with the picture. Encoding runs
    in a thread; a file has the name `<name>.part` until it is complete and replaces an older one of its name then.
    A screen that is shared goes into a file of its own beside that of the picture, `call.screen.mkv`, made when its
    first picture comes; the time line is the same.

    Args:
        path: one file for everything it can hold.
        audio: a file for the sound.
        video: a file for the picture, without sound.

    Raises:
        LocalProtocolError: neither `path` alone nor any of the others was given, or both files are the same.
        MediaFileError: a name that ends in no known suffix, or a picture file that holds no pictures.
    """

    def __init__(
        self, path: str | Path | None = None, *, audio: str | Path | None = None, video: str | Path | None = None
    ) -> None:
        if (path is None) == (audio is None and video is None):
            raise LocalProtocolError("a recorder takes one file for everything, or a file for sound or picture")
        both = Path(path) if path is not None else None
        self.audio_path: Path | None = both or (Path(audio) if audio is not None else None)
        self.video_path: Path | None = Path(video) if video is not None else None
        if both is not None and holds_pictures(both):
            self.video_path = both
        elif self.audio_path == self.video_path:
            raise LocalProtocolError("sound and picture in one file are recorded with the first argument alone")
        if self.video_path is not None and not holds_pictures(self.video_path):
            raise MediaFileError(f"{self.video_path} cannot hold pictures: record them to .mkv or .mp4")
        if self.audio_path is not None:
            holds_pictures(self.audio_path)
        self.dropped = 0
        """Blocks and pictures that disk or processor were too slow for."""
        self._queue: queue.SimpleQueue[_Sound | _Shown | None] = queue.SimpleQueue()
        self._room_for_sound = threading.Semaphore(_BLOCKS_WAITING)
        self._room_for_pictures = threading.Semaphore(_PICTURES_WAITING)
        self._files: list[RecordingFile] = []
        self._screen: RecordingFile | None = None
        self._thread: threading.Thread | None = None
        self._error: FFmpegError | OSError | MediaFileError | None = None

    async def start(self) -> None:
        """Create the files and begin to record.

        Raises:
            MediaFileError: a file cannot be created.
        """
        self._files = await asyncio.to_thread(self._open_files)
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._thread.start()

    def play(self, block: Samples, at: float) -> None:
        """Take sound that belongs at the monotonic second `at`."""
        if self._thread is None or self.audio_path is None:
            return
        if self._room_for_sound.acquire(blocking=False):
            self._queue.put(_Sound(block.copy(), at))
        else:
            self.dropped += 1

    def show(self, frame: av.VideoFrame, at: float) -> None:
        """Take a picture that belongs at the monotonic second `at`; it must not change any more."""
        self._take(_Shown(frame, at, is_screen=False))

    def show_screen(self, frame: av.VideoFrame, at: float) -> None:
        """Take a picture of the shared screen that belongs at the monotonic second `at`; it must not change either."""
        self._take(_Shown(frame, at, is_screen=True))

    def _take(self, shown: _Shown) -> None:
        if self._thread is None or self.video_path is None:
            return
        if self._room_for_pictures.acquire(blocking=False):
            self._queue.put(shown)
        else:
            self.dropped += 1

    async def close(self) -> None:
        """Write what is waiting and complete the files; harmless when repeated or never started.

        Raises:
            MediaFileError: something could not be written; what could be is in the `.part` files.
        """
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._queue.put(None)
        await asyncio.to_thread(thread.join, _FINISH_SECONDS)
        if thread.is_alive():
            raise MediaFileError(f"{self._names()} could not be completed in {_FINISH_SECONDS:g} s")
        if self._error is not None:
            reason = str(self._error) if isinstance(self._error, MediaFileError) else self._error.strerror
            raise MediaFileError(f"{self._names()} could not be written in full: {reason}") from self._error

    def _names(self) -> str:
        return " and ".join(str(path) for path in dict.fromkeys((self.audio_path, self.video_path)) if path)

    def _open_files(self) -> list[RecordingFile]:
        files: list[RecordingFile] = []
        with contextlib.ExitStack() as undo:
            for path in dict.fromkeys(filter(None, (self.audio_path, self.video_path))):
                file = RecordingFile(path, sound=path == self.audio_path, picture=path == self.video_path)
                undo.callback(file.discard)
                files.append(file)
            undo.pop_all()
        return files

    def _run(self) -> None:
        """The thread: write until told to stop; after an error only take, so that nothing piles up."""
        zero: float | None = None
        while (item := self._queue.get()) is not None:
            zero = item.at if zero is None else zero
            if isinstance(item, _Sound):
                self._room_for_sound.release()
            else:
                self._room_for_pictures.release()
            if self._error is None:
                try:
                    self._write(item, item.at - zero)
                except (FFmpegError, OSError, MediaFileError) as error:
                    self._error = error
        self._finish()

    def _write(self, item: _Sound | _Shown, seconds: float) -> None:
        if isinstance(item, _Shown) and item.is_screen:
            self._screen_file().write_picture(item.frame, seconds)
            return
        for file in self._files:
            if isinstance(item, _Sound):
                file.write_sound(item.samples, round(seconds * SAMPLE_RATE))
            else:
                file.write_picture(item.frame, seconds)

    def _screen_file(self) -> RecordingFile:
        if self._screen is None:
            assert self.video_path is not None  # nothing is taken without it
            path = self.video_path.with_suffix(f".screen{self.video_path.suffix}")
            self._screen = RecordingFile(path, sound=False, picture=True)
        return self._screen

    def _finish(self) -> None:
        for file in (*self._files, *filter(None, (self._screen,))):
            try:
                if self._error is None:
                    file.finish()
            except (FFmpegError, OSError) as error:
                self._error = error
            if self._error is not None:
                file.abandon()
