"""Small programs that ask the lab with real packets how it behaves: an answering host, and one that asks.

`responder` answers each datagram with the address it came from, or sends it to the address that stands in it: an
uninvited packet. `asker` does what each line of JSON on its input says, and prints what came of it.
"""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import time
from typing import Any

if __name__ != "__main__":
    from .namespaces import Host

PORT = 7000
_DATAGRAM = 2000


class Prober:
    """A program in a host that asks responders.

    Args:
        process: runs this module as `asker`.
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def seen_from(self, address: str, *, socket_number: int = 0) -> tuple[str, int] | None:
        """By which address and port a responder sees a socket of this host; None if no answer comes within 0.5 s."""
        seen = (await self._ask(do="ask", to=address, socket=socket_number))["seen"]
        return None if seen is None else (seen[0], seen[1])

    async def lets_in(self, mapped: tuple[str, int], address: str) -> bool:
        """Whether a datagram gets in to `mapped` of socket 0 that this responder sends to it without being asked."""
        return bool((await self._ask(do="invite", to=address, mapped=mapped))["came"])

    async def connects(self, address: str, port: int) -> bool:
        """Whether TCP connects within half a second."""
        return bool((await self._ask(do="connect", to=address, port=port))["came"])

    async def times(self, address: str, *, count: int = 1, interval: float = 0.0) -> list[float]:
        """Round-trip times in seconds of those of `count` datagrams that were answered, sent every `interval`."""
        return list((await self._ask(do="times", to=address, count=count, interval=interval))["times"])

    async def _ask(self, **request: object) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request).encode() + b"\n")
        answer: dict[str, Any] = json.loads(await self._process.stdout.readline())
        return answer


async def start_responders(*hosts: Host) -> None:
    """Run a responder in each of these hosts, on UDP port 7000, TCP 443 and 8000 accepted; it ends with the lab."""
    for host in hosts:
        process = await host.start(*_program("responder"), stdout=subprocess.PIPE)
        assert process.stdout is not None
        await process.stdout.readline()


async def prober(host: Host) -> Prober:
    """Start a program in a host that asks; it ends with the lab."""
    return Prober(await host.start(*_program("asker"), stdin=subprocess.PIPE, stdout=subprocess.PIPE))


def _program(role: str) -> list[str]:
    return [sys.executable, "-I", "-S", __file__, role]


def _respond() -> None:
    udp = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    udp.bind(("::", PORT))
    listeners = [
        socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True) for port in (443, 8000)
    ]
    print("up", flush=True)
    while listeners:  # the kernel accepts for them, as long as they are there
        data, sender = udp.recvfrom(_DATAGRAM)
        asked = json.loads(data)
        if target := asked.get("send to"):
            host = target[0] if ":" in target[0] else f"::ffff:{target[0]}"
            udp.sendto(data, (host, target[1]))
        else:
            host = sender[0].removeprefix("::ffff:")
            udp.sendto(json.dumps({**asked, "seen": [host, sender[1]]}).encode(), sender)


class _Asker:
    def __init__(self) -> None:
        self._sockets: dict[tuple[int, int], socket.socket] = {}
        self._serial = 0

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        udp = self._socket(request["to"], request["socket"])
        self._send(udp, request["to"], {})
        answer = self._answer(udp, self._serial, 0.5)
        return {"seen": answer and answer["seen"]}

    def invite(self, request: dict[str, Any]) -> dict[str, Any]:
        self._send(self._socket(request["to"], 1), request["to"], {"send to": request["mapped"]})
        return {"came": self._answer(self._socket(request["to"], 0), self._serial, 0.5) is not None}

    def connect(self, request: dict[str, Any]) -> dict[str, Any]:
        try:
            socket.create_connection((request["to"], request["port"]), timeout=0.5).close()
        except OSError:
            return {"came": False}
        return {"came": True}

    def times(self, request: dict[str, Any]) -> dict[str, Any]:
        udp = self._socket(request["to"], 0)
        sent: dict[int, float] = {}
        times: list[float] = []
        deadline = due = time.monotonic()
        for _ in range(request["count"]):
            self._send(udp, request["to"], {})
            sent[self._serial] = time.monotonic()
            due += request["interval"]
            deadline = max(due, time.monotonic())
            self._collect(udp, sent, times, deadline)
        self._collect(udp, sent, times, deadline + 0.5)
        return {"times": times}

    def _collect(self, udp: socket.socket, sent: dict[int, float], times: list[float], deadline: float) -> None:
        while sent and (left := deadline - time.monotonic()) > 0:
            udp.settimeout(left)
            try:
                number = json.loads(udp.recv(_DATAGRAM))["number"]
            except TimeoutError:
                return
            if number in sent:
                times.append(time.monotonic() - sent.pop(number))

    def _socket(self, address: str, number: int) -> socket.socket:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        if (family, number) not in self._sockets:
            self._sockets[family, number] = socket.socket(family, socket.SOCK_DGRAM)
        return self._sockets[family, number]

    def _send(self, udp: socket.socket, address: str, message: dict[str, Any]) -> None:
        self._serial += 1
        udp.sendto(json.dumps({**message, "number": self._serial}).encode(), (address, PORT))

    @staticmethod
    def _answer(udp: socket.socket, number: int, seconds: float) -> dict[str, Any] | None:
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            udp.settimeout(left)
            try:
                answer: dict[str, Any] = json.loads(udp.recv(_DATAGRAM))
            except TimeoutError:
                return None
            if answer["number"] == number:
                return answer
        return None


def _ask_on_request() -> None:
    asker = _Asker()
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = getattr(asker, request["do"])(request)
        except OSError:  # no route, or no address of that family
            answer = {"seen": None, "came": False, "times": []}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    {"responder": _respond, "asker": _ask_on_request}[sys.argv[1]]()
