"""The microphone of this computer as a source."""

from __future__ import annotations

from collections.abc import Callable

from ..devices import DeviceChange, MicrophoneStream
from ..processing import SoundProcessor
from ..streams import AudioSource, VideoSource


class MicrophoneSource:
    """What a microphone hears.

    Args:
        device: the device's name, part of it, or its number (see `list_sound_devices`); None for the default one.
        processor: what takes out echo and noise, shared with the speaker; see `SoundCard`.
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

    async def start(self) -> None:
        """Open the microphone.

        Raises:
            DeviceError: there is no sound card, no such device, or it does not open.
        """
        self._stream = await MicrophoneStream.open(self._device, processor=self._processor, on_change=self._on_change)

    async def close(self) -> None:
        """Let go of the microphone; harmless when repeated or never started."""
        if self._stream is not None:
            await self._stream.close()
