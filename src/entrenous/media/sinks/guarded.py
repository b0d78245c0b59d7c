"""A sink that breaks once and is left alone from then on: a full disk must not end a call."""

from __future__ import annotations

from collections.abc import Callable

import av

from entrenous.errors import MediaError

from ..codecs.base import Samples
from ..streams import Sink


class GuardedSink:
    """Passes everything on until it fails.

    Args:
        sink: what it is passed to.
        on_failure: told the sentence of the first failure of `play` or `show`.
    """

    def __init__(self, sink: Sink, on_failure: Callable[[str], None]) -> None:
        self._sink = sink
        self._on_failure = on_failure
        self._failed = False

    async def start(self) -> None:
        """Open it; raises MediaError."""
        await self._sink.start()

    def play(self, block: Samples, at: float) -> None:
        """Pass on 20 ms of sound."""
        if not self._failed:
            try:
                self._sink.play(block, at)
            except MediaError as error:
                self._fail(error)

    def show(self, frame: av.VideoFrame, at: float) -> None:
        """Pass on a picture."""
        if not self._failed:
            try:
                self._sink.show(frame, at)
            except MediaError as error:
                self._fail(error)

    async def close(self) -> None:
        """Close it, failed or not; raises MediaError."""
        await self._sink.close()

    def _fail(self, error: MediaError) -> None:
        self._failed = True
        self._on_failure(str(error))
