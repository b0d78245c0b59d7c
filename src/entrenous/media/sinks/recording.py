"""One file that is being recorded: its tracks, and their common time line. Blocks; runs in the recorder's thread."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.error import FFmpegError
from av.video.stream import VideoStream

from ...errors import MediaFileError
from ..blocks import silence
from ..codecs.base import SAMPLE_RATE, Samples
from ..pictures import black_picture, fitted_copy

_TOLERANCE = SAMPLE_RATE * 40 // 1000
"""Samples by which a block may be off the time line before silence is put in or sound left out: it is play-out
turns that come a little early or late, and mending each of them would be heard."""

_PICTURE_RATE = 90_000
"""Ticks a second of picture time stamps."""

_WAIT_FOR_PICTURE = 2 * SAMPLE_RATE
"""Samples of sound after which a file for both is begun without having seen a picture."""

_CANVAS = (1280, 720)
"""Size of the picture track of a file that was begun before its first picture; others get that picture's size."""

_PICTURE_OPTIONS = {"preset": "superfast", "tune": "zerolatency", "crf": "20", "threads": "1"}
"""One thread keeps the other cores for the call; 720p takes about 7 ms a picture."""


@dataclass(frozen=True, slots=True)
class _Format:
    """What stands behind a suffix: FFmpeg's name of the container, and of the codecs; no picture codec: sound only."""

    container: str
    sound: str
    picture: str | None


_FORMATS = {
    ".ogg": _Format("ogg", "libopus", None),
    ".opus": _Format("ogg", "libopus", None),
    ".wav": _Format("wav", "pcm_s16le", None),
    ".mkv": _Format("matroska", "libopus", "libx264"),
    ".mp4": _Format("mp4", "aac", "libx264"),
}


def holds_pictures(path: Path) -> bool:
    """Whether a file of this name can hold pictures.

    Raises:
        MediaFileError: no format is known by its suffix.
    """
    return _format_of(path).picture is not None


def _format_of(path: Path) -> _Format:
    try:
        return _FORMATS[path.suffix.lower()]
    except KeyError as error:
        known = ", ".join(_FORMATS)
        raise MediaFileError(f"{path} cannot be recorded: its name must end in one of {known}") from error


class RecordingFile:
    """A file under a temporary name, `<name>.part`, which takes its own name when it is complete.

    A crash leaves the `.part` file, which players read as far as it goes (not MP4, whose index comes last), and
    never a broken file under the final name. A file of that name is replaced.

    Args:
        path: the final name; its suffix chooses the format.
        sound: whether it gets a sound track.
        picture: whether it gets a picture track.

    Raises:
        MediaFileError: no format is known by the suffix, or it holds no pictures; nothing can be written there.
    """

    def __init__(self, path: Path, *, sound: bool, picture: bool) -> None:
        form = _format_of(path)
        if picture and form.picture is None:
            raise MediaFileError(f"{path} cannot hold pictures: record them to .mkv or .mp4")
        self._path = path
        self._part = path.with_name(path.name + ".part")
        self._wants_picture = picture
        self._picture_codec = form.picture
        try:
            # Opened here, unbuffered, because PyAV would create it with the first packet only, and buffer it.
            self._file = self._part.open("wb", buffering=0)
        except OSError as error:
            raise MediaFileError(f"{path} cannot be written: {error.strerror}") from error
        self._container = av.open(self._file, "w", format=form.container, container_options={"flush_packets": "1"})
        self._sound = _SoundTrack(self._container, form.sound) if sound else None
        self._picture: _PictureTrack | None = None
        self._held_back: list[tuple[Samples, int]] = []
        self._has_begun = False

    def write_sound(self, samples: Samples, position: int) -> None:
        """Take sound whose first sample belongs at `position` (48 kHz, from the common zero); may raise FFmpegError.

        Until it is known whether there is a picture, which the file's header has to say, sound is held back.
        """
        if self._sound is None:
            return
        if not self._has_begun and not self._wants_picture:
            self._begin(None)
        if self._has_begun:
            self._sound.write(samples, position)
            return
        self._held_back.append((samples, position))
        if position - self._held_back[0][1] >= _WAIT_FOR_PICTURE:
            self._begin(_CANVAS)

    def write_picture(self, frame: av.VideoFrame, seconds: float) -> None:
        """Take a picture that belongs at `seconds` from the common zero; may raise FFmpegError."""
        if not self._wants_picture:
            return
        if not self._has_begun:
            self._begin((max(2, frame.width & ~1), max(2, frame.height & ~1)))
        if self._picture is not None:
            self._picture.write(frame, seconds)

    def finish(self) -> None:
        """Write what the codecs still hold, close the file and give it its name; may raise FFmpegError or OSError."""
        if not self._has_begun:
            self._begin(None if self._sound else _CANVAS)
        if self._sound is not None:
            self._sound.finish()
        if self._picture is not None:
            self._picture.finish()
        self._container.close()
        self._file.close()
        self._part.replace(self._path)

    def abandon(self) -> None:
        """Close the file as it is, under its temporary name."""
        with contextlib.suppress(FFmpegError, OSError):
            self._container.close()
        with contextlib.suppress(OSError):
            self._file.close()

    def discard(self) -> None:
        """Close the file and delete it."""
        self.abandon()
        self._part.unlink(missing_ok=True)

    def _begin(self, size: tuple[int, int] | None) -> None:
        """Let the tracks be final, the picture of this size (None: no picture track), and write what was held back."""
        if size is not None and self._picture_codec is not None:
            self._picture = _PictureTrack(self._container, self._picture_codec, size)
        self._container.start_encoding()
        self._has_begun = True
        held_back, self._held_back = self._held_back, []
        for samples, position in held_back:
            self.write_sound(samples, position)


