"""A sink that can be silenced, and that is left alone once it has broken: a full disk must not end a call."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import av

from entrenous.errors import MediaError

from ..codecs.base import Samples
from ..device_changes import Tell, tell_device_changes
from ..streams import Sink

T = TypeVar("T")


class GuardedSink:
    """Passes everything on until it fails, except while it is silenced.

    Args:
        sink: what it is passed to.
        on_failure: told the sentence of the first failure of `play`, `show` or `show_screen`.
    """

    def __init__(self, sink: Sink, on_failure: Callable[[str], None]) -> None:
        self._sink = sink
        self._on_failure = on_failure
        self._failed = False
        self.silenced = False

    def tell_device_changes(self, tell: Tell) -> None:
        """Have it tell of changes of its device."""
        tell_device_changes(self._sink, tell)

    async def start(self) -> None:
        """Open it; raises MediaError."""
        await self._sink.start()

    def play(self, block: Samples, at: float) -> None:
        """Pass on 20 ms of sound."""
        self._pass(self._sink.play, block, at)

    def show(self, frame: av.VideoFrame, at: float) -> None:
        """Pass on a picture of the camera."""
        self._pass(self._sink.show, frame, at)

    def show_screen(self, frame: av.VideoFrame, at: float) -> None:
        """Pass on a picture of the screen."""
        self._pass(self._sink.show_screen, frame, at)

    async def close(self) -> None:
        """Close it, failed or not; raises MediaError."""
        await self._sink.close()

    def _pass(self, take: Callable[[T, float], None], item: T, at: float) -> None:
        if self._failed or self.silenced:
            return
        try:
            take(item, at)
        except MediaError as error:
            self._failed = True
            self._on_failure(str(error))
