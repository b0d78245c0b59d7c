"""Sinks that need no device and no file."""

from __future__ import annotations

import av

from ...errors import MediaError
from ..codecs.base import Samples
from ..device_changes import Tell, tell_device_changes
from ..streams import Sink


class NullSink:
    """Takes everything and keeps nothing."""

    async def start(self) -> None:
        """Nothing is to be opened."""

    def play(self, block: Samples, at: float) -> None:
        """Let the sound go."""

    def show(self, frame: av.VideoFrame, at: float) -> None:
        """Let the picture go."""

    def show_screen(self, frame: av.VideoFrame, at: float) -> None:
        """Let the screen go."""

    async def close(self) -> None:
        """Nothing is to be given back."""


class TeeSink:
    """Gives everything to several sinks.

    Args:
        sinks: which ones; each is started and closed with this one.
    """

    def __init__(self, *sinks: Sink) -> None:
        self._sinks = sinks

    def tell_device_changes(self, tell: Tell) -> None:
        """Have each tell of changes of its device."""
        for sink in self._sinks:
            tell_device_changes(sink, tell)

    async def start(self) -> None:
        """Start all; when one fails, those that were started are closed.

        Raises:
            MediaError: what the first one to fail raised.
        """
        for number, sink in enumerate(self._sinks):
            try:
                await sink.start()
            except BaseException:
                await _close_all(self._sinks[:number])
                raise

    def play(self, block: Samples, at: float) -> None:
        """Give 20 ms of sound to all."""
        for sink in self._sinks:
            sink.play(block, at)

    def show(self, frame: av.VideoFrame, at: float) -> None:
        """Give a picture to all."""
        for sink in self._sinks:
            sink.show(frame, at)

    def show_screen(self, frame: av.VideoFrame, at: float) -> None:
        """Give a picture of the screen to all."""
        for sink in self._sinks:
            sink.show_screen(frame, at)

    async def close(self) -> None:
        """Close all, whatever some of them say; harmless when repeated.

        Raises:
            MediaError: what the first one to fail raised.
        """
        errors = await _close_all(self._sinks)
        if errors:
            raise errors[0]


async def _close_all(sinks: tuple[Sink, ...]) -> list[MediaError]:
    """Close each and collect what they raise."""
    errors: list[MediaError] = []
    for sink in sinks:
        try:
            await sink.close()
        except MediaError as error:
            errors.append(error)
    return errors
