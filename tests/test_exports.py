"""The exported names are a contract: adding or losing one is a decision, taken here too."""

from __future__ import annotations

import entrenous

CONTRACT = """
    BLOCK_SAMPLES SAMPLE_RATE Active Address Alerting AudioSource AudioStats Call CallEnded CallEvent CallOutcome
    CallState CallStats CodecError CombinedSource ConfigError Connecting Contact ContactCard ContactError Contacts
    DeviceError EndReason Ended EntrenousError FileSource FirstMedia IcePolicy IdentityChanged KeyChanged KeystoreError
    LocalProtocolError MediaConfig MediaError MediaFileError MediaProblem MicrophoneSource MissedCall Node NodeConfig
    Notice NullSink PathChanged PeerMuted Picture Profile Reconnecting Recorder Rekeyed RemoteProtocolError
    RequestRefused Samples SendingEnded ServerBack ServerError ServerLost ServerUnreachable Sink SoundBlock SoundDevice
    Source SpeakerSink Stage Strangers StreamKind TeeSink TestCardSource Timeouts ToneSource TransportError
    VerificationError VideoSource VideoStats WordsKnown WrongPassphrase asset_path list_sound_devices register
"""


def test_the_public_names_are_those_of_the_contract() -> None:
    assert set(entrenous.__all__) == set(CONTRACT.split())
    assert len(entrenous.__all__) == len(set(entrenous.__all__))


def test_every_public_name_exists_and_is_documented() -> None:
    for name in entrenous.__all__:
        thing = getattr(entrenous, name)
        if callable(thing) and not hasattr(thing, "__args__"):
            assert (thing.__doc__ or "").strip(), f"{name} has no docstring"
