"""VP8 in RTP (RFC 7741) for frames that are sealed as a whole.

The bytes after the descriptor are pieces of one sealed frame, so nothing but the descriptor can be read on the
way: no key frame bit, no partition, no size. Each piece carries the 15-bit picture number of its frame.

::

     0 1 2 3 4 5 6 7
    |X|R|N|S|R| PID |   X = 1: an extension byte follows; S = 1: first piece of the frame; PID = 0
    |I|L|T|K|  RSV  |   I = 1: a picture number follows
    |M| picture id  |   M = 1: 15 bits
    |  picture id   |

A browser's payload has a clear VP8 header behind it; that is the business of the codec layer.
"""

from __future__ import annotations

from typing import NamedTuple

from entrenous.errors import RemoteProtocolError

MAX_PAYLOAD = 1180
"""Bytes of an RTP payload: with RTP, SRTP, UDP, IPv6 and a TURN header it stays below 1280, which IPv6 guarantees."""

PICTURE_IDS = 1 << 15

_DESCRIPTOR = 4
_EXTENDED = 0x80
_START = 0x10
_PICTURE_ID = 0x80
_LONG = 0x80


class Piece(NamedTuple):
    """One packet's part of a frame.

    Args:
        start: whether the frame begins with it.
        picture_id: 0..32767, None when the sender does not number pictures.
        data: the bytes of the frame.
    """

    start: bool
    picture_id: int | None
    data: bytes


def packetise(frame: bytes, picture_id: int) -> list[bytes]:
    """Cut a sealed frame into RTP payloads of nearly equal size, so that none is a tiny rest.

    Args:
        frame: at least one byte.
        picture_id: 0..32767.

    Returns:
        The payloads in order; the last one is to carry RTP's marker bit.
    """
    room = MAX_PAYLOAD - _DESCRIPTOR
    count = -(-len(frame) // room)
    size = -(-len(frame) // count)
    numbered = (0x8000 | picture_id).to_bytes(2, "big")
    first = bytes((_EXTENDED | _START, _PICTURE_ID)) + numbered
    other = bytes((_EXTENDED, _PICTURE_ID)) + numbered
    return [(first if at == 0 else other) + frame[at : at + size] for at in range(0, len(frame), size)]


def read_piece(payload: bytes) -> Piece:
    """Read the descriptor of one payload, with every optional field that a sender may put there.

    Raises:
        RemoteProtocolError: it is cut short, or nothing follows.
    """
    try:
        return _read_piece(payload)
    except IndexError as error:
        raise RemoteProtocolError("A VP8 payload descriptor is cut short.") from error


def _read_piece(payload: bytes) -> Piece:
    first = payload[0]
    at = 1
    picture_id = None
    if first & _EXTENDED:
        extension = payload[1]
        at = 2
        if extension & _PICTURE_ID:
            if payload[at] & _LONG:
                picture_id = (payload[at] & 0x7F) << 8 | payload[at + 1]
                at += 2
            else:
                picture_id = payload[at]
                at += 1
        if extension & 0x40:  # L: TL0PICIDX
            at += 1
        if extension & 0x30:  # T or K: TID and KEYIDX share one byte
            at += 1
    if at >= len(payload):
        raise RemoteProtocolError("A VP8 payload is empty.")
    # A frame begins with partition 0 only; later partitions of a browser's frame have S of their own.
    return Piece(start=bool(first & _START) and not first & 0x07, picture_id=picture_id, data=payload[at:])
