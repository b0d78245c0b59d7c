"""What a session with the signaling server asks of its shell, and what it tells.

The shell takes them with `Session.drain` after each input and carries them out in order.
"""

from __future__ import annotations

from dataclasses import dataclass

from entrenous_wire.messages import Deleted, Deliver, Devices, ErrorCode, FromNode, Letter, LoggedIn, Published, Turn

Answer = Devices | Published | Turn | Deleted
"""What the server answers to a request."""


# --- to the transport ---


@dataclass(frozen=True, slots=True)
class OpenTransport:
    """Connect to the server; answer with `transport_opened` or `transport_lost`."""


@dataclass(frozen=True, slots=True)
class CloseTransport:
    """Close the connection, or stop opening it; nothing more about it may be reported."""


@dataclass(frozen=True, slots=True)
class Transmit:
    """Say this on the open transport."""

    message: FromNode


# --- to whoever uses the session ---


@dataclass(frozen=True, slots=True)
class Arrived:
    """A sealed body from another device, once and in order."""

    message: Deliver


@dataclass(frozen=True, slots=True)
class LetterArrived:
    """A stored message, perhaps once more: say `taken` when it is in hand."""

    letter: Letter


@dataclass(frozen=True, slots=True)
class NothingStored:
    """All that was stored for this device is taken."""


@dataclass(frozen=True, slots=True)
class OtherLoggedIn:
    """Another device of the account has logged in, by the word of the server."""

    login: LoggedIn


@dataclass(frozen=True, slots=True)
class SendDelivered:
    """The receiver has the message, or the server has stored one that is to be stored."""

    id: bytes


@dataclass(frozen=True, slots=True)
class SendFailed:
    """The message does not arrive; `sentence` is for people."""

    id: bytes
    code: ErrorCode
    sentence: str


@dataclass(frozen=True, slots=True)
class RequestAnswered:
    """The answer to a request."""

    request: int
    answer: Answer


@dataclass(frozen=True, slots=True)
class RequestFailed:
    """A request was refused or not answered in time; `sentence` is for people.

    `retry_after` are the seconds after which the server would hear it again, when that is too long to wait for here.
    """

    request: int
    code: ErrorCode
    sentence: str
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class SessionUp:
    """The session stands. `resumed` is False when the server held nothing of an earlier one."""

    resumed: bool


@dataclass(frozen=True, slots=True)
class SessionLost:
    """The session, or an attempt at it, is gone; the next attempt begins at `retry_at` on the clock of `now`."""

    sentence: str
    retry_at: float


@dataclass(frozen=True, slots=True)
class GaveUp:
    """The session ended for good: no attempt would go better. `code` is None when we refused the server."""

    code: ErrorCode | None
    sentence: str


SessionOutput = (
    OpenTransport
    | CloseTransport
    | Transmit
    | Arrived
    | LetterArrived
    | NothingStored
    | OtherLoggedIn
    | SendDelivered
    | SendFailed
    | RequestAnswered
    | RequestFailed
    | SessionUp
    | SessionLost
    | GaveUp
)
