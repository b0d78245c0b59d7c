"""The microphone of this computer as a source."""

from __future__ import annotations

from ..device_changes import Tell
from ..devices import MicrophoneStream
from ..processing import SoundProcessor
from ..streams import AudioSource, VideoSource


class MicrophoneSource:
    """What a microphone hears.

    Args:
        device: the device's name, part of it, or its number (see `list_sound_devices`); None for the default one.
        processor: what takes out echo and noise, shared with the speaker; see `SoundCard`.
    """

    def __init__(self, device: str | int | None = None, *, processor: SoundProcessor | None = None) -> None:
        self._device = device
        self._processor = processor
        self._tell: Tell | None = None
        self._stream: MicrophoneStream | None = None

    @property
    def audio(self) -> AudioSource | None:
        """The microphone; None before the start."""
        return self._stream

    @property
    def video(self) -> VideoSource | None:
        """None: a microphone has no picture."""
        return None

    @property
    def stream(self) -> MicrophoneStream | None:
        """The open microphone with its counters; None before the start."""
        return self._stream

    def tell_device_changes(self, tell: Tell) -> None:
        """From the next start on, call `tell` when another device is used from now on."""
        self._tell = tell

    async def start(self) -> None:
        """Open the microphone.

        Raises:
            DeviceError: there is no sound card, no such device, or it does not open.
        """
        self._stream = await MicrophoneStream.open(self._device, processor=self._processor, on_change=self._tell)

    async def close(self) -> None:
        """Let go of the microphone; harmless when repeated or never started."""
        if self._stream is not None:
            await self._stream.close()
