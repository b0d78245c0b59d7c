"""entrenous: peer-to-peer encrypted voice and video calls.

`__all__` is the public API, and the whole of it; everything else may change at any time. A bot in a few lines::

    async with Node(NodeConfig.load("bot.toml")) as node:
        async for call in node.incoming():
            node.spawn(greet(call))
"""

from entrenous_wire.addresses import Address

from .account import register
from .assets import asset_path
from .call import Call
from .config import IcePolicy, MediaConfig, NodeConfig, Strangers
from .crypto.card import ContactCard
from .errors import (
    CallEnded,
    CodecError,
    ConfigError,
    ContactError,
    DeviceError,
    EntrenousError,
    IdentityChanged,
    KeystoreError,
    LocalProtocolError,
    MediaError,
    MediaFileError,
    RemoteProtocolError,
    RequestRefused,
    ServerError,
    ServerUnreachable,
    TransportError,
    VerificationError,
    WrongPassphrase,
)
from .events import (
    Active,
    Alerting,
    CallEvent,
    CallOutcome,
    Connecting,
    Ended,
    FirstMedia,
    KeyChanged,
    MediaProblem,
    MissedCall,
    Notice,
    PathChanged,
    PeerMuted,
    Reconnecting,
    Rekeyed,
    SendingEnded,
    ServerBack,
    ServerLost,
    WordsKnown,
)
from .media.codecs.base import BLOCK_SAMPLES, SAMPLE_RATE, Samples
from .media.devices import SoundDevice, list_sound_devices
from .media.sinks import NullSink, Recorder, SpeakerSink, TeeSink
from .media.sources import CombinedSource, FileSource, MicrophoneSource, TestCardSource, ToneSource
from .media.stats import AudioStats, CallStats, VideoStats
from .media.streams import AudioSource, Picture, Sink, SoundBlock, Source, StreamKind, VideoSource
from .node import Node
from .profile import Contact, Contacts, Profile
from .protocol.deadlines import Timeouts
from .protocol.states import CallState, EndReason, Stage

__all__ = [
    "BLOCK_SAMPLES",
    "SAMPLE_RATE",
    "Active",
    "Address",
    "Alerting",
    "AudioSource",
    "AudioStats",
    "Call",
    "CallEnded",
    "CallEvent",
    "CallOutcome",
    "CallState",
    "CallStats",
    "CodecError",
    "CombinedSource",
    "ConfigError",
    "Connecting",
    "Contact",
    "ContactCard",
    "ContactError",
    "Contacts",
    "DeviceError",
    "EndReason",
    "Ended",
    "EntrenousError",
    "FileSource",
    "FirstMedia",
    "IcePolicy",
    "IdentityChanged",
    "KeyChanged",
    "KeystoreError",
    "LocalProtocolError",
    "MediaConfig",
    "MediaError",
    "MediaFileError",
    "MediaProblem",
    "MicrophoneSource",
    "MissedCall",
    "Node",
    "NodeConfig",
    "Notice",
    "NullSink",
    "PathChanged",
    "PeerMuted",
    "Picture",
    "Profile",
    "Reconnecting",
    "Recorder",
    "Rekeyed",
    "RemoteProtocolError",
    "RequestRefused",
    "Samples",
    "SendingEnded",
    "ServerBack",
    "ServerError",
    "ServerLost",
    "ServerUnreachable",
    "Sink",
    "SoundBlock",
    "SoundDevice",
    "Source",
    "SpeakerSink",
    "Stage",
    "Strangers",
    "StreamKind",
    "TeeSink",
    "TestCardSource",
    "Timeouts",
    "ToneSource",
    "TransportError",
    "VerificationError",
    "VideoSource",
    "VideoStats",
    "WordsKnown",
    "WrongPassphrase",
    "asset_path",
    "list_sound_devices",
    "register",
]
