"""How a command ends: one exit code for each thing that a script may want to tell apart."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, assert_never

from entrenous import (
    CallEnded,
    ConfigError,
    ContactError,
    DeviceError,
    EndReason,
    EntrenousError,
    IdentityChanged,
    KeystoreError,
    MediaError,
    MediaFileError,
    RequestRefused,
    ServerUnreachable,
    TransportError,
    WrongPassphrase,
)

if TYPE_CHECKING:
    from entrenous import CallOutcome  # loads what plays sound and picture, which few commands need


class ExitCode(IntEnum):
    """What the process returns to the shell."""

    OK = 0
    UNEXPECTED = 1
    USAGE = 2
    UNKNOWN_CONTACT = 3
    BUSY = 4
    DECLINED = 5
    UNANSWERED = 6
    SERVER_UNREACHABLE = 7
    REFUSED = 8
    WRONG_PASSPHRASE = 9
    UNREADABLE_FILE = 10
    NO_SOUND_CARD = 11
    CALL_FAILED = 12
    KEY_CHANGED = 13
    NO_ACCOUNT = 14
    FAULT_FOUND = 15
    INTERRUPTED = 130
    TERMINATED = 143


MEANINGS: dict[ExitCode, str] = {
    ExitCode.OK: "done; of a call: it was answered and ended by either side, or you hung up",
    ExitCode.UNEXPECTED: "something unforeseen (ENTRENOUS_DEBUG=1 shows where)",
    ExitCode.USAGE: "wrong options, or a setting that cannot be used",
    ExitCode.UNKNOWN_CONTACT: "not among your contacts, or unknown to their server",
    ExitCode.BUSY: "they are in another call",
    ExitCode.DECLINED: "they declined",
    ExitCode.UNANSWERED: "nobody answered, or none of their devices is online",
    ExitCode.SERVER_UNREACHABLE: "the signaling server does not answer",
    ExitCode.REFUSED: "the server refused (name taken, registration closed, bad invite, too many)",
    ExitCode.WRONG_PASSPHRASE: "the passphrase is wrong",
    ExitCode.UNREADABLE_FILE: "a file cannot be read as sound or picture, or not be written",
    ExitCode.NO_SOUND_CARD: "no sound card, or it does not open",
    ExitCode.CALL_FAILED: "the call could not connect, or was lost",
    ExitCode.KEY_CHANGED: "the identity key of a contact is not the one you pinned",
    ExitCode.NO_ACCOUNT: "no account in the profile folder (or one already, for register)",
    ExitCode.FAULT_FOUND: "doctor, devices --test: calls will not work until something is repaired",
    ExitCode.INTERRUPTED: "Ctrl-C, after hanging up properly",
    ExitCode.TERMINATED: "SIGTERM or a closed terminal, after hanging up properly",
}
"""For the help text; every code has its line."""


def exit_code_of(error: EntrenousError) -> ExitCode:
    """The exit code of a command that ended with `error`; the most exact class wins."""
    for kind, code in _BY_ERROR:
        if isinstance(error, kind):
            return code
    return ExitCode.UNEXPECTED


_BY_ERROR: tuple[tuple[type[EntrenousError], ExitCode], ...] = (
    (IdentityChanged, ExitCode.KEY_CHANGED),
    (ContactError, ExitCode.UNKNOWN_CONTACT),
    (WrongPassphrase, ExitCode.WRONG_PASSPHRASE),
    (KeystoreError, ExitCode.NO_ACCOUNT),
    (ServerUnreachable, ExitCode.SERVER_UNREACHABLE),
    (RequestRefused, ExitCode.REFUSED),
    (ConfigError, ExitCode.USAGE),
    (DeviceError, ExitCode.NO_SOUND_CARD),
    (MediaFileError, ExitCode.UNREADABLE_FILE),
    (MediaError, ExitCode.CALL_FAILED),
    (TransportError, ExitCode.CALL_FAILED),
    (CallEnded, ExitCode.CALL_FAILED),
)


def exit_code_of_outcome(outcome: CallOutcome) -> ExitCode:
    """The exit code of a command that had only this call."""
    match outcome.reason:
        case EndReason.LOCAL | EndReason.REMOTE | EndReason.ELSEWHERE | EndReason.CROSSED | EndReason.RECALLED:
            return ExitCode.OK
        case EndReason.DECLINED:
            return ExitCode.DECLINED
        case EndReason.BUSY:
            return ExitCode.BUSY
        case EndReason.UNANSWERED | EndReason.MISSED | EndReason.CANCELLED | EndReason.OFFLINE:
            return ExitCode.UNANSWERED
        case EndReason.UNKNOWN_USER:
            return ExitCode.UNKNOWN_CONTACT
        case EndReason.FAILED | EndReason.LOST:
            return ExitCode.CALL_FAILED
        case _:
            assert_never(outcome.reason)
