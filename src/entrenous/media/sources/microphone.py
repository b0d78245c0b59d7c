"""The microphone of this computer as a source."""

from __future__ import annotations

from ..devices import MicrophoneStream
from ..streams import AudioSource, VideoSource


class MicrophoneSource:
    """What a microphone hears.

    Args:
        device: part of the device's name or its number (see `list_sound_devices`), None for the default one.
    """

    def __init__(self, device: str | int | None = None) -> None:
        self._device = device
        self._stream: MicrophoneStream | None = None

    @property
    def audio(self) -> AudioSource | None:
        """The microphone; None before the start."""
        return self._stream

    @property
    def video(self) -> VideoSource | None:
        """None: a microphone has no picture."""
        return None

    async def start(self) -> None:
        """Open the microphone.

        Raises:
            DeviceError: there is no sound card, no such device, or it does not open.
        """
        self._stream = await MicrophoneStream.open(self._device)

    async def close(self) -> None:
        """Let go of the microphone; harmless when repeated or never started."""
        if self._stream is not None:
            await self._stream.close()
