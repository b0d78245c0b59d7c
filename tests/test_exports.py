"""The exported names are a contract: adding or losing one is a decision, taken here too."""

from __future__ import annotations

import subprocess
import sys

import pytest

import entrenous
from entrenous import exports

CONTRACT = """
    BLOCK_SAMPLES SAMPLE_RATE Active Address Alerting AudioSource AudioStats Call CallEnded CallEvent CallOutcome
    CallState CallStats Camera CameraSource Cause CheckPart CodecError CombinedSource ConfigError Connecting Contact
    ContactCard ContactError Contacts DeviceChange DeviceError Direction EndReason Ended EntrenousError FileSource
    Finding FindingCode FindingLevel FirstMedia IcePolicy IdentityChanged KeyChanged KeystoreError
    LocalProtocolError MediaConfig MediaError MediaFileError MediaProblem MicrophoneSource MissedCall Node
    NodeConfig Notice NullSink OwnDevice OwnDeviceAdded OwnDeviceGone OwnDeviceLoggedIn PathChanged PeerMedia
    Picture Processing Profile Quality Reconnecting Recorder Rekeyed RemoteProtocolError RequestRefused Samples
    ScreenSource SendingEnded ServerBack ServerError ServerLost ServerUnreachable Side Sink SoundBlock SoundCard
    SoundCheck SoundDevice SoundFinding Source SpeakerSink Stage Strangers StreamKind Switch TeeSink TestCardSource
    Timeouts ToneSource TransportError VerificationError VideoSource VideoStats WordsKnown WrongPassphrase
    asset_path check_sound delete_account examine list_cameras list_sound_devices main_finding missing_processing
    register
"""


def test_the_public_names_are_those_of_the_contract() -> None:
    assert set(entrenous.__all__) == set(CONTRACT.split())
    assert len(entrenous.__all__) == len(set(entrenous.__all__))


def test_every_public_name_exists_and_is_documented() -> None:
    for name in entrenous.__all__:
        thing = getattr(entrenous, name)
        if callable(thing) and not hasattr(thing, "__args__"):
            assert (thing.__doc__ or "").strip(), f"{name} has no docstring"


def test_the_public_names_are_loaded_when_they_are_taken() -> None:
    code = (
        "import entrenous, sys\n"
        "assert 'av' not in sys.modules\n"
        "assert 'Node' in dir(entrenous)\n"
        "assert entrenous.Node.__name__ == 'Node'\n"
        "assert 'av' in sys.modules\n"
        "from entrenous import *\n"
        "assert Node is entrenous.Node\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_each_loads_what_type_checkers_see() -> None:
    assert sorted(entrenous.__all__) == sorted(exports.__all__)
    for name in exports.__all__:
        assert getattr(entrenous, name) is getattr(exports, name)


def test_a_name_loads_its_own_module_alone() -> None:
    code = (
        "import entrenous, sys\n"
        "assert entrenous.Profile.__module__ == 'entrenous.profile'\n"
        "assert 'entrenous.node' not in sys.modules\n"
        "assert 'entrenous.exports' not in sys.modules\n"
        "assert 'av' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_there_are_no_others() -> None:
    assert not hasattr(entrenous, "nothing")
    with pytest.raises(ImportError, match="cannot import name 'nothing'"):
        from entrenous import nothing  # type: ignore[attr-defined]  # noqa: F401 - that is the point
