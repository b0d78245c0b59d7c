"""Plays a file into a call: WAV, Ogg/Opus, MP4, Matroska, WebM and whatever else PyAV reads."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Disposition
from av.video.stream import VideoStream

from ...errors import LocalProtocolError, MediaFileError
from ..codecs.base import BLOCK_SAMPLES, BLOCK_SECONDS, SAMPLE_RATE, Samples
from ..streams import AudioSource, Picture, SoundBlock, VideoSource
from .feeder import Feeder
from .timeline import Clock, TimedSource

T = TypeVar("T")

_BLOCKS_AHEAD = 50
_PICTURES_AHEAD = 4
"""How far decoding runs ahead: a second of sound; of pictures only a few, for at 1080p each has 3 MB."""

_LATE = 0.040
"""Seconds of lateness from which a picture is shown only if it is known that the next one is not due yet."""

_LONGEST_PASSING = 1.0
"""Seconds of passing over pictures, so that something is shown even where decoding is slower than the file plays."""

_SHORTEST_GAP = BLOCK_SAMPLES
"""Samples that must be missing in a file's time line for silence to be put there; less is rounding of time stamps."""


class FileSource(TimedSource):
    """The sound and the picture of a file, in real time.

    Sound and picture are decoded in one thread each, a little ahead. What is read or decoded too late is left out: a
    picture for a newer one, sound for what is due by then. Where a file is cut off or damaged it ends.

    What a file holds is known before the start: the first look at `audio` or `video` opens it for some milliseconds.

    Args:
        path: the file.
        loop: begin again at the end, both streams at once; otherwise the source ends there.
        clock: real time unless given.
    """

    def __init__(self, path: str | Path, *, loop: bool = False, clock: Clock | None = None) -> None:
        super().__init__(clock)
        self._path, self._loop = Path(path), loop
        self._contents: _Contents | None = None
        self._audio = _FileAudio(self)
        self._video = _FileVideo(self)

    @property
    def audio(self) -> AudioSource | None:
        """Its sound; None when it has none, or cannot be read."""
        return self._audio if (contents := self._known()) is not None and contents.has_audio else None

    @property
    def video(self) -> VideoSource | None:
        """Its picture; None when it has none, or cannot be read."""
        return self._video if (contents := self._known()) is not None and contents.has_video else None

    def check(self) -> None:
        """Look into the file as the start does, in the calling thread, to find out before a call whether it is fit.

        Raises:
            MediaFileError: it does not exist, may not be read, or holds neither sound nor picture; or it is to be
                repeated and does not say how long it is.
        """
        self._contents = None
        contents = _inspect(self._path)
        if self._loop and contents.duration <= 0:
            raise MediaFileError(f"{self._path} cannot be repeated: it does not say how long it is")
        self._contents = contents

    def _known(self) -> _Contents | None:
        if self._contents is None:
            with suppress(MediaFileError):  # the start raises it
                self.check()
        return self._contents

    async def open(self) -> None:
        """Open the file and begin to decode it.

        Raises:
            MediaFileError: as `check`.
        """
        await asyncio.to_thread(self.check)
        assert self._contents is not None
        repeat = self._contents.duration if self._loop else None
        if self._contents.has_audio:
            self._audio.open(self._path, repeat)
        if self._contents.has_video:
            self._video.open(self._path, repeat)

    async def close(self) -> None:
        """Stop decoding and close the file; harmless when repeated or never started."""
        await self._audio.close()
        await self._video.close()


@dataclass(frozen=True, slots=True)
class _Contents:
    """What a file holds, and how many seconds of it (0 when it does not say)."""

    has_audio: bool
    has_video: bool
    duration: float


def _open(path: Path) -> InputContainer:
    try:
        return av.open(str(path), "r")
    except FFmpegError as error:
        raise MediaFileError(f"{path} cannot be read as sound or picture: {error.strerror}") from error


def _inspect(path: Path) -> _Contents:
    """Look into a file, and decode the first frame of what it holds, so that a bad one is refused at once."""
    if not path.is_file():
        raise MediaFileError(f"{path} cannot be read: there is no such file")
    with _open(path) as container:
        pictures, sounds = _moving_pictures(container), container.streams.audio
        if not pictures and not sounds:
            raise MediaFileError(f"{path} holds neither sound nor picture")
        try:
            next(container.decode(sounds[0] if sounds else pictures[0]))
        except (FFmpegError, StopIteration) as error:
            raise MediaFileError(f"{path} is damaged: nothing in it can be decoded") from error
        return _Contents(bool(sounds), bool(pictures), (container.duration or 0) / av.time_base)


def _moving_pictures(container: InputContainer) -> list[VideoStream]:
    """The video streams that are not the cover of a music file."""
    return [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]


def _beginning(container: InputContainer) -> float:
    """The time stamp, in seconds, that all streams of a file count from."""
    return (container.start_time or 0) / av.time_base


