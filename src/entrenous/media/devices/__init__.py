"""Microphones and speakers through PortAudio, kept open while devices come and go."""

from .check import CheckPart, check_sound
from .listing import Direction, SoundDevice
from .microphone import MicrophoneStream
from .speaker import SpeakerStream
from .system import SYSTEM, DeviceChange
from .verdict import SoundCheck, SoundFinding


def list_sound_devices() -> list[SoundDevice]:
    """Every microphone and speaker, in the system's order; an empty list when there is none. Blocks for a moment.

    Raises:
        DeviceError: PortAudio is not installed or does not work.
    """
    return SYSTEM.devices()


__all__ = [
    "CheckPart",
    "DeviceChange",
    "Direction",
    "MicrophoneStream",
    "SoundCheck",
    "SoundDevice",
    "SoundFinding",
    "SpeakerStream",
    "check_sound",
    "list_sound_devices",
]
