"""What two devices of a call say to each other inside the sealed channel.

MessagePack maps with a `type`; unknown types and fields, wrong shapes and oversize values are refused as a
whole. A message is sealed (`sealed.py`) before it leaves, so the server sees only its padded length.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from entrenous.errors import LocalProtocolError, RemoteProtocolError
from entrenous_wire.certificate import HYBRID_KEY_BYTES

MAX_DESCRIPTION: Final = 24 * 1024
"""The longest session description, in characters."""

Generation = Annotated[int, msgspec.Meta(ge=0, le=2**31)]
StateNumber = Annotated[int, msgspec.Meta(ge=0, le=2**31)]
Epoch = Annotated[int, msgspec.Meta(ge=1, le=2**31)]
Description = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_DESCRIPTION)]
CandidateLine = Annotated[str, msgspec.Meta(max_length=1024)]
Token = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9-]{0,31}\Z")]
DeviceId = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{16}\Z")]
Secret32 = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
HybridKey = Annotated[bytes, msgspec.Meta(min_length=HYBRID_KEY_BYTES, max_length=HYBRID_KEY_BYTES)]
SealedSecret = Annotated[bytes, msgspec.Meta(min_length=1120 + 16 + 32, max_length=1120 + 16 + 32)]


class InnerBase(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, tag_field="type"):
    """Base of all inner messages."""


class LegOffer(InnerBase, frozen=True, tag="leg-offer"):
    """The description of a leg by the side that offers it, with its DTLS fingerprint and first candidates."""

    generation: Generation
    description: Description


class LegAnswer(InnerBase, frozen=True, tag="leg-answer"):
    """The other side's description of the same leg."""

    generation: Generation
    description: Description


class Candidate(InnerBase, frozen=True, tag="candidate"):
    """One more address of a leg; None: there will be no more."""

    generation: Generation
    candidate: CandidateLine | None


class PleaseRestart(InnerBase, frozen=True, tag="please"):
    """The callee asks the caller for a leg after this generation: media stopped, or a better path is there."""

    generation: Generation
    stalled: bool


class Reveal(InnerBase, frozen=True, tag="reveal"):
    """The caller's nonce, to which its ring was committed."""

    nonce: Secret32

    def __repr__(self) -> str:
        """Without the nonce."""
        return "Reveal()"


class Accept(InnerBase, frozen=True, tag="accept"):
    """The callee picked up; with a leg offer when it made none while ringing."""

    offer: LegOffer | None = None


class End(InnerBase, frozen=True, tag="end"):
    """The call is over, or this device is out of it.

    Args:
        reason: `entrenous.protocol.states.EndReason` by value, as the sender sees it.
        device: the device that took the call, when the reason is that another one did.
        stage: how far it got: keys, ring, path, handshake or media.
        cause: `entrenous.protocol.causes.Cause` by value: what did not work at the sender's end.
    """

    reason: Token
    device: DeviceId | None = None
    stage: Token | None = None
    cause: Token | None = None


class MediaState(InnerBase, frozen=True, tag="media-state"):
    """What the sender of this has switched on and off; a display matter: sound keeps its size and cadence.

    Args:
        number: of this state, rising from one to the next: two ways may bring them in another order.
        audio_muted: silence is sent in place of sound.
        video_muted: there is a camera, or may be, and its pictures are withheld.
        camera_on: there is something to take pictures of the camera from.
        screen_on: a screen is shared.
        held: the call is on hold: silence is sent, no pictures, and nothing is played.
    """

    number: StateNumber
    audio_muted: bool
    video_muted: bool
    camera_on: bool
    screen_on: bool
    held: bool


class RekeyOffer(InnerBase, frozen=True, tag="rekey-offer"):
    """A fresh hybrid public key, under which the peer is to send a fresh secret for `epoch`."""

    epoch: Epoch
    public_key: HybridKey


class RekeyAnswer(InnerBase, frozen=True, tag="rekey-answer"):
    """The fresh secret, sealed under the offered key; its sender opens frames of `epoch` from here on."""

    epoch: Epoch
    sealed_secret: SealedSecret


class RekeyDone(InnerBase, frozen=True, tag="rekey-done"):
    """Its sender opens and seals frames of `epoch`: the peer may seal with it too."""

    epoch: Epoch


RekeyMessage = RekeyOffer | RekeyAnswer | RekeyDone
InnerMessage = (
    Reveal
    | Accept
    | End
    | LegOffer
    | LegAnswer
    | Candidate
    | PleaseRestart
    | MediaState
    | RekeyOffer
    | RekeyAnswer
    | RekeyDone
)

_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final[msgspec.msgpack.Decoder[InnerMessage]] = msgspec.msgpack.Decoder(InnerMessage)


def encode(message: InnerMessage) -> bytes:
    """Encode an inner message, checked as the receiver will check it.

    Raises:
        LocalProtocolError: a value is out of bounds: the peer would refuse it.
    """
    data = _encoder.encode(message)
    try:
        _decoder.decode(data)
    except msgspec.ValidationError as error:
        raise LocalProtocolError(f"This message is out of bounds: {error}") from None
    return data


def decode(data: bytes) -> InnerMessage:
    """Decode an inner message; raises RemoteProtocolError when it is not exactly one valid message."""
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise RemoteProtocolError("A sealed message is malformed.") from None
