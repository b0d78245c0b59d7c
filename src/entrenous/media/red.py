"""Several Opus packets in one, so that a lost one comes again with a later one (RFC 2198; pure).

::

     +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
     |1| payload type|     timestamp offset      |   length of block | for each earlier packet, oldest first
     +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
     |0| payload type|                                                 for the packet of this time
     +-+-+-+-+-+-+-+-+
     | the packets themselves, in the same order ...

The bundle is sealed whole, so everything in it is hidden but its size, which `audio_plan` keeps constant.
"""

from __future__ import annotations

from collections.abc import Sequence

from entrenous.errors import LocalProtocolError, RemoteProtocolError

MAX_OFFSET = (1 << 14) - 1
"""Samples that an earlier packet may be behind the one it travels with: 341 ms."""

MAX_EARLIER_BYTES = (1 << 10) - 1
"""Bytes of an earlier packet."""

MAX_EARLIER = 3
"""Earlier packets that are read from one bundle."""

EARLIER_HEADER = 4
PRIMARY_HEADER = 1
"""Bytes that describe one packet in the bundle."""


def write_red(payload_type: int, earlier: Sequence[tuple[int, bytes]], primary: bytes) -> bytes:
    """Bundle packets of sound.

    Args:
        payload_type: of Opus, as the peer wants it.
        earlier: the samples that each is behind, and the packet, oldest first.
        primary: the packet of this time.

    Raises:
        LocalProtocolError: a number does not fit, a packet is empty, or the order is wrong.
    """
    headers = bytearray()
    last = MAX_OFFSET + 1
    for offset, packet in earlier:
        if not 0 < offset < last or not 0 < len(packet) <= MAX_EARLIER_BYTES:
            raise LocalProtocolError("An earlier packet does not fit into a bundle of sound.")
        last = offset
        headers += ((1 << 31) | (payload_type << 24) | (offset << 10) | len(packet)).to_bytes(4, "big")
    if not primary or len(earlier) > MAX_EARLIER or not 0 <= payload_type < 128:
        raise LocalProtocolError("This is no bundle of sound.")
    headers.append(payload_type)
    return b"".join((headers, *(packet for _, packet in earlier), primary))


def read_red(bundle: bytes) -> list[tuple[int, bytes]]:
    """Take a bundle apart.

    Args:
        bundle: what `write_red` made, of packets of whatever one payload type.

    Returns:
        The samples that each packet is behind the bundle's own time, and the packet: oldest first, at the end the one
        of this time with 0.

    Raises:
        RemoteProtocolError: it is cut short, names two types, holds an empty packet or more than three
            earlier ones, or these are not from oldest to newest.
    """
    headers: list[tuple[int, int]] = []
    at, last = 0, MAX_OFFSET + 1
    while True:
        if at >= len(bundle):
            raise RemoteProtocolError("A bundle of sound ends within its headers.")
        if bundle[at] & 0x7F != bundle[0] & 0x7F:
            raise RemoteProtocolError("A bundle of sound holds something else.")
        if bundle[at] < 0x80:
            break
        if len(headers) == MAX_EARLIER or at + EARLIER_HEADER > len(bundle):
            raise RemoteProtocolError("A bundle of sound has too many parts or is cut short.")
        word = int.from_bytes(bundle[at : at + EARLIER_HEADER], "big")
        offset, size = (word >> 10) & MAX_OFFSET, word & MAX_EARLIER_BYTES
        if not 0 < offset < last or size == 0:
            raise RemoteProtocolError("An earlier packet in a bundle of sound is empty or out of order.")
        last = offset
        headers.append((offset, size))
        at += EARLIER_HEADER
    at += PRIMARY_HEADER
    packets: list[tuple[int, bytes]] = []
    for offset, size in headers:
        packets.append((offset, bundle[at : at + size]))
        at += size
    if at >= len(bundle):
        raise RemoteProtocolError("A bundle of sound is cut short.")
    packets.append((0, bundle[at:]))
    return packets