class _FileAudio:
    """The sound of a file."""

    def __init__(self, source: FileSource) -> None:
        self._source = source
        self._feeder: Feeder[Samples] | None = None
        self._next_block = 0

    def open(self, path: Path, repeat: float | None) -> None:
        """Begin to decode, from the beginning."""
        self._feeder = Feeder(lambda: _blocks(path, repeat), depth=_BLOCKS_AHEAD, name="file sound")
        self._next_block = 0

    async def close(self) -> None:
        """Stop decoding; harmless when it never began."""
        if self._feeder is not None:
            await self._feeder.close()

    async def read(self) -> SoundBlock | None:
        """The next block when it is due, None at the end; raises MediaFileError when the file went away."""
        timeline, feeder = self._source.timeline, _opened(self._feeder)
        while (samples := await feeder.get()) is not None:
            number = self._next_block
            self._next_block += 1
            if timeline.block_in_time(number) == number:
                return SoundBlock(samples, await timeline.wait_for(number * BLOCK_SECONDS))
        return None


class _FileVideo:
    """The picture of a file."""

    def __init__(self, source: FileSource) -> None:
        self._source = source
        self._feeder: Feeder[_TimedFrame] | None = None

    def open(self, path: Path, repeat: float | None) -> None:
        """Begin to decode, from the beginning."""
        self._feeder = Feeder(lambda: _pictures(path, repeat), depth=_PICTURES_AHEAD, name="file picture")

    async def close(self) -> None:
        """Stop decoding; harmless when it never began."""
        if self._feeder is not None:
            await self._feeder.close()

    async def read(self) -> Picture | None:
        """The newest picture that is due, None at the end; raises MediaFileError when the file went away."""
        timeline, feeder = self._source.timeline, _opened(self._feeder)
        begun_at: float | None = None
        while (newest := await feeder.get()) is not None:
            due = await timeline.wait_for(newest.media_time)
            now = timeline.elapsed()
            begun_at = now if begun_at is None else begun_at
            late = now - newest.media_time
            following = await feeder.look() if late > _LATE else feeder.peek()
            if following is None or following.media_time > timeline.elapsed() or now - begun_at > _LONGEST_PASSING:
                return Picture(newest.frame, due)
        return None


def _opened(feeder: Feeder[T] | None) -> Feeder[T]:
    if feeder is None:
        raise LocalProtocolError("a source must be started before it is read")
    return feeder


@dataclass(frozen=True, slots=True)
class _TimedFrame:
    """A decoded picture and its seconds since the beginning of the source."""

    media_time: float
    frame: av.VideoFrame


def _blocks(path: Path, repeat: float | None) -> Generator[Samples, None, None]:
    """Cut the sound of a file into blocks, the last one filled up with silence.

    Args:
        path: the file.
        repeat: seconds after which it begins again; None ends there.
    """
    pending = np.empty(0, np.int16)
    while True:
        for samples in _one_pass(path, repeat):
            pending = np.concatenate((pending, samples))
            whole = len(pending) // BLOCK_SAMPLES * BLOCK_SAMPLES
            yield from pending[:whole].reshape(-1, BLOCK_SAMPLES)
            pending = pending[whole:]
        if repeat is None:
            break
    if len(pending):
        yield np.pad(pending, (0, BLOCK_SAMPLES - len(pending)))


def _one_pass(path: Path, length: float | None) -> Generator[Samples, None, None]:
    """The sound of a file once, in pieces of any size: exactly `length` seconds of it where that is given."""
    remaining = None if length is None else round(length * SAMPLE_RATE)
    for samples in _decode_sound(path):
        if remaining is not None:
            samples = samples[:remaining]
            remaining -= len(samples)
        yield samples
        if remaining == 0:
            return
    yield from _silence(remaining or 0)


def _silence(samples: int) -> Generator[Samples, None, None]:
    """So many zeros, a second at a time."""
    while samples > 0:
        yield np.zeros(min(samples, SAMPLE_RATE), np.int16)
        samples -= SAMPLE_RATE


def _decode_sound(path: Path) -> Generator[Samples, None, None]:
    """Decode the first sound stream to 48 kHz mono, with silence where its time stamps leave a gap."""
    with _open(path) as container:
        beginning = _beginning(container)
        resampler = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE)
        position = 0.0
        try:
            for frame in container.decode(container.streams.audio[0]):
                if frame.time is not None:
                    gap = round((frame.time - beginning) * SAMPLE_RATE - position)
                    if gap >= _SHORTEST_GAP:
                        position += gap
                        yield from _silence(gap)
                position += frame.samples * SAMPLE_RATE / frame.sample_rate
                for piece in resampler.resample(frame):
                    yield piece.to_ndarray().reshape(-1).astype(np.int16, copy=False)
            for piece in resampler.resample(None):
                yield piece.to_ndarray().reshape(-1).astype(np.int16, copy=False)
        except (FFmpegError, ValueError):
            # Damaged from here on, or of another format from here on: what came before was sound.
            return


def _pictures(path: Path, repeat: float | None) -> Generator[_TimedFrame, None, None]:
    """Decode the first moving picture of a file to yuv420p.

    Args:
        path: the file.
        repeat: seconds after which it begins again; None ends there.
    """
    passed = 0.0
    while True:
        with _open(path) as container:
            beginning = _beginning(container)
            try:
                for frame in container.decode(_moving_pictures(container)[0]):
                    media_time = (frame.time or 0.0) - beginning
                    if repeat is not None and media_time >= repeat:
                        break
                    yield _TimedFrame(passed + media_time, frame.reformat(format="yuv420p"))
            except FFmpegError:
                # Damaged from here on: what came before was a picture.
                pass
        if repeat is None:
            return
        passed += repeat
