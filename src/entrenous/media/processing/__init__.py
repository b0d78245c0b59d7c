"""What is done to the microphone's sound before it is sent: echo cancellation, noise suppression, automatic gain."""

from .processor import SoundProcessor, missing_processing
from .settings import Processing, Switch

__all__ = ["Processing", "SoundProcessor", "Switch", "missing_processing"]
