"""The frames of a WebSocket as its server reads and writes them (RFC 6455 5): masked ones come, bare ones go.

Nothing is negotiated beside the subprotocol, so no reserved bit may be set. aiohttp answers the request for the
WebSocket and has no part in it then: its way from a read to a message leads over a queue and a task, which cost almost
as much as the hub does.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import Final

from aiohttp._websocket.helpers import websocket_mask  # compiled: in Python it takes longer than everything else here

MOST_PIECES: Final = 128
"""Frames that one message may come in."""

_FINAL: Final = 0x80
_MASKED: Final = 0x80
_CONTROL: Final = 0x08
_MOST_IN_CONTROL: Final = 125
_MOST_IN_ONE_BYTE: Final = 125
_MOST_IN_TWO_BYTES: Final = 0xFFFF
_IN_TWO_BYTES: Final = 126
_IN_EIGHT_BYTES: Final = 127
_MASK_BYTES: Final = 4
_SHORT: Final = struct.Struct("!BB")
_MEDIUM: Final = struct.Struct("!BBH")
_LONG: Final = struct.Struct("!BBQ")
_LEAST: Final = _SHORT.size + _MASK_BYTES
_BEFORE_MEDIUM: Final = _MEDIUM.size + _MASK_BYTES
_BEFORE_LONG: Final = _LONG.size + _MASK_BYTES
_CODE_BYTES: Final = 2
_CODES: Final = frozenset({1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014})
_CODES_OF_OTHERS: Final = range(3000, 5000)


class Opcode(IntEnum):
    """What a frame is."""

    CONTINUATION = 0
    TEXT = 1
    BINARY = 2
    CLOSE = 8
    PING = 9
    PONG = 10


class Fault(IntEnum):
    """Why a WebSocket cannot go on: the close codes of RFC 6455 7.4.1."""

    PROTOCOL = 1002
    TOO_BIG = 1009


class FrameError(Exception):
    """What came are no frames of a client.

    Args:
        fault: what to close with.
    """

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.name)
        self.fault = fault


_KNOWN: Final = {opcode.value: opcode for opcode in Opcode}
_WHOLE_TEXT: Final = _FINAL | Opcode.TEXT.value


class FrameReader:
    """Cuts the bytes of a connection into messages and control frames.

    What has come of a frame is kept until the rest has; of a length that is said, no more than `largest` is believed.

    Args:
        largest: bytes of a message.
    """

    __slots__ = ("_held", "_largest", "_needed", "_opcode", "_pieces", "_said")

    def __init__(self, largest: int) -> None:
        self._largest = largest
        self._held: bytearray | None = None
        self._needed = 0
        self._opcode: Opcode | None = None
        self._said: bytearray | None = None
        self._pieces = 0

    def read(self, data: bytes) -> Iterator[tuple[Opcode, bytes]]:
        """What ends in these bytes: messages, whole, and the control frames between them.

        Who stops in the middle of it cannot go on with what comes later.

        Args:
            data: what came next.

        Raises:
            FrameError: while it is iterated over: nothing behind that can be understood.
        """
        if self._held is not None:
            self._held += data
            if len(self._held) < self._needed:  # a frame that comes byte by byte is not looked at for each of them
                return
            data = bytes(self._held)
            self._held = None
        at, end = 0, len(data)
        while at < end:
            begin = at + _LEAST
            if end < begin:
                self._needed = _LEAST
                break
            first, size = data[at], data[at + 1] ^ _MASKED
            if size >= _IN_TWO_BYTES:
                begin, size = _long(data, at, size)
                if size < 0:
                    self._needed = begin - at
                    break
            if first != _WHOLE_TEXT or self._opcode is not None:
                self._check(first, size)
            if size > self._largest:
                raise FrameError(Fault.TOO_BIG)
            stop = begin + size
            if stop > end:
                self._needed = stop - at
                break
            payload = bytearray(data[begin:stop])
            websocket_mask(data[begin - _MASK_BYTES : begin], payload)
            at = stop
            if first == _WHOLE_TEXT:
                yield Opcode.TEXT, bytes(payload)
            elif (whole := self._join(first, payload)) is not None:
                yield whole
        if at < end:
            self._held = bytearray(data[at:])

    def _check(self, first: int, size: int) -> None:
        """Whether a frame that begins so may come now; raises FrameError."""
        opcode = _KNOWN.get(first & ~_FINAL)  # one with a reserved bit is none
        if opcode is None:
            raise FrameError(Fault.PROTOCOL)
        if opcode & _CONTROL:
            if not first & _FINAL or size > _MOST_IN_CONTROL:
                raise FrameError(Fault.PROTOCOL)
            return
        if (opcode is Opcode.CONTINUATION) is (self._opcode is None):
            raise FrameError(Fault.PROTOCOL)
        if self._said is not None and (size + len(self._said) > self._largest or self._pieces >= MOST_PIECES):
            raise FrameError(Fault.TOO_BIG)

    def _join(self, first: int, payload: bytearray) -> tuple[Opcode, bytes] | None:
        """What ends with a frame that may come, or None."""
        opcode = _KNOWN[first & ~_FINAL]
        is_final = bool(first & _FINAL)
        if opcode & _CONTROL or (is_final and self._opcode is None):
            return opcode, bytes(payload)
        if self._said is None:
            self._opcode, self._said, self._pieces = opcode, payload, 1
            return None
        self._said += payload
        self._pieces += 1
        if self._opcode is None or not is_final:
            return None
        whole = self._opcode, bytes(self._said)
        self._opcode = self._said = None
        return whole


def _long(data: bytes, at: int, size: int) -> tuple[int, int]:
    """Where the payload of a frame begins whose length has bytes of its own, and the length; -1 until that is there."""
    if size == _IN_TWO_BYTES:
        begin, least = at + _BEFORE_MEDIUM, _MOST_IN_ONE_BYTE + 1
    elif size == _IN_EIGHT_BYTES:
        begin, least = at + _BEFORE_LONG, _MOST_IN_TWO_BYTES + 1
    else:  # the bit was not set that says that it is masked
        raise FrameError(Fault.PROTOCOL)
    if len(data) < begin:
        return begin, -1
    if size == _IN_TWO_BYTES:  # as nearly all: a slice takes longer
        size = data[at + 2] << 8 | data[at + 3]
    else:
        size = int.from_bytes(data[at + 2 : begin - _MASK_BYTES], "big")
    if size < least:  # RFC 6455 5.2: the shortest way to say it is the only one
        raise FrameError(Fault.PROTOCOL)
    return begin, size


def text_header(size: int) -> bytes:
    """What stands in front of the payload of a whole text frame."""
    if size <= _MOST_IN_ONE_BYTE:
        return _SHORT.pack(_WHOLE_TEXT, size)
    if size <= _MOST_IN_TWO_BYTES:
        return _MEDIUM.pack(_WHOLE_TEXT, _IN_TWO_BYTES, size)
    return _LONG.pack(_WHOLE_TEXT, _IN_EIGHT_BYTES, size)


def control_frame(opcode: Opcode, payload: bytes = b"") -> bytes:
    """A ping, pong or close frame; the payload has at most 125 bytes."""
    return _SHORT.pack(_FINAL | opcode, len(payload)) + payload


def close_frame(code: int, reason: bytes = b"") -> bytes:
    """A close frame; the reason is UTF-8."""
    return control_frame(Opcode.CLOSE, code.to_bytes(_CODE_BYTES, "big") + reason)


def answer_to_close(payload: bytes) -> bytes:
    """The close frame that answers one; to one that RFC 6455 does not allow (5.5.1, 7.4) it says so."""
    if not payload:
        return control_frame(Opcode.CLOSE)
    code = int.from_bytes(payload[:_CODE_BYTES], "big")
    try:
        payload[_CODE_BYTES:].decode()
    except UnicodeDecodeError:
        code = Fault.PROTOCOL
    return close_frame(code if code in _CODES or code in _CODES_OF_OTHERS else Fault.PROTOCOL)
