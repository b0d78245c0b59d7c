"""Reading length-checked binary fields, for the few messages whose exact bytes are signed."""

from __future__ import annotations

from entrenous.errors import RemoteProtocolError


class FieldReader:
    """Takes fields off a message, front to back; every shortage is a RemoteProtocolError.

    Args:
        data: the whole message.
    """

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, length: int) -> bytes:
        """The next `length` bytes."""
        end = self._at + length
        if end > len(self._data):
            raise RemoteProtocolError("A handshake message is too short.")
        field = self._data[self._at : end]
        self._at = end
        return field

    def number(self, length: int) -> int:
        """The next `length` bytes as a big-endian number."""
        return int.from_bytes(self.take(length), "big")

    def sized(self, maximum: int) -> bytes:
        """A field of up to `maximum` bytes, led by its length in two bytes."""
        length = self.number(2)
        if length > maximum:
            raise RemoteProtocolError("A field of a handshake message is too long.")
        return self.take(length)

    def text(self, maximum: int) -> str:
        """Like `sized`, as printable ASCII."""
        field = self.sized(maximum)
        if not all(0x20 <= byte < 0x7F for byte in field):
            raise RemoteProtocolError("A text of a handshake message is not printable ASCII.")
        return field.decode("ascii")

    def end(self) -> None:
        """Nothing may follow."""
        if self._at != len(self._data):
            raise RemoteProtocolError("Something follows the end of a handshake message.")


def sized(field: bytes) -> bytes:
    """Lead a field of at most 65,535 bytes by its length, as `FieldReader.sized` reads it."""
    return len(field).to_bytes(2, "big") + field
