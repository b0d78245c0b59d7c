"""Messages of a TURN server out of the stream that they come in."""

from __future__ import annotations

import struct

from entrenous.errors import RemoteProtocolError

MAX_FRAME = 2048
"""Bytes of one message on a stream to the server; media and checks are far smaller."""

_HEADER = struct.Struct("!HH")


class Framer:
    """Cuts a stream from the server into messages (RFC 8656 §12.5, §3.6)."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that are complete now; raises RemoteProtocolError when the stream makes no sense."""
        self._buffer += data
        messages = []
        while len(self._buffer) >= 4:
            first, length = _HEADER.unpack_from(self._buffer)
            match first >> 14:
                case 0:
                    whole = 20 + length
                case 1:
                    whole = 4 + length + (-length % 4)
                case _:
                    raise RemoteProtocolError("The stream of the relay makes no sense.")
            if whole > MAX_FRAME:
                raise RemoteProtocolError("The relay sent a message that is too long.")
            if len(self._buffer) < whole:
                break
            messages.append(self._buffer[:whole])
            self._buffer = self._buffer[whole:]
        return messages
