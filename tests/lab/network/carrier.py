"""Carries the packets of all access lines of a lab, in one process: from one TUN device to another, late or never.

There is no netem in the kernels of many test machines, and one process for all lines wakes up less often than one for
each. As a program it opens devices and obeys lines of JSON on standard input, until that ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import random
import select
import signal
import struct
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # run by its path: it must start fast, so the package around it stays out
    sys.path.insert(0, str(Path(__file__).parent))
    from links import Counts, Direction, Link  # type: ignore[import-not-found] # that path is known only then
else:
    from .links import Counts, Direction, Link

_SET_DEVICE, _TUN_WITHOUT_HEADER = 0x400454CA, 0x1001
_PACKET = 65535
_AT_ONCE = 64


class Carrier:
    """The process, as the lab sees it.

    Args:
        process: runs this module; both its pipes are ours.
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._turn = asyncio.Lock()

    @staticmethod
    def command() -> list[str]:
        """How to start it: the interpreter without its site packages, and this file."""
        return [sys.executable, "-I", "-S", __file__]

    async def open(self, line: str, home_device: str, core_device: str, seed: str) -> None:
        """Make two TUN devices in the namespace of the process, and carry between them under the name `line`."""
        await self._ask({"open": line, "home": home_device, "core": core_device, "seed": seed})

    async def shape(self, line: str, up: Link, down: Link) -> None:
        """From now on the line treats packets to the core as `up` says, and those from the core as `down`."""
        await self._ask({"shape": line, "up": asdict(up), "down": asdict(down)})

    async def counts(self, line: str) -> dict[str, Counts]:
        """What the line did so far, `up` and `down`."""
        return {way: Counts(**figures) for way, figures in (await self._ask({"counts": line})).items()}

    async def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        async with self._turn:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            answer = await self._process.stdout.readline()
        if not answer:
            raise RuntimeError("the process that carries the packets has ended")
        said: dict[str, Any] = json.loads(answer)
        if "error" in said:
            raise RuntimeError(said["error"])
        return said


class _Lines:
    """The lines, by name, and what goes from which device to which."""

    def __init__(self) -> None:
        self._lines: dict[str, dict[str, Direction]] = {}
        self.routes: dict[int, tuple[Direction, int]] = {}

    def obey(self, request: dict[str, Any]) -> dict[str, Any]:
        if name := request.get("open"):
            home, core = _open_tun(request["home"]), _open_tun(request["core"])
            up, down = (Direction(random.Random(f"{request['seed']} {way}")) for way in ("up", "down"))
            self._lines[name] = {"up": up, "down": down}
            self.routes |= {home: (up, core), core: (down, home)}
            return {}
        if name := request.get("shape"):
            for way, direction in self._lines[name].items():
                direction.link = Link(**request[way])
            return {}
        return {way: asdict(direction.counts) for way, direction in self._lines[request["counts"]].items()}


def _open_tun(name: str) -> int:
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(descriptor, _SET_DEVICE, struct.pack("16sH22x", name.encode(), _TUN_WITHOUT_HEADER))
    return descriptor


def _carry() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the owner to handle, who then closes our input
    with contextlib.suppress(PermissionError):  # in a user namespace
        os.setpriority(os.PRIO_PROCESS, 0, -10)  # be on time when the programs under test are busy
    lines, received = _Lines(), b""
    while True:
        now = time.monotonic()
        wake = None
        for direction, target in lines.routes.values():
            for packet in direction.due(now):
                with contextlib.suppress(OSError):  # a device that is down takes nothing
                    os.write(target, packet)
            due = direction.next_due()
            if due is not None and (wake is None or due < wake):
                wake = due
        timeout = None if wake is None else max(0.0, wake - time.monotonic())
        ready, _, _ = select.select([0, *lines.routes], [], [], timeout)
        now = time.monotonic()
        for descriptor in ready:
            if descriptor:
                direction = lines.routes[descriptor][0]
                with contextlib.suppress(OSError):  # no more to read, or the device is gone with its namespace
                    for _ in range(_AT_ONCE):
                        direction.accept(os.read(descriptor, _PACKET), now)
        if 0 in ready:
            if not (chunk := os.read(0, _PACKET)):
                return
            *requests, received = (received + chunk).split(b"\n")
            for request in requests:
                try:
                    answer = lines.obey(json.loads(request))
                except (OSError, KeyError, ValueError) as error:
                    answer = {"error": f"the carrier of packets: {error!r}"}
                os.write(1, json.dumps(answer).encode() + b"\n")


if __name__ == "__main__":
    _carry()
