"""The sources of a session: started, read from, replaced in the middle of the call, closed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import assert_never

from entrenous.errors import LocalProtocolError

from .device_changes import tell_device_changes
from .events import SessionEvent
from .streams import AudioSource, Source, StreamKind
from .switching import PictureSwitch

DELIVERY_SECONDS = 2.0
"""How long a source that was replaced is kept while the new one has delivered no picture."""


class SourcesInUse:
    """Which source each stream is read from.

    Args:
        use_audio: takes the sound of another source, None: silence.
        on_event: told when the pictures of one end or break, and when one goes on with another device.
    """

    def __init__(
        self, use_audio: Callable[[AudioSource | None], None], on_event: Callable[[SessionEvent], None]
    ) -> None:
        self._on_event = on_event
        self.video = PictureSwitch(StreamKind.VIDEO, on_event)
        self.screen = PictureSwitch(StreamKind.SCREEN, on_event)
        self._use_audio = use_audio
        self._by_kind: dict[StreamKind, Source] = {}
        self._turn = asyncio.Lock()
        self._reading = False
        self._closed = False

    def sends(self, kind: StreamKind) -> bool:
        """Whether there is something to send of this kind; of sound, whether there was when its source came."""
        match kind:
            case StreamKind.AUDIO:
                return kind in self._by_kind
            case StreamKind.VIDEO:
                return self.video.in_use if self._reading else kind in self._by_kind
            case StreamKind.SCREEN:
                return self.screen.in_use if self._reading else kind in self._by_kind
            case _:
                assert_never(kind)

    async def use(self, source: Source | None, kinds: Collection[StreamKind]) -> None:
        """Send what this source has, in place of what is sent of these kinds now.

        Pictures of the source before go on until the new one has delivered one; then it is closed, unless another kind
        comes from it.

        Args:
            source: not started yet, unless it is in use already; None: nothing of these kinds.
            kinds: the picture of the source is that of the camera or of the screen, whichever is named.

        Raises:
            MediaError: it does not start; everything stays as it was.
            LocalProtocolError: the session has been closed.
        """
        async with self._turn:
            await self._start(source)
            replaced = dict.fromkeys([source, *(self._by_kind.pop(kind, None) for kind in kinds)])
            if source is not None:
                self._by_kind.update({kind: source for kind in kinds if _has(source, kind)})
            if self._reading:
                await _all_set([self._connect(kind) for kind in kinds])
            for unused in replaced:
                if unused is not None and unused not in self._by_kind.values():
                    await unused.close()

    def begin(self) -> None:
        """Read from here on."""
        self._reading = True
        for kind in StreamKind:
            self._connect(kind)

    async def close(self) -> None:
        """Read nothing any more and close every source; harmless when repeated."""
        self._closed = True
        self.video.close()
        self.screen.close()
        sources, self._by_kind = list(dict.fromkeys(self._by_kind.values())), {}
        results = await asyncio.gather(*(source.close() for source in sources), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result

    async def _start(self, source: Source | None) -> None:
        if source is None or source in self._by_kind.values():
            return
        tell_device_changes(source, self._on_event)
        try:
            await source.start()
        except BaseException:
            await source.close()
            raise
        if self._closed:
            await source.close()
            raise LocalProtocolError("The session was closed while a source was opened.")

    def _connect(self, kind: StreamKind) -> asyncio.Event:
        """Read a kind from where it comes from now; the event is set when nothing is read from the one before."""
        source = self._by_kind.get(kind)
        match kind:
            case StreamKind.AUDIO:
                self._use_audio(source.audio if source is not None else None)
                at_once = asyncio.Event()
                at_once.set()
                return at_once
            case StreamKind.VIDEO:
                return self.video.use(source.video if source is not None else None)
            case StreamKind.SCREEN:
                return self.screen.use(source.video if source is not None else None)
            case _:
                assert_never(kind)


def _has(source: Source, kind: StreamKind) -> bool:
    return (source.audio if kind is StreamKind.AUDIO else source.video) is not None


async def _all_set(events: list[asyncio.Event]) -> None:
    """Wait for all, though not for a source that never delivers."""
    waiting = [asyncio.ensure_future(event.wait()) for event in events]
    _, late = await asyncio.wait(waiting, timeout=DELIVERY_SECONDS)
    for task in late:
        task.cancel()
