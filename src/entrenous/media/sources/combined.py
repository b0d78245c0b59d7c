"""The sound of one source and the picture of another, on one clock."""

from __future__ import annotations

from ..device_changes import Tell, tell_device_changes
from ..streams import AudioSource, Source, VideoSource
from .timeline import Clock, TimedSource, Timeline


class CombinedSource:
    """Takes the sound of one source and the picture of another.

    Sources of our own (files, tones, test cards) begin on one time line, so that two recordings that were made
    together stay together. Devices keep their own time, which is the same clock.

    Args:
        audio: whose sound is sent.
        video: whose picture is sent.
        clock: of the shared time line; real time unless given.
    """

    def __init__(self, *, audio: Source | None = None, video: Source | None = None, clock: Clock | None = None) -> None:
        self._audio, self._video = audio, video
        self._timeline = Timeline(clock)

    @property
    def audio(self) -> AudioSource | None:
        """The sound of the first."""
        return self._audio.audio if self._audio else None

    @property
    def video(self) -> VideoSource | None:
        """The picture of the second."""
        return self._video.video if self._video else None

    def tell_device_changes(self, tell: Tell) -> None:
        """Have both tell of changes of their devices."""
        for source in self._parts():
            tell_device_changes(source, tell)

    async def start(self) -> None:
        """Open both, then let their common time line begin; when one fails, both are closed.

        Raises:
            MediaError: one of them cannot be opened.
        """
        try:
            for source in self._parts():
                if isinstance(source, TimedSource):
                    source.timeline = self._timeline
                    await source.open()
                else:
                    await source.start()
        except BaseException:
            await self.close()
            raise
        self._timeline.begin()

    async def close(self) -> None:
        """Close both; harmless when repeated or never started."""
        for source in self._parts():
            await source.close()

    def _parts(self) -> list[Source]:
        parts = [source for source in (self._audio, self._video) if source is not None]
        return parts[:1] if self._audio is self._video else parts
