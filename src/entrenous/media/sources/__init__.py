"""What a call can send: files, tones, a moving test card, microphone, camera, screen, and two of them put together."""

from .capture import Camera, CameraSource, ScreenSource, list_cameras
from .combined import CombinedSource
from .files import FileSource
from .microphone import MicrophoneSource
from .testcard import TestCardSource
from .timeline import Clock, MonotonicClock, Timeline
from .tone import ToneSource

__all__ = [
    "Camera",
    "CameraSource",
    "Clock",
    "CombinedSource",
    "FileSource",
    "MicrophoneSource",
    "MonotonicClock",
    "ScreenSource",
    "TestCardSource",
    "Timeline",
    "ToneSource",
    "list_cameras",
]
