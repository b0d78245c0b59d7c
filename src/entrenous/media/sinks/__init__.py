"""What a call can do with what it receives: record it, play it on a speaker, several of these, or nothing."""

from .basic import NullSink, TeeSink
from .recorder import Recorder
from .speaker import SpeakerSink

__all__ = ["NullSink", "Recorder", "SpeakerSink", "TeeSink"]
