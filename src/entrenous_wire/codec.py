"""Wire messages to and from text frames, strictly: what does not fit the schema never gets further."""

from __future__ import annotations

from typing import Final, TypeVar

import msgspec

from .limits import BODY_SIZES, MAX_FRAME_BYTES
from .messages import Deliver, ErrorCode, FromNode, FromServer, Kind, Letter, Message, Send

_encoder = msgspec.json.Encoder()
_from_node = msgspec.json.Decoder(FromNode)
_from_server = msgspec.json.Decoder(FromServer)

_REASON_CHARACTERS: Final = 200
"""What is quoted of a reason: an answer always fits a frame, whatever it quotes."""

_HEXADECIMAL: Final = "0123456789abcdef"

_MESSAGE: Final = Kind.MESSAGE  # looking a member up in its class takes longer than decoding an acknowledgement

T = TypeVar("T")


class WireError(ValueError):
    """A frame is not a message of this protocol.

    Args:
        code: what to answer with.
        message: one sentence without any content of the frame.
    """

    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(message)
        self.code = code


def encode(message: Message) -> str:
    """The text frame of a message; raises WireError when it would be above MAX_FRAME_BYTES."""
    return encode_bytes(message).decode()


def encode_bytes(message: Message) -> bytes:
    """The payload of a message's text frame, in UTF-8; raises WireError when it would be above MAX_FRAME_BYTES."""
    payload = _encoder.encode(message)
    if len(payload) > MAX_FRAME_BYTES:
        raise WireError(ErrorCode.TOO_LARGE, f"A message may have at most {MAX_FRAME_BYTES} bytes.")
    return payload


def decode_from_node(frame: str | bytes) -> FromNode:
    """What a node said; raises WireError."""
    message: FromNode = _decode(_from_node, frame)
    if isinstance(message, Send):
        _check_body(message.body)
        if message.device.strip(_HEXADECIMAL):
            raise WireError(ErrorCode.MALFORMED, "A device id has 16 hexadecimal digits, in lower case.")
        if message.kind is _MESSAGE and message.call != message.id:
            raise WireError(ErrorCode.MALFORMED, "A message to be stored belongs to no call: its call is its id.")
    return message


def decode_from_server(frame: str | bytes) -> FromServer:
    """What a server said; raises WireError."""
    message: FromServer = _decode(_from_server, frame)
    if isinstance(message, Deliver | Letter):
        _check_body(message.body)
    if isinstance(message, Deliver) and message.kind is Kind.MESSAGE:
        raise WireError(ErrorCode.MALFORMED, "A stored message comes as a letter.")
    return message


def _check_body(body: bytes) -> None:
    if len(body) not in BODY_SIZES:
        raise WireError(ErrorCode.MALFORMED, "A sealed body must be padded to one of the fixed sizes.")


def _decode(decoder: msgspec.json.Decoder[T], frame: str | bytes) -> T:
    if len(frame) > MAX_FRAME_BYTES:
        raise WireError(ErrorCode.TOO_LARGE, f"A message may have at most {MAX_FRAME_BYTES} bytes.")
    try:
        return decoder.decode(frame)
    except msgspec.ValidationError as error:
        raise _explain(frame, str(error)) from None
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise WireError(ErrorCode.MALFORMED, "The frame is not one JSON object.") from None


def _explain(frame: str | bytes, reason: str) -> WireError:
    """Tell an unknown type from a known one with a wrong field.

    The reason may quote a wrong enum value: it goes back to who sent it and is never logged.
    """
    if "`$.type`" in reason or reason == "Object missing required field `type`":
        return WireError(ErrorCode.UNKNOWN_TYPE, "The message type is missing or not known to this version.")
    return WireError(ErrorCode.MALFORMED, f"A field does not have its shape: {reason[:_REASON_CHARACTERS]}")
