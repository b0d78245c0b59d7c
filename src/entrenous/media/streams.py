"""What a call sends and what it does with what it receives: the interfaces between files, devices and RTP.

A *source* paces itself in real time; a *sink* never blocks. Times are seconds of one monotonic clock
(`time.monotonic()`), the same for the sound and the picture of one source or sink, which is what keeps
lips and voice together.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import av

from .codecs.base import Samples


class StreamKind(StrEnum):
    """The streams of a call; each has its own frame keys in each direction."""

    AUDIO = "audio"
    VIDEO = "video"
    SCREEN = "screen"


@dataclass(frozen=True, slots=True)
class SoundBlock:
    """20 ms of captured sound.

    Args:
        samples: int16, shape (960,), 48 kHz mono.
        captured_at: monotonic seconds of the first sample.
    """

    samples: Samples
    captured_at: float


@dataclass(frozen=True, slots=True)
class Picture:
    """One captured picture.

    Args:
        frame: the picture, yuv420p.
        captured_at: monotonic seconds at which it was taken.
    """

    frame: av.VideoFrame
    captured_at: float


class AudioSource(Protocol):
    """Yields one block every 20 ms."""

    async def read(self) -> SoundBlock | None:
        """The next block when it is due, None when the source has ended; raises MediaError."""


class VideoSource(Protocol):
    """Yields pictures as they are due; one that is read too late is skipped: the newest picture wins."""

    async def read(self) -> Picture | None:
        """The next picture when it is due, None when the source has ended; raises MediaError."""


class Source(Protocol):
    """Something to send: sound, picture or both, on one time base.

    `audio` and `video` tell before the start already what there is: whether a picture is announced depends on it.
    """

    @property
    def audio(self) -> AudioSource | None:
        """Its sound, None when it has none."""

    @property
    def video(self) -> VideoSource | None:
        """Its picture, None when it has none."""

    async def start(self) -> None:
        """Open files or devices and start the clock; devices on accept, never before; raises MediaError."""

    async def close(self) -> None:
        """Stop and give everything back; harmless when repeated or never started."""


class Sink(Protocol):
    """Something to receive with: what it does not want it ignores."""

    async def start(self) -> None:
        """Open files or devices (on accept, never before); raises MediaError."""

    def play(self, block: Samples, at: float) -> None:
        """Take 20 ms of sound to be heard at monotonic time `at`; never blocks, never raises for late ones."""

    def show(self, frame: av.VideoFrame, at: float) -> None:
        """Take a picture of the camera to be seen at monotonic time `at`; never blocks."""

    def show_screen(self, frame: av.VideoFrame, at: float) -> None:
        """Take a picture of the peer's screen to be seen at monotonic time `at`; never blocks."""

    async def close(self) -> None:
        """Flush, write what is pending and give everything back; harmless when repeated; raises MediaError when
        what was received could not be written in full."""