class _SoundTrack:
    """A gapless sound track: its time is the number of samples written."""

    def __init__(self, container: OutputContainer, codec: str) -> None:
        self._container = container
        self._stream = cast(AudioStream, container.add_stream(codec, rate=SAMPLE_RATE, layout="mono"))
        if codec != "pcm_s16le":
            self._stream.codec_context.bit_rate = 64_000
        self._written = 0

    def write(self, samples: Samples, position: int) -> None:
        """Append sound, with silence before it or without its beginning where it is off the time line."""
        error = position - self._written
        if error >= _TOLERANCE or (self._written == 0 and error > 0):
            self._append_silence(error)
        elif error <= -_TOLERANCE or self._written == 0:
            samples = samples[-error:] if error else samples
        if len(samples):
            self._append(samples)

    def finish(self) -> None:
        """Write what the codec still holds; a track without anything gets 20 ms of silence, or no player opens it."""
        if self._written == 0:
            self._append(silence())
        self._container.mux(self._stream.encode(None))

    def _append_silence(self, samples: int) -> None:
        while samples > 0:
            piece = min(samples, SAMPLE_RATE)
            self._append(np.zeros(piece, np.int16))
            samples -= piece

    def _append(self, samples: Samples) -> None:
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate = SAMPLE_RATE
        frame.time_base = Fraction(1, SAMPLE_RATE)
        frame.pts = self._written
        self._written += len(samples)
        self._container.mux(self._stream.encode(frame))


class _PictureTrack:
    """A picture track of one size, in which every picture stands until the next; the first one from the beginning."""

    def __init__(self, container: OutputContainer, codec: str, size: tuple[int, int]) -> None:
        self._container = container
        self._size = size
        self._stream = cast(VideoStream, container.add_stream(codec, rate=30, options=_PICTURE_OPTIONS))
        self._stream.width, self._stream.height = size
        self._stream.pix_fmt = "yuv420p"
        self._stream.codec_context.time_base = Fraction(1, _PICTURE_RATE)
        self._last = -1

    def write(self, frame: av.VideoFrame, seconds: float) -> None:
        """Add a picture, unless a newer one was added before."""
        ticks = max(0, round(seconds * _PICTURE_RATE))
        if ticks <= self._last:
            return
        if self._last < 0 < ticks:
            self._append(frame, 0)
        self._append(frame, ticks)

    def finish(self) -> None:
        """Write what the codec still holds; a track without anything gets a black picture, or no player opens it."""
        if self._last < 0:
            self._append(black_picture(*self._size), 0)
        self._container.mux(self._stream.encode(None))

    def _append(self, frame: av.VideoFrame, ticks: int) -> None:
        copy = fitted_copy(frame, *self._size)
        copy.time_base = Fraction(1, _PICTURE_RATE)
        copy.pts = self._last = ticks
        self._container.mux(self._stream.encode(copy))
