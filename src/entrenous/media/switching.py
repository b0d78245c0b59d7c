"""One place to read pictures from while the sources behind it are switched."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from entrenous.errors import MediaError

from .events import SessionEvent, SourceEnded, SourceFailed
from .streams import Picture, StreamKind, VideoSource

logger = logging.getLogger(__name__)


class PictureSwitch:
    """Reads from the source in use; one that is switched to comes in with its first picture, and not before.

    A source that ends or breaks is reported once, and from then on nothing is read until another one is used.

    Args:
        kind: of the stream, for the reports.
        on_event: told when the source in use ends or breaks.
    """

    def __init__(self, kind: StreamKind, on_event: Callable[[SessionEvent], None]) -> None:
        self._kind = kind
        self._on_event = on_event
        self._source: VideoSource | None = None
        self._first: Picture | None = None
        self._reading: asyncio.Future[Picture | None] | None = None
        self._coming: asyncio.Task[None] | None = None
        self._coming_delivered = asyncio.Event()
        self._changed = asyncio.Event()

    @property
    def in_use(self) -> bool:
        """Whether there is a source that something is read from, or is going to be."""
        return self._source is not None or self._coming is not None

    def use(self, source: VideoSource | None) -> asyncio.Event:
        """Read from this source as soon as it has something, None: from nothing at once.

        Args:
            source: started already.

        Returns:
            An event that is set when the source before is not read from any more.
        """
        self._stop_coming()
        delivered = self._coming_delivered = asyncio.Event()
        if source is None:
            self._turn_to(None)
            delivered.set()
        else:
            self._coming = asyncio.ensure_future(self._bring_in(source, delivered))
            self._coming.add_done_callback(self._came)
        return delivered

    async def read(self) -> Picture:
        """The next picture of the source in use, whichever that is by then."""
        while True:
            if self._first is not None:
                picture, self._first = self._first, None
                return picture
            if self._source is None:
                self._changed.clear()
                await self._changed.wait()
            elif (following := await self._read_from(self._source)) is not None:
                return following

    def close(self) -> None:
        """Read from nothing any more."""
        self._stop_coming()
        self._turn_to(None)

    async def _read_from(self, source: VideoSource) -> Picture | None:
        self._reading = reading = asyncio.ensure_future(source.read())
        try:
            picture = await reading
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if self._reading is reading or (task is not None and task.cancelling()):
                reading.cancel()
                raise
            return None  # it was this read that was given up, for another source
        except MediaError as error:
            self._source = None
            self._on_event(SourceFailed(self._kind, str(error)))
            return None
        if picture is None and self._source is source:
            self._source = None
            self._on_event(SourceEnded(self._kind))
        return picture

    async def _bring_in(self, source: VideoSource, delivered: asyncio.Event) -> None:
        event: SessionEvent = SourceEnded(self._kind)
        picture: Picture | None = None
        try:
            picture = await source.read()
        except MediaError as error:
            event = SourceFailed(self._kind, str(error))
        self._coming = None
        delivered.set()
        self._turn_to(source if picture is not None else None)
        self._first = picture
        if picture is None:
            self._on_event(event)

    def _turn_to(self, source: VideoSource | None) -> None:
        self._source = source
        self._first = None
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None
        self._changed.set()

    def _stop_coming(self) -> None:
        if self._coming is not None:
            self._coming.cancel()
            self._coming = None
        self._coming_delivered.set()

    def _came(self, task: asyncio.Task[None]) -> None:
        if self._coming is task:
            self._coming = None
            self._coming_delivered.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("A source ended unexpectedly", exc_info=error)
