"""The public names and where each comes from; users take them from `entrenous` itself."""

from entrenous_wire.addresses import Address

from .account import register
from .assets import asset_path
from .call import Call
from .config import IcePolicy, MediaConfig, NodeConfig, Strangers
from .crypto.card import ContactCard
from .doctor.examination import examine
from .doctor.findings import Finding, FindingCode, FindingLevel, main_finding
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
from .media.devices import DeviceChange, Direction, SoundDevice, list_sound_devices
from .media.processing import Processing, Switch, missing_processing
from .media.sinks import NullSink, Recorder, SpeakerSink, TeeSink
from .media.sound_card import SoundCard
from .media.sources import CombinedSource, FileSource, MicrophoneSource, TestCardSource, ToneSource
from .media.stats import AudioStats, CallStats, VideoStats
from .media.streams import AudioSource, Picture, Sink, SoundBlock, Source, StreamKind, VideoSource
from .node import Node
from .profile import Contact, Contacts, Profile
from .protocol.causes import Cause, Side
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
    "Cause",
    "CodecError",
    "CombinedSource",
    "ConfigError",
    "Connecting",
    "Contact",
    "ContactCard",
    "ContactError",
    "Contacts",
    "DeviceChange",
    "DeviceError",
    "Direction",
    "EndReason",
    "Ended",
    "EntrenousError",
    "FileSource",
    "Finding",
    "FindingCode",
    "FindingLevel",
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
    "Processing",
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
    "Side",
    "Sink",
    "SoundBlock",
    "SoundCard",
    "SoundDevice",
    "Source",
    "SpeakerSink",
    "Stage",
    "Strangers",
    "StreamKind",
    "Switch",
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
    "examine",
    "list_sound_devices",
    "main_finding",
    "missing_processing",
    "register",
]
