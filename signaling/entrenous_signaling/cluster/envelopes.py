"""What the nodes of a cluster say to each other: frames of MessagePack, and the envelopes in them.

::

    to all      Frame without contents: "I am alive", once a second
    to a node   Frame: the numbers of its lane (see `lane`), and what it carries, each packed by itself

An envelope that is not understood is dropped alone, so that a node may say something new to an older one. A frame is
dropped whole when it is of another version, too large, or made too long ago.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Final, TypeVar

import msgspec
from msgspec import Meta, Raw, Struct

from entrenous_wire.messages import (
    Body,
    CallId,
    DeviceId,
    Ed25519Key,
    Kind,
    MessageId,
    UnixMinute,
    Username,
)

VERSION: Final = 1
"""Of frames; nodes of different versions do not hear each other."""

NODE_BYTES: Final = 8
"""The name of a start of a node: random."""

MAX_FRAME_BYTES: Final = 320 * 1024
"""The longest frame that is looked at."""

FILL_BYTES: Final = 192 * 1024
"""A frame that carries so much is closed; the largest envelope fits on top of it."""

MAX_PRESENT: Final = 256
"""Sessions in one envelope."""

MAX_TOGETHER: Final = 64
TOGETHER_BYTES: Final = 64 * 1024
"""Messages in one envelope, which is closed by the one whose body goes beyond these bytes."""

MAX_AGE_SECONDS: Final = 30.0
"""How far the clock of a frame may be from ours."""

MAX_AHEAD_SECONDS: Final = 120.0
"""How far the stamps of sessions and the epochs of lanes may be ahead of our clock: that of a node may be ahead by
MAX_AGE_SECONDS, and it counts on from those of others, whose clocks may be ahead of its own by as much."""

NodeId = Annotated[bytes, Meta(min_length=NODE_BYTES, max_length=NODE_BYTES)]
Number = Annotated[int, Meta(ge=0, le=2**53)]
SessionHash = Annotated[bytes, Meta(min_length=32, max_length=32)]
Name = Annotated[str, Meta(min_length=1, max_length=64)]
"""Of an account or a device, in what is said of each message: the node that says it has looked at its letters when it
came from outside, and to look at them again takes longer than all else here."""


class EnvelopeError(Exception):
    """Bytes that are no frame, or no envelope, of this version."""


class Frame(Struct, frozen=True, array_like=True, gc=False):
    """What travels over the bus.

    Args:
        version: `VERSION`.
        sender: who made it.
        made: Unix seconds.
        lane: the epoch of the lane that it belongs to; 0 in a frame to all.
        number: of this frame in its lane; 0 when it carries nothing.
        ack: the sender has everything up to this number.
        envelopes: what it carries.
    """

    version: int
    sender: NodeId
    made: float
    lane: Number = 0
    number: Number = 0
    ack: Number = 0
    envelopes: list[Raw] = []  # msgspec makes a new one for each


class Session(Struct, frozen=True, array_like=True, gc=False):
    """A session of the node that says so.

    Args:
        username, device: whose.
        stamp: of two sessions of a device, the one with the higher stamp is newer.
        hash: of its token.
        expires: Unix seconds at which the certificate of the device expires.
        device_key: the Ed25519 key of the device.
    """

    username: Username
    device: DeviceId
    stamp: Number
    hash: SessionHash
    expires: Number
    device_key: Ed25519Key


class Envelope(Struct, frozen=True, array_like=True, gc=False):
    """Base of what a frame carries."""


class Here(Envelope, frozen=True, gc=False, tag=1):
    """These devices have their sessions at the sender."""

    sessions: Annotated[list[Session], Meta(max_length=MAX_PRESENT)]


class Gone(Envelope, frozen=True, gc=False, tag=2):
    """The session that a device had at the sender is over."""

    username: Username
    device: DeviceId


class Forwarded(Struct, frozen=True, array_like=True, gc=False):
    """One message of `Forward`.

    Args:
        seq: its place in the queue.
        id, call, kind, body: as it was said.
        recorded: whether it opened a call record, or joined one.
        from_username, from_device: who said it.
    """

    seq: Number
    id: MessageId
    call: CallId
    kind: Kind
    body: Body
    recorded: bool
    from_username: Name
    from_device: Name


class Forward(Envelope, frozen=True, gc=False, tag=3):
    """Messages for a device of the receiver, which stay with the sender until `Settled` names them.

    Args:
        username, device: whom they are for.
        box: the sender's queue for that device.
        messages: in the order of that queue, with nothing left out between them.
    """

    username: Name
    device: Name
    box: Number
    messages: Annotated[list[Forwarded], Meta(min_length=1, max_length=MAX_TOGETHER)]


class Settled(Envelope, frozen=True, gc=False, tag=4):
    """A device has everything of a queue up to and including `seq`."""

    username: Name
    device: Name
    box: Number
    seq: Number


class Moved(Envelope, frozen=True, gc=False, tag=5):
    """A message was forwarded that a device of the receiver had said, and the device has its session elsewhere now.

    There it says again what was not delivered, so that what it said before must not come after that. Nothing more of
    the queue is taken, until what waits in it comes again under another name.

    Args:
        node: where it has its session.
        session: as that node has told it.
        username, device: whom the message was for.
        box: the queue that it came from.
    """

    node: NodeId
    session: Session
    username: Username
    device: DeviceId
    box: Number


class NotHere(Envelope, frozen=True, gc=False, tag=6):
    """A message was forwarded for a device that has no session at the sender (any more)."""

    username: Username
    device: DeviceId


class Bell(Envelope, frozen=True, gc=False, tag=7):
    """Something was stored for a device of the receiver."""

    username: Username
    device: DeviceId


class Expelled(Envelope, frozen=True, gc=False, tag=8):
    """An account was deleted: look it up, for somebody else may have its name by now."""

    username: Username


class Leaving(Envelope, frozen=True, gc=False, tag=9):
    """The sender goes down on purpose: what was forwarded to it and is not settled has to go elsewhere."""


class CameIn(Envelope, frozen=True, gc=False, tag=10):
    """A device has logged in afresh at the sender: as `LoggedIn`, for the others of its account."""

    username: Username
    device: DeviceId
    at: UnixMinute
    new: bool


AnyEnvelope = Here | Gone | Forward | Settled | Moved | NotHere | Bell | Expelled | Leaving | CameIn

_Decoded = TypeVar("_Decoded")
_encoder = msgspec.msgpack.Encoder()
_frames = msgspec.msgpack.Decoder(Frame)
_envelopes: msgspec.msgpack.Decoder[AnyEnvelope] = msgspec.msgpack.Decoder(AnyEnvelope)


def pack(envelope: AnyEnvelope) -> bytes:
    """An envelope as it travels."""
    return _encoder.encode(envelope)


def unpack(raw: Raw | bytes) -> AnyEnvelope:
    """What a frame carried.

    Raises:
        EnvelopeError: it is unknown, or of the wrong shape.
    """
    return _decode(_envelopes, raw)


def pack_frame(frame: Frame) -> bytes:
    """A frame as it travels."""
    return _encoder.encode(frame)


def unpack_frame(payload: bytes, now: float) -> Frame:
    """A frame that came over the bus.

    Args:
        payload: the bytes.
        now: Unix seconds.

    Raises:
        EnvelopeError: it is of another version or shape, too large, or its time is too far from `now`.
    """
    if len(payload) > MAX_FRAME_BYTES:
        raise EnvelopeError("the frame is too large")
    frame = _decode(_frames, payload)
    if frame.version != VERSION:
        raise EnvelopeError("the frame is of another version")
    if not abs(frame.made - now) <= MAX_AGE_SECONDS:  # which is false for what is no number too
        raise EnvelopeError("the frame was made too long ago, or by a clock that is wrong")
    return frame


def is_believable(milliseconds: int, now: float) -> bool:
    """Whether a stamp or an epoch may be right; one from far ahead would be the highest for ever.

    Args:
        milliseconds: since 1970, or more where there were many at a time.
        now: Unix seconds.
    """
    return milliseconds <= (now + MAX_AHEAD_SECONDS) * 1000


def as_raw(packed: Iterable[bytes]) -> list[Raw]:
    """Packed envelopes, to be put into a frame as they are."""
    return [Raw(envelope) for envelope in packed]


def _decode(decoder: msgspec.msgpack.Decoder[_Decoded], data: Raw | bytes) -> _Decoded:
    try:
        return decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise EnvelopeError("not understood") from error
