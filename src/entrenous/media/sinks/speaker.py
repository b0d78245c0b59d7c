"""The speaker of this computer as a sink."""

from __future__ import annotations

import av

from ..codecs.base import Samples
from ..device_changes import Tell
from ..devices import SpeakerStream
from ..processing import SoundProcessor


class SpeakerSink:
    """Plays the sound of a call; pictures are left to others.

    Args:
        device: the device's name, part of it, or its number (see `list_sound_devices`); None for the default one.
        processor: what takes this speaker's echo out of the microphone; see `SoundCard`.
    """

    def __init__(self, device: str | int | None = None, *, processor: SoundProcessor | None = None) -> None:
        self._device = device
        self._processor = processor
        self._tell: Tell | None = None
        self._stream: SpeakerStream | None = None

    @property
    def stream(self) -> SpeakerStream | None:
        """The open speaker with its counters; None before the start."""
        return self._stream

    def tell_device_changes(self, tell: Tell) -> None:
        """From the next start on, call `tell` when another device is used from now on."""
        self._tell = tell

    async def start(self) -> None:
        """Open the speaker.

        Raises:
            DeviceError: there is no sound card, no such device, or it does not open.
        """
        self._stream = await SpeakerStream.open(self._device, processor=self._processor, on_change=self._tell)

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
