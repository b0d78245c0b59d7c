"""entrenous: peer-to-peer encrypted voice and video calls.

`__all__` is the public API, and the whole of it; everything else may change at any time. A bot in a few lines::

    async with Node(NodeConfig.load("bot.toml")) as node:
        async for call in node.incoming():
            node.spawn(greet(call))

Each name is loaded when it is taken, with its own module and what that needs: media libraries take half a second of
processor, and who only reads the contacts should not wait for them.
"""

from __future__ import annotations

from importlib import import_module

# Type checkers take it for true. Importing the one of `typing` would take longer than all the rest here.
TYPE_CHECKING = False

# Each module and the public names it has. The test of `exports`, which type checkers read, compares the two.
_PUBLIC = {
    ".account": "delete_account register",
    ".assets": "asset_path",
    ".call": "Call",
    ".config": "IcePolicy MediaConfig NodeConfig Strangers",
    ".crypto.card": "ContactCard",
    ".doctor.examination": "examine",
    ".doctor.findings": "Finding FindingCode FindingLevel main_finding",
    ".errors": """
        CallEnded CodecError ConfigError ContactError DeviceError EntrenousError IdentityChanged KeystoreError
        LocalProtocolError MediaError MediaFileError RemoteProtocolError RequestRefused ServerError ServerUnreachable
        TransportError VerificationError WrongPassphrase
    """,
    ".events": """
        Active Alerting CallEvent CallOutcome Connecting Ended FirstMedia KeyChanged MediaProblem MissedCall Notice
        OwnDeviceAdded OwnDeviceGone OwnDeviceLoggedIn PathChanged PeerMedia Reconnecting Rekeyed SendingEnded
        ServerBack ServerLost WordsKnown
    """,
    ".media.codecs.base": "BLOCK_SAMPLES SAMPLE_RATE Samples",
    ".media.devices": """
        CheckPart DeviceChange Direction SoundCheck SoundDevice SoundFinding check_sound list_sound_devices
    """,
    ".media.processing": "Processing Switch missing_processing",
    ".media.quality": "Quality",
    ".media.sinks": "NullSink Recorder SpeakerSink TeeSink",
    ".media.sound_card": "SoundCard",
    ".media.sources": """
        Camera CameraSource CombinedSource FileSource MicrophoneSource ScreenSource TestCardSource ToneSource
        list_cameras
    """,
    ".media.stats": "AudioStats CallStats VideoStats",
    ".media.streams": "AudioSource Picture Sink SoundBlock Source StreamKind VideoSource",
    ".node": "Node",
    ".profile": "Contact Contacts OwnDevice Profile",
    ".protocol.causes": "Cause Side",
    ".protocol.deadlines": "Timeouts",
    ".protocol.states": "CallState EndReason Stage",
    "entrenous_wire.addresses": "Address",
}

if TYPE_CHECKING:
    from .exports import *  # noqa: F403 - all of them, which are listed there
    from .exports import __all__ as __all__
else:
    _MODULES = {name: module for module, names in _PUBLIC.items() for name in names.split()}
    __all__ = [*_MODULES]

    def __getattr__(name: str) -> object:
        """A public name, when it is taken for the first time."""
        module = _MODULES.get(name)
        if module is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return globals().setdefault(name, getattr(import_module(module, __name__), name))

    def __dir__() -> list[str]:
        """Whatever is here, and the public names that have not been taken yet."""
        return sorted({*globals(), *__all__})
