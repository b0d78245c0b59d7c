"""Whom a host exchanges packets with, seen on its own interfaces: an observer that trusts nobody's word.

As a program it watches all interfaces of the namespace that it runs in; each line on its input makes it print what it
saw up to then.
"""

from __future__ import annotations

import asyncio
import json
import select
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Any

if __name__ != "__main__":
    from .namespaces import Host

_EVERYTHING = 0x0003
_IPV4, _IPV6 = 0x0800, 0x86DD
_OUTGOING = 4
_TCP, _UDP = 6, 17
_BUFFER = 8 << 20


@dataclass(frozen=True, slots=True)
class Flow:
    """Packets between this host and one address and port, one way.

    Args:
        peer: the address of the far side.
        outgoing: the way.
        protocol: the number of the transport, 6 for TCP, 17 for UDP.
        port: of the far side, 0 where the protocol has none.
        first, last: monotonic times.
        packets: how many.
    """

    peer: str
    outgoing: bool
    protocol: int
    port: int
    first: float
    last: float
    packets: int


class Observer:
    """A program in a host that watches its interfaces.

    Args:
        process: runs this module.
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def flows(self, since: float = 0.0) -> list[Flow]:
        """What passed so far; of the flows that had packets after `since`."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(b"\n")
        rows = json.loads(await self._process.stdout.readline())
        return [flow for row in rows if (flow := Flow(*row)).last >= since]

    async def peers(self, since: float = 0.0) -> set[str]:
        """The addresses with which packets were exchanged, either way."""
        return {flow.peer for flow in await self.flows(since)}


async def observe(host: Host) -> Observer:
    """Watch the interfaces of a host from now until the lab ends."""
    process = await host.start(
        *(sys.executable, "-I", "-S", __file__), stdin=subprocess.PIPE, stdout=subprocess.PIPE, limit=_BUFFER
    )
    assert process.stdout is not None
    await process.stdout.readline()
    return Observer(process)


def _flow_of(packet: bytes, ethertype: int, outgoing: bool) -> tuple[str, bool, int, int] | None:
    if ethertype == _IPV4:
        protocol, header = packet[9], (packet[0] & 15) * 4
        address = socket.inet_ntop(socket.AF_INET, packet[16:20] if outgoing else packet[12:16])
    elif ethertype == _IPV6:
        protocol, header = packet[6], 40
        address = socket.inet_ntop(socket.AF_INET6, packet[24:40] if outgoing else packet[8:24])
    else:
        return None
    at = header + (2 if outgoing else 0)
    port = int.from_bytes(packet[at : at + 2], "big") if protocol in (_TCP, _UDP) else 0
    return address, outgoing, protocol, port


def _watch() -> None:
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_EVERYTHING))
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
    wire.setblocking(False)
    flows: dict[tuple[str, bool, int, int], list[Any]] = {}
    print("watching", flush=True)
    while True:
        ready, _, _ = select.select([wire.fileno(), 0], [], [])
        while wire.fileno() in ready:
            try:
                packet, (device, ethertype, kind, *_) = wire.recvfrom(128)
            except BlockingIOError:
                break
            flow = None if device == "lo" else _flow_of(packet, ethertype, kind == _OUTGOING)
            if flow is not None:
                now = time.monotonic()
                seen = flows.setdefault(flow, [now, now, 0])
                seen[1:] = now, seen[2] + 1
        if 0 in ready:
            if not sys.stdin.readline():
                return
            print(json.dumps([[*flow, *seen] for flow, seen in flows.items()]), flush=True)


if __name__ == "__main__":
    _watch()
