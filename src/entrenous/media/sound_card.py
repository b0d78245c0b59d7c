"""Microphone and speaker of one call: two ends of one sound card, whose processor knows what both do."""

from __future__ import annotations

from .processing import Processing, SoundProcessor
from .sinks.speaker import SpeakerSink
from .sources.microphone import MicrophoneSource


class SoundCard:
    """Makes the source and the sink of one call from a microphone and a speaker.

    Either may be left unused: without the sink there is no echo to take out, and noise still is.

    Args:
        microphone, speaker: a device's name, part of it, or its number (see `list_sound_devices`); None for the
            default one, whichever it is at the time.
        processing: what is done to the microphone's sound.

    Attributes:
        source: the microphone, to send with.
        sink: the speaker, to receive with.
        processor: what takes out echo and noise, with its counters; None when nothing is done.

    Raises:
        DeviceError: a part of the processing was switched on and is not installed.
    """

    def __init__(
        self,
        *,
        microphone: str | int | None = None,
        speaker: str | int | None = None,
        processing: Processing | None = None,
    ) -> None:
        self.processor = SoundProcessor.make(processing or Processing())
        self.source = MicrophoneSource(microphone, processor=self.processor)
        self.sink = SpeakerSink(speaker, processor=self.processor)
