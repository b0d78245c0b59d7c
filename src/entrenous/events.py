"""What a call and a node tell their owner: plain facts in the past tense.

`async for event in call` yields CallEvents and ends after `Ended`; `async for notice in node.notices()` yields
Notices and ends when the node closes. Times are seconds of `time.monotonic()` unless said otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass

from entrenous_wire.addresses import Address

from .media.devices import DeviceChange
from .media.streams import StreamKind
from .protocol.causes import Cause, Side
from .protocol.states import EndReason, Stage


@dataclass(frozen=True, slots=True)
class Alerting:
    """It rings on at least one device of theirs."""


@dataclass(frozen=True, slots=True)
class WordsKnown:
    """The handshake is complete.

    Args:
        words: the three words that both people must see alike.
        verified: the identities were compared before, so nobody needs to read the words out.
    """

    words: tuple[str, str, str]
    verified: bool


@dataclass(frozen=True, slots=True)
class Connecting:
    """Answered; the path is still being found."""


@dataclass(frozen=True, slots=True)
class Active:
    """Sound and picture flow.

    Args:
        path: `direct` or `relay`, None in the moment in which it breaks.
    """

    path: str | None


@dataclass(frozen=True, slots=True)
class FirstMedia:
    """The first sound or picture of the peer was decoded and handed to the sink at monotonic time `at`."""

    kind: StreamKind
    at: float


@dataclass(frozen=True, slots=True)
class PathChanged:
    """Media goes on over another path: a better one was found, or a network came or went.

    Args:
        path: `direct` or `relay`.
    """

    path: str


@dataclass(frozen=True, slots=True)
class Reconnecting:
    """Nothing arrives; another path is being looked for."""


@dataclass(frozen=True, slots=True)
class PeerMedia:
    """What the peer has switched on and off: told once when media begins to flow, and whenever it changes.

    Args:
        audio_muted: silence comes in place of sound.
        video_muted: the pictures of the camera are withheld.
        camera_on: there is a camera, or a file in its place.
        screen_on: the screen is shared.
        held: the peer put the call on hold: silence and no pictures come, and it hears and sees nothing.
    """

    audio_muted: bool
    video_muted: bool
    camera_on: bool
    screen_on: bool
    held: bool


@dataclass(frozen=True, slots=True)
class Rekeyed:
    """Both ends moved to the frame keys of a new epoch."""

    epoch: int


@dataclass(frozen=True, slots=True)
class SendingEnded:
    """The source has no more of this kind (the file is over); sound goes on as silence."""

    kind: StreamKind


@dataclass(frozen=True, slots=True)
class MediaProblem:
    """A source or sink broke or ended early; the call goes on. The sentence is fit for a person."""

    sentence: str


@dataclass(frozen=True, slots=True)
class CallOutcome:
    """How a call ended.

    Args:
        reason: why.
        stage: how far it had come.
        sentence: both in one sentence for a person.
        seconds: how long it was answered for, None when it never was.
        cause: of a call that failed: what did not work, None where that is not known.
        side: at whose end.
    """

    reason: EndReason
    stage: Stage
    sentence: str
    seconds: float | None
    cause: Cause | None = None
    side: Side | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """The call is over; no event follows."""

    outcome: CallOutcome


CallEvent = (
    Alerting
    | WordsKnown
    | Connecting
    | Active
    | FirstMedia
    | PathChanged
    | Reconnecting
    | PeerMedia
    | Rekeyed
    | SendingEnded
    | MediaProblem
    | DeviceChange
    | Ended
)


@dataclass(frozen=True, slots=True)
class KeyChanged:
    """A contact's identity key is not the pinned one: calls with it are blocked until the new one is accepted.

    Args:
        address: the contact.
        fingerprint: of the new identity key, as in a contact card.
    """

    address: Address
    fingerprint: str


@dataclass(frozen=True, slots=True)
class MissedCall:
    """Somebody rang, and nobody answered in time or no call could come of it; or they called while we were away.

    Args:
        address: who called: a contact, or a stranger where strangers may ring.
        sentence: why it could not be answered, empty when it could.
        called_at: when they called while we were away, in Unix seconds by their clock; None for a call that rang here.
        video: whether they called with picture while we were away.
    """

    address: Address
    sentence: str = ""
    called_at: float | None = None
    video: bool = False


@dataclass(frozen=True, slots=True)
class OwnDeviceAdded:
    """Another device belongs to this account: its owner has added it, or somebody else who has the identity key.

    No server can make that up, since the identity key certifies each device. It is told until somebody has read it.

    Args:
        device: its id, 16 hexadecimal digits.
        seen_at: when this device first saw it, in Unix seconds.
        again: it belonged to the account before, and was gone.
    """

    device: str
    seen_at: float
    again: bool = False


@dataclass(frozen=True, slots=True)
class OwnDeviceGone:
    """A device does not belong to this account any more, by the word of the server; told until it was read.

    Args:
        device: its id.
        seen_at: when this device first missed it, in Unix seconds.
    """

    device: str
    seen_at: float


@dataclass(frozen=True, slots=True)
class OwnDeviceLoggedIn:
    """Another device of this account, a known one, has logged in while this one is connected.

    Args:
        device: its id.
        logged_in_at: Unix seconds of a whole minute, by the server's clock.
    """

    device: str
    logged_in_at: float


@dataclass(frozen=True, slots=True)
class ServerLost:
    """The connection to the signaling server is gone; live calls go on, and it is tried again."""

    sentence: str


@dataclass(frozen=True, slots=True)
class ServerBack:
    """The connection to the signaling server stands again."""


Notice = KeyChanged | MissedCall | OwnDeviceAdded | OwnDeviceGone | OwnDeviceLoggedIn | ServerLost | ServerBack
