"""Exit codes: each thing a script wants to tell apart has its own."""

from __future__ import annotations

import pytest

import entrenous
from entrenous import CallOutcome, EndReason, EntrenousError, RequestRefused, Stage
from entrenous.cli.exits import MEANINGS, ExitCode, exit_code_of, exit_code_of_outcome


def test_every_exit_code_is_explained() -> None:
    assert set(MEANINGS) == set(ExitCode)
    assert all(MEANINGS.values())


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (entrenous.ContactError("x"), ExitCode.UNKNOWN_CONTACT),
        (entrenous.IdentityChanged("x"), ExitCode.KEY_CHANGED),
        (entrenous.KeystoreError("x"), ExitCode.NO_ACCOUNT),
        (entrenous.WrongPassphrase("x"), ExitCode.WRONG_PASSPHRASE),
        (entrenous.ServerUnreachable("x"), ExitCode.SERVER_UNREACHABLE),
        (RequestRefused("name-taken", "x"), ExitCode.REFUSED),
        (entrenous.ConfigError("x"), ExitCode.USAGE),
        (entrenous.DeviceError("x"), ExitCode.NO_SOUND_CARD),
        (entrenous.MediaFileError("x"), ExitCode.UNREADABLE_FILE),
        (entrenous.MediaError("x"), ExitCode.CALL_FAILED),
        (entrenous.CallEnded("lost", "x"), ExitCode.CALL_FAILED),
        (entrenous.LocalProtocolError("x"), ExitCode.UNEXPECTED),
    ],
)
def test_the_most_exact_error_class_decides(error: EntrenousError, code: ExitCode) -> None:
    assert exit_code_of(error) is code


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        (EndReason.LOCAL, ExitCode.OK),
        (EndReason.REMOTE, ExitCode.OK),
        (EndReason.DECLINED, ExitCode.DECLINED),
        (EndReason.BUSY, ExitCode.BUSY),
        (EndReason.UNANSWERED, ExitCode.UNANSWERED),
        (EndReason.OFFLINE, ExitCode.UNANSWERED),
        (EndReason.UNKNOWN_USER, ExitCode.UNKNOWN_CONTACT),
        (EndReason.FAILED, ExitCode.CALL_FAILED),
        (EndReason.LOST, ExitCode.CALL_FAILED),
    ],
)
def test_how_a_call_ended_decides(reason: EndReason, code: ExitCode) -> None:
    assert exit_code_of_outcome(CallOutcome(reason, Stage.RING, "x", None)) is code


def test_no_way_to_end_is_left_out() -> None:
    for reason in EndReason:
        assert exit_code_of_outcome(CallOutcome(reason, Stage.MEDIA, "x", 1.0)) in ExitCode
