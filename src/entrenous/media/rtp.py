"""RTP as it is sent and read here (RFC 3550 §5), its retransmissions (RFC 4588), endless numbers and repetitions.

Every RTP packet of ours has one shape, so that none stands out: the fixed header, no contributing sources, and one
block of one-byte header extensions (RFC 8285 §4.2) that carries the transport-wide sequence number and nothing else::

     0                   1                   2                   3
    |V=2|0|1| CC=0 |M|     PT      |       sequence number         |
    |                           timestamp                          |
    |                             SSRC                             |
    |            0xBEDE            |            length 1           |
    |  id 3 | len 1 |  transport-wide sequence number  |  0        |
    |                        payload ...                           |

The transport-wide number is written last, at the moment of sending (`number_packet`): it counts what leaves, over all
streams of a session. What a peer sends is read in any valid shape, and refused with RemoteProtocolError otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct

from entrenous.errors import RemoteProtocolError

TRANSPORT_SEQUENCE_URI = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
TRANSPORT_SEQUENCE_ID = 3
"""The header extension that every packet carries, and the number that descriptions give it."""

HEADER_LENGTH = 20
"""Bytes before the payload of a packet of ours."""

TRANSPORT_SEQUENCE_AT = 17
"""Where the transport-wide sequence number stands in a packet of ours."""

MAX_PADDING = 255
"""Bytes of padding in one packet, its length byte included."""

_SEQUENCES = 1 << 16
_FIXED = Struct("!BBHII")
_OURS = Struct("!BBHIIIBHx")
_PROFILE = Struct("!HH")
_NUMBER = Struct("!H")

_VERSION = 0x80
_PADDING = 0x20
_EXTENSION = 0x10
_ONE_BYTE_PROFILE = 0xBEDE
_BLOCK = _ONE_BYTE_PROFILE << 16 | 1
_ELEMENT = TRANSPORT_SEQUENCE_ID << 4 | 1
_STOP = 15


@dataclass(slots=True)
class RtpPacket:
    """What receivers use of an RTP packet.

    Args:
        payload_type: 0..127.
        marker: 0 or 1.
        sequence_number: 16 bits, of its stream.
        timestamp: 32 bits.
        ssrc: 32 bits.
        payload: without padding.
        transport_sequence: 16 bits, over all streams of the sender; None when the packet carries none.
    """

    payload_type: int
    marker: int
    sequence_number: int
    timestamp: int
    ssrc: int
    payload: bytes
    transport_sequence: int | None = None


def is_rtcp(packet: bytes) -> bool:
    """Whether a packet of a multiplexed transport is RTCP (RFC 5761 §4)."""
    return len(packet) >= 2 and 192 <= packet[1] <= 223


def write_rtp(
    payload_type: int, marker: int, sequence_number: int, timestamp: int, ssrc: int, payload: bytes
) -> bytearray:
    """Write one packet; its transport-wide sequence number is still to be written, by `number_packet`.

    Args:
        payload_type: 0..127.
        marker: 0 or 1.
        sequence_number: 16 bits.
        timestamp: 32 bits.
        ssrc: 32 bits.
        payload: what follows the header.
    """
    packet = bytearray(
        _OURS.pack(
            _VERSION | _EXTENSION, marker << 7 | payload_type, sequence_number, timestamp, ssrc, _BLOCK, _ELEMENT, 0
        )
    )
    packet += payload
    return packet


def write_padding(payload_type: int, sequence_number: int, timestamp: int, ssrc: int, size: int) -> bytearray:
    """Write a packet that carries nothing but padding (RFC 3550 §5.1): what a probe sends where nothing waits.

    Args:
        payload_type: 0..127.
        sequence_number: 16 bits.
        timestamp: 32 bits.
        ssrc: 32 bits.
        size: bytes of padding, 1..255.
    """
    packet = write_rtp(payload_type, 0, sequence_number, timestamp, ssrc, bytes(size - 1) + bytes([size]))
    packet[0] |= _PADDING
    return packet


def number_packet(packet: bytearray, transport_sequence: int) -> None:
    """Write the transport-wide sequence number, 16 bits, into a packet of ours."""
    _NUMBER.pack_into(packet, TRANSPORT_SEQUENCE_AT, transport_sequence)


def transport_sequence_of(packet: bytearray) -> int:
    """The transport-wide sequence number that was written into a packet of ours."""
    return int(_NUMBER.unpack_from(packet, TRANSPORT_SEQUENCE_AT)[0])


def read_rtp(data: bytes) -> RtpPacket:
    """Read one RTP packet of a peer, in any shape that RFC 3550 allows.

    Raises:
        RemoteProtocolError: it is truncated, of another version, or its padding or extensions do not fit into it.
    """
    size = len(data)
    if size < _FIXED.size:
        raise RemoteProtocolError("An RTP packet is shorter than its header.")
    if size >= HEADER_LENGTH and data[0] == _VERSION | _EXTENSION:
        _, second, sequence, timestamp, ssrc, block, element, number = _OURS.unpack_from(data)
        if block == _BLOCK and element == _ELEMENT:
            return RtpPacket(second & 0x7F, second >> 7, sequence, timestamp, ssrc, data[HEADER_LENGTH:], number)
    first, second, sequence, timestamp, ssrc = _FIXED.unpack_from(data)
    if first & 0xC0 != _VERSION:
        raise RemoteProtocolError("An RTP packet has another version than 2.")
    begin = _FIXED.size + 4 * (first & 0x0F)
    number = None
    if first & _EXTENSION:
        block_at = begin + _PROFILE.size
        if size < block_at:
            raise RemoteProtocolError("An RTP packet ends before its extension.")
        profile, words = _PROFILE.unpack_from(data, begin)
        begin = block_at + 4 * words
        if size >= begin and profile == _ONE_BYTE_PROFILE:
            number = _transport_sequence(data[block_at:begin])
    end = size - data[-1] if first & _PADDING else size
    if end < begin or (first & _PADDING and end == size):
        raise RemoteProtocolError("An RTP packet ends before its payload.")
    return RtpPacket(second & 0x7F, second >> 7, sequence, timestamp, ssrc, data[begin:end], number)


def _transport_sequence(elements: bytes) -> int | None:
    """Find the transport-wide sequence number among one-byte header extensions (RFC 8285 §4.2)."""
    at = 0
    while at < len(elements):
        identifier, length = elements[at] >> 4, (elements[at] & 0x0F) + 1
        if elements[at] == 0:
            at += 1
            continue
        if identifier == _STOP:
            return None
        at += 1 + length
        if at > len(elements):
            raise RemoteProtocolError("A header extension does not fit into its block.")
        if identifier == TRANSPORT_SEQUENCE_ID:
            if length != _NUMBER.size:
                raise RemoteProtocolError("A transport-wide sequence number has the wrong length.")
            return int.from_bytes(elements[at - length : at], "big")
    return None


def retransmission_of(original: bytes | bytearray, *, payload_type: int, sequence_number: int, ssrc: int) -> bytearray:
    """Repeat a packet of ours on the stream of its retransmissions (RFC 4588 §4).

    Args:
        original: as `write_rtp` made it.
        payload_type: of retransmissions.
        sequence_number: the next of that stream.
        ssrc: of that stream.
    """
    _, second, original_sequence, timestamp, *_ = _OURS.unpack_from(original)
    packet = write_rtp(payload_type, second >> 7, sequence_number, timestamp, ssrc, _NUMBER.pack(original_sequence))
    packet += memoryview(original)[HEADER_LENGTH:]
    return packet


def original_of(retransmission: RtpPacket, *, ssrc: int, payload_type: int) -> RtpPacket | None:
    """The packet inside a retransmission (RFC 4588 §4), None when it carries nothing, as padding does.

    ::

        | original sequence number (2) | original payload ... |
    """
    if len(retransmission.payload) <= _NUMBER.size:
        return None
    return RtpPacket(
        payload_type,
        retransmission.marker,
        int.from_bytes(retransmission.payload[: _NUMBER.size], "big"),
        retransmission.timestamp,
        ssrc,
        retransmission.payload[_NUMBER.size :],
    )


class SequenceCounter:
    """Continues 16-bit sequence numbers without end: each becomes the number nearest to the highest seen so far."""

    __slots__ = ("highest",)

    def __init__(self) -> None:
        self.highest: int | None = None
        """The highest number so far; the first has a whole cycle below it, so that none is ever negative."""

    def extend(self, sequence_number: int) -> int:
        """The endless number of `sequence_number`; the highest is kept."""
        if self.highest is None:
            self.highest = sequence_number + _SEQUENCES
            return self.highest
        step = (sequence_number - self.highest + _SEQUENCES // 2) % _SEQUENCES - _SEQUENCES // 2
        extended = self.highest + step
        self.highest = max(self.highest, extended)
        return extended


class RepetitionWindow:
    """Tells the first copy of a packet from the next ones, for the newest `size` sequence numbers.

    Args:
        size: packets behind the newest one that are remembered; older ones count as repetitions.
    """

    __slots__ = ("_highest", "_mask", "_seen", "_size")

    def __init__(self, size: int = 1024) -> None:
        self._size = size
        self._mask = (1 << size) - 1
        self._highest = -1
        self._seen = 0

    def is_new(self, extended: int) -> bool:
        """Whether this endless number comes for the first time; it is remembered."""
        if extended > self._highest:
            shift = extended - self._highest
            self._seen = ((self._seen << shift) | 1) & self._mask if shift < self._size else 1
            self._highest = extended
            return True
        bit = 1 << (self._highest - extended)
        if self._highest - extended >= self._size or self._seen & bit:
            return False
        self._seen |= bit
        return True
