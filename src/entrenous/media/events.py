"""What legs and media sessions tell the call that owns them: plain facts in the past tense, no object of a library.

Leg events go to the `on_event` of the leg that made them, session events to that of the session. A handler
is called on the event loop, must not block, and may call back into whatever it likes except `close`, which
it starts as a task of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from .devices import DeviceChange
from .streams import StreamKind


class PathKind(StrEnum):
    """Whether packets go from device to device or through a TURN server."""

    DIRECT = "direct"
    RELAY = "relay"


class LegStage(StrEnum):
    """How far a leg came before it failed: no pair of addresses works, or DTLS did not hold."""

    PATH = "path"
    HANDSHAKE = "handshake"


class PathFailure(StrEnum):
    """Why a leg cannot come up, as far as this end can know; said to the person and, sealed, to the peer."""

    NO_NETWORK = "no-network"
    """This machine has no address to call from."""

    NO_RELAY = "no-relay"
    """Only relays may be used and no TURN server was given."""

    RELAY_UNREACHABLE = "relay-unreachable"
    """Only relays may be used and none of those that were given answered."""

    RELAY_REFUSED = "relay-refused"
    """Only relays may be used; one answered, but did not take the credentials or has no room."""

    NO_ANSWER = "no-answer"
    """Both ends named all their addresses and nothing got through between any two of them."""

    FINGERPRINT = "fingerprint"
    """A path was found, but not the right device at its end."""

    TIMEOUT = "timeout"
    """It took too long: the peer's addresses never came, or the handshake did not end."""


@dataclass(frozen=True, slots=True)
class LegPath:
    """The pair of candidates that a leg uses; addresses are left out on purpose, this may be shown and logged.

    Args:
        kind: through a TURN server of either side, or not.
        local_type: `host`, `srflx`, `prflx` or `relay`.
        remote_type: the same for the far end, as it is known here.
        protocol: `udp`; what the TURN server is spoken to by is not part of it.
        overhead: bytes that each packet which is sent takes on the wire beyond itself: IP, UDP or TCP, TURN, SRTP.
    """

    kind: PathKind
    local_type: str
    remote_type: str
    protocol: str
    overhead: int


@dataclass(frozen=True, slots=True)
class CandidateGathered:
    """A local address became known after the description had been made: send it to the peer's `add_candidate`.

    Args:
        line: the candidate as it stands in SDP after `candidate:` (RFC 8839 §5.1), None: there will be no more.
    """

    line: str | None

    def __repr__(self) -> str:
        return f"CandidateGathered({'an address' if self.line is not None else None})"


@dataclass(frozen=True, slots=True)
class PathFound:
    """ICE has a working pair of addresses; DTLS begins."""


@dataclass(frozen=True, slots=True)
class Secured:
    """ICE and DTLS are up and the fingerprint is the one in the description: media may be attached."""

    path: LegPath


@dataclass(frozen=True, slots=True)
class PathChanged:
    """A secured leg goes on over another pair of addresses: a better one, or the one before died."""

    path: LegPath


@dataclass(frozen=True, slots=True)
class DataOpen:
    """`send_data` works from now on."""


@dataclass(frozen=True, slots=True)
class Data:
    """A message of the peer's `send_data` arrived, at most 64 KiB."""

    message: bytes

    def __repr__(self) -> str:
        return f"Data({len(self.message)} bytes)"


@dataclass(frozen=True, slots=True)
class LegFailed:
    """The leg will not come up; close it.

    Args:
        stage: what failed.
        sentence: fit for a person.
        cause: why, where that is known.
    """

    stage: LegStage
    sentence: str
    cause: PathFailure | None = None


@dataclass(frozen=True, slots=True)
class LegClosed:
    """A leg that had been secured is gone: the peer closed it, or it withdrew its consent to receive."""

    sentence: str


LegEvent = CandidateGathered | PathFound | Secured | PathChanged | DataOpen | Data | LegFailed | LegClosed


@dataclass(frozen=True, slots=True)
class Flowing:
    """Packets of the peer arrive: for the first time, after a leg was attached, or again after a pause."""

    at: float


@dataclass(frozen=True, slots=True)
class Suspect:
    """Neither RTP nor RTCP arrived for half a second."""

    at: float


@dataclass(frozen=True, slots=True)
class Stalled:
    """Neither RTP nor RTCP arrived for a second: start a new leg."""

    at: float


@dataclass(frozen=True, slots=True)
class FirstAudio:
    """The first block of the peer's sound was decoded and handed to the sink, at monotonic time `at`."""

    at: float


@dataclass(frozen=True, slots=True)
class FirstVideo:
    """The first picture of the peer was decoded and handed to the sink, at monotonic time `at`."""

    at: float


@dataclass(frozen=True, slots=True)
class FirstScreen:
    """The first picture of the peer's screen was decoded and handed to the sink, at monotonic time `at`."""

    at: float


@dataclass(frozen=True, slots=True)
class SourceEnded:
    """The source has no more of this kind; sound goes on as silence."""

    kind: StreamKind


@dataclass(frozen=True, slots=True)
class SourceFailed:
    """The source broke; sound goes on as silence, picture stops."""

    kind: StreamKind
    sentence: str


@dataclass(frozen=True, slots=True)
class SinkFailed:
    """The sink broke and is not used any more; the call goes on."""

    sentence: str


SessionEvent = (
    Flowing
    | Suspect
    | Stalled
    | FirstAudio
    | FirstVideo
    | FirstScreen
    | SourceEnded
    | SourceFailed
    | SinkFailed
    | DeviceChange
)
