"""The speaker of this computer as a sink."""

from __future__ import annotations

import av

from ..codecs.base import Samples
from ..devices import SpeakerStream


class SpeakerSink:
    """Plays the sound of a call; pictures are left to others.

    Args:
        device: part of the device's name or its number (see `list_sound_devices`), None for the default one.
    """

    def __init__(self, device: str | int | None = None) -> None:
        self._device = device
        self._stream: SpeakerStream | None = None

    async def start(self) -> None:
        """Open the speaker.

        Raises:
            DeviceError: there is no sound card, no such device, or it does not open.
        """
        self._stream = await SpeakerStream.open(self._device)

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
