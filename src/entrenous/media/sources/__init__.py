"""What a call can send: files, tones, a moving test card, a microphone, and two of them put together."""

from .combined import CombinedSource
from .files import FileSource
from .microphone import MicrophoneSource
from .testcard import TestCardSource
from .timeline import Clock, MonotonicClock, Timeline
from .tone import ToneSource

__all__ = [
    "Clock",
    "CombinedSource",
    "FileSource",
    "MicrophoneSource",
    "MonotonicClock",
    "TestCardSource",
    "Timeline",
    "ToneSource",
]
