"""What an observer of the loopback interface sees: packets by tcpdump, taken apart as far as they are in clear."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import struct
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

WHY_NOT = "capturing packets needs root and tcpdump"
START_SECONDS = 60.0

_LINK_HEADER = 14
"""Bytes of the Ethernet header that the loopback interface pretends."""
_TCP, _UDP = 6, 17


def can_capture() -> bool:
    """Whether this process may look at the loopback interface."""
    return os.geteuid() == 0 and shutil.which("tcpdump") is not None


@asynccontextmanager
async def capturing(path: Path) -> AsyncIterator[None]:
    """Write every UDP and TCP packet of the loopback interface to a file, while the body runs."""
    # Not in immediate mode, where each packet takes room for the longest: 250 would fill the 16 MiB.
    options = ["-i", "lo", "-n", "-s", "0", "-B", "16384", "-Z", "root", "-U", "-w", str(path)]
    process = await asyncio.create_subprocess_exec("tcpdump", *options, "udp or tcp", stderr=asyncio.subprocess.PIPE)
    assert process.stderr is not None
    try:
        async with asyncio.timeout(START_SECONDS):
            while b"listening on" not in (line := await process.stderr.readline()):
                assert line, "tcpdump did not start"
        yield
        await _catch_up(path)
    finally:
        process.send_signal(signal.SIGINT)
        _, said = await process.communicate()
    assert b"\n0 packets dropped by kernel" in said, said.decode()


async def _catch_up(path: Path) -> None:
    """Wait until what has passed so far is in the file: tcpdump forgets what it has not read when it is stopped."""
    mark = os.urandom(32)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.bind(("127.0.0.1", 0))
        sender.sendto(mark, sender.getsockname())
    async with asyncio.timeout(START_SECONDS):
        while mark not in path.read_bytes():  # noqa: ASYNC110 - a file of another process has no event to wait for
            await asyncio.sleep(0.05)


@dataclass(frozen=True, slots=True)
class Packet:
    """One UDP datagram, or one TCP segment that carries something.

    Args:
        at: seconds since the epoch.
        source, destination: ports.
        sequence: of TCP, 0 for UDP.
        payload: what UDP or TCP carries.
    """

    at: float
    source: int
    destination: int
    sequence: int
    payload: bytes


def read_capture(path: Path) -> tuple[list[Packet], list[Packet]]:
    """The UDP and the TCP packets over IPv4 in a file of tcpdump's, in the order of their capture."""
    data = path.read_bytes()
    magic, link_type = struct.unpack_from("<I16xI", data)
    assert (magic, link_type) == (0xA1B2C3D4, 1), "not a little-endian capture of Ethernet frames"
    datagrams, segments = [], []
    position = 24
    while position < len(data):
        seconds, microseconds, size = struct.unpack_from("<III", data, position)
        packet = data[position + 16 + _LINK_HEADER : position + 16 + size]
        position += 16 + size
        if packet[0] >> 4 != 4:
            continue
        inner = packet[(packet[0] & 15) * 4 : int.from_bytes(packet[2:4], "big")]
        source, destination = struct.unpack_from(">HH", inner)
        at = seconds + microseconds / 1e6
        if packet[9] == _UDP:
            datagrams.append(Packet(at, source, destination, 0, inner[8:]))
        elif packet[9] == _TCP and (payload := inner[(inner[12] >> 4) * 4 :]):
            segments.append(Packet(at, source, destination, int.from_bytes(inner[4:8], "big"), payload))
    return datagrams, segments


def is_media(datagram: bytes) -> bool:
    """Whether it is SRTP or SRTCP rather than STUN or DTLS (RFC 7983 §7)."""
    return len(datagram) > 12 and 128 <= datagram[0] <= 191


def is_dtls(datagram: bytes) -> bool:
    """Whether it is DTLS (RFC 7983 §7)."""
    return len(datagram) > 12 and 20 <= datagram[0] <= 63


def conversations(segments: Iterable[Packet], port: int) -> tuple[bytes, list[dict[str, Any]]]:
    """What was said on the WebSockets of the server at `port`.

    Returns:
        Every byte of every connection with the masks of RFC 6455 taken off, and every JSON object among them.
    """
    streams: dict[tuple[int, int], bytearray] = {}
    expected: dict[tuple[int, int], int] = {}
    for segment in segments:
        if port not in (segment.source, segment.destination):
            continue
        way = (segment.source, segment.destination)
        if segment.sequence == expected.setdefault(way, segment.sequence):
            streams.setdefault(way, bytearray()).extend(segment.payload)
            expected[way] = (segment.sequence + len(segment.payload)) % (1 << 32)
    everything, objects = bytearray(), []
    for stream in streams.values():
        head, _, frames = bytes(stream).partition(b"\r\n\r\n")
        everything += head
        for text in _frames(frames):
            everything += text
            if text.startswith(b"{"):
                objects.append(json.loads(text))
    return bytes(everything), objects


def _frames(stream: bytes) -> Iterable[bytes]:
    """The payloads of WebSocket frames (RFC 6455 §5.2) without their masks; none here is fragmented."""
    position = 0
    while position + 2 <= len(stream):
        masked, size = stream[position + 1] & 0x80, stream[position + 1] & 0x7F
        position += 2
        if size >= 126:
            extra = 2 if size == 126 else 8
            size = int.from_bytes(stream[position : position + extra], "big")
            position += extra
        mask = stream[position : position + 4] if masked else bytes(4)
        position += 4 if masked else 0
        payload = stream[position : position + size]
        position += size
        repeated = (mask * (len(payload) // 4 + 1))[: len(payload)]
        yield bytes(byte ^ key for byte, key in zip(payload, repeated, strict=True))
