"""The speaker of this computer as a sink."""

from __future__ import annotations

from collections.abc import Callable

import av

from ..codecs.base import Samples
from ..devices import DeviceChange, SpeakerStream
from ..processing import SoundProcessor


class SpeakerSink:
    """Plays the sound of a call; pictures are left to others.

    Args:
        device: the device's name, part of it, or its number (see `list_sound_devices`); None for the default one.
        processor: what takes this speaker's echo out of the microphone; see `SoundCard`.
        on_change: told when another device is used from now on.
    """

    def __init__(
        self,
        device: str | int | None = None,
        *,
        processor: SoundProcessor | None = None,
        on_change: Callable[[DeviceChange], None] | None = None,
    ) -> None:
        self._device = device
        self._processor = processor
        self._on_change = on_change
        self._stream: SpeakerStream | None = None

    @property
    def stream(self) -> SpeakerStream | None:
        """The open speaker with its counters; None before the start."""
        return self._stream

    async def start(self) -> None:
        """Open the speaker.

        Raises:
            DeviceError: there is no sound card, no such device, or it does not open.
        """
        self._stream = await SpeakerStream.open(self._device, processor=self._processor, on_change=self._on_change)

    def play(self, block: Samples, at: float) -> None:
        """Append 20 ms to what the speaker is playing."""
        if self._stream is not None:
            self._stream.write(block)

    def show(self, frame: av.VideoFrame, at: float) -> None:
        """A speaker shows nothing."""

    def show_screen(self, frame: av.VideoFrame, at: float) -> None:
        """A speaker shows nothing."""

    async def close(self) -> None:
        """Let go of the speaker; harmless when repeated or never started."""
        if self._stream is not None:
            await self._stream.close()
