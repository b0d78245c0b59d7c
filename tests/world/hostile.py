"""Clients that mean a server harm, each from an address of its own on loopback, as fast as they can.

Run it in a process of its own, in `tests/`::

    python -m world.hostile PORT --clients 20 --seconds 5

It writes what was tried, and how much of it got through, as an object of JSON, when it ends; SIGTERM ends it too. No
refusal impresses it: whoever is turned away comes again at once, whatever Retry-After says.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from msgspec import structs

from entrenous_wire.codec import decode_from_server, encode
from entrenous_wire.limits import MAX_FRAME_BYTES, SIGNAL_PATH, SUBPROTOCOL
from entrenous_wire.messages import FetchDevices, FromServer, Hello, Message, Resume, Welcome

from .wirenode import Account

NETWORK: Final = "127.0.1."
"""Where they come from; a number is put behind it."""

_HELD: Final = 50
"""Connections that one of those holds that hold some."""

_PATIENCE: Final = 3.0
_BEGUN: Final = b"attacking\n"


class Gone(Exception):  # noqa: N818 - names the event
    """The server did not let it in, or cut it off."""


@dataclass(slots=True)
class Deeds:
    """What all of them did together.

    Args:
        tried: how often each kind of mischief was begun.
        connections: that were opened.
        greeted: of which became WebSockets.
        frames: that were said on those.
    """

    tried: Counter[str] = field(default_factory=Counter)
    connections: int = 0
    greeted: int = 0
    frames: int = 0

    def to_json(self) -> str:
        """For `take_json`."""
        return json.dumps({name: getattr(self, name) for name in self.__slots__})

    def take_json(self, text: str | bytes) -> None:
        """Count what another process has counted."""
        for name, value in json.loads(text).items():
            setattr(self, name, value)


class Attacker:
    """One of them.

    Args:
        port: of the server.
        number: of the client; its address follows from it.
        deeds: where what it does is counted.
    """

    def __init__(self, port: int, number: int, deeds: Deeds) -> None:
        self._port = port
        self._number = number
        self.deeds = deeds
        self._count = itertools.count()
        self._is_member = False

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A TCP connection; raises OSError."""
        address = f"{NETWORK}{self._number + 1}"
        opened = await asyncio.open_connection("127.0.0.1", self._port, local_addr=(address, 0))
        self.deeds.connections += 1
        return opened

    async def wrong_keys(self) -> None:
        """A login for a name that is there, signed by somebody else."""
        async with _Socket(self) as socket:
            account = Account("u0", socket.hello.server, identity="wrong")
            await socket.say(structs.replace(account.login(socket.hello), signature=bytes(64)))
            await socket.hear()

    async def new_names(self) -> None:
        """A registration of another name each time."""
        async with _Socket(self) as socket:
            name = f"greedy-{self._number}-{next(self._count)}"
            await socket.say(Account(name, socket.hello.server).register(socket.hello))
            await socket.hear()

    async def guesses(self) -> None:
        """Session tokens, until it is cut off."""
        async with _Socket(self) as socket:
            while True:
                await socket.say(Resume(token=next(self._count).to_bytes(32, "big"), last_seq=0))

    async def oversize(self) -> None:
        """Frames that are too large, a little and very much."""
        for size in (MAX_FRAME_BYTES + 1, 60 * MAX_FRAME_BYTES):
            async with _Socket(self) as socket:
                await socket.write(_frame(b" " * size))
                await socket.hear()

    async def crumbs(self) -> None:
        """Frames of one letter, until it is cut off."""
        async with _Socket(self) as socket:
            while True:
                await socket.write(*(100 * [_frame(b"{")]))

    async def depths(self) -> None:
        """JSON as deep as fits, until it is cut off."""
        async with _Socket(self) as socket:
            while True:
                await socket.write(_frame(b'{"type":"live","calls":' + b"[" * 60_000))

    async def deaf(self) -> None:
        """Asks and pings, and reads no answer."""
        async with _Socket(self) as socket:
            name = f"deaf-{self._number}"
            await socket.say(Account(name, socket.hello.server).register(socket.hello))
            for number in itertools.count():
                await socket.say(FetchDevices(request=number, address=f"{name}@{socket.hello.server}"))
                await socket.write(b"\x89\xfd" + bytes(4) + bytes(125))

    async def floods(self) -> None:
        """Messages of calls to itself, as somebody who is registered, none of which it acknowledges."""
        async with _Socket(self) as socket:
            account = await self._enter(socket)
            for number in itertools.count():
                await socket.say(account.send(number, account))

    async def letters(self) -> None:
        """Messages to be stored, none of which it takes."""
        async with _Socket(self) as socket:
            account = await self._enter(socket)
            for number in itertools.count():
                await socket.say(account.message(number, account))

    async def silent(self) -> None:
        """Connections on which nothing is ever said."""
        await self._hold(b"")

    async def slow(self) -> None:
        """Requests that never end."""
        await self._hold(b"GET /v1/signal HTTP/1.1\r\nHost: x\r\nX-Slow: ")

    async def pages(self) -> None:
        """A page, and paths that are not there."""
        reader, writer = await self.open()
        try:
            writer.write(b"GET /../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n" * 8)
            await reader.read()
        finally:
            writer.close()

    async def _enter(self, socket: _Socket) -> Account:
        """Register the first time, and log in from then on."""
        account = Account(f"member-{self._number}", socket.hello.server)
        await socket.say(account.login(socket.hello) if self._is_member else account.register(socket.hello))
        if not isinstance(await socket.hear(), Welcome):
            raise Gone
        self._is_member = True
        return account

    async def _hold(self, said: bytes) -> None:
        async with contextlib.AsyncExitStack() as stack:
            writers = []
            for _ in range(_HELD):
                _, writer = await self.open()
                stack.callback(writer.close)
                writer.write(said)
                writers.append(writer)
            for _ in range(10):
                await asyncio.sleep(_PATIENCE / 10)  # as slow as they are
                for writer in writers:
                    writer.write(said[-1:])


MISCHIEF: Final[tuple[Callable[[Attacker], Awaitable[None]], ...]] = (
    Attacker.wrong_keys,
    Attacker.new_names,
    Attacker.guesses,
    Attacker.oversize,
    Attacker.crumbs,
    Attacker.depths,
    Attacker.deaf,
    Attacker.floods,
    Attacker.letters,
    Attacker.silent,
    Attacker.slow,
    Attacker.pages,
)


class _Socket:
    """A WebSocket that says what it is told to, and hears one message after the other."""

    def __init__(self, attacker: Attacker) -> None:
        self._attacker = attacker
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter
        self.hello: Hello

    async def __aenter__(self) -> _Socket:
        self._reader, self._writer = await self._attacker.open()
        self._writer.write(
            f"GET {SIGNAL_PATH} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            f"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Protocol: {SUBPROTOCOL}\r\n\r\n".encode()
        )
        try:
            self.hello = await self._greeting()
        except BaseException:
            self._writer.close()
            raise
        self._attacker.deeds.greeted += 1
        return self

    async def _greeting(self) -> Hello:
        head = await self._reader.readuntil(b"\r\n\r\n")
        hello = await self.hear() if head.startswith(b"HTTP/1.1 101") else None
        if not isinstance(hello, Hello):
            raise Gone
        return hello

    async def __aexit__(self, *_: object) -> None:
        self._writer.transport.abort()

    async def write(self, *frames: bytes) -> None:
        """Say frames."""
        if self._writer.is_closing():
            raise Gone
        self._attacker.deeds.frames += len(frames)
        self._writer.write(b"".join(frames))
        await self._writer.drain()

    async def say(self, message: Message) -> None:
        """Say a message."""
        await self.write(_frame(encode(message).encode()))

    async def hear(self) -> FromServer:
        """The next message."""
        opcode, size = await self._reader.readexactly(2)
        if size == 126:
            size = int.from_bytes(await self._reader.readexactly(2), "big")
        payload = await self._reader.readexactly(size)
        if opcode & 15 != 1:
            raise Gone
        return decode_from_server(payload)


def _frame(payload: bytes) -> bytes:
    """A text frame of a client, masked with zeros."""
    size = len(payload)
    if size < 126:
        length = bytes([0x80 | size])
    elif size < 1 << 16:
        length = b"\xfe" + size.to_bytes(2, "big")
    else:
        length = b"\xff" + size.to_bytes(8, "big")
    return b"\x81" + length + bytes(4) + payload


async def attack(port: int, clients: int, kinds: Sequence[str], deeds: Deeds) -> None:
    """Do mischief until cancelled.

    Args:
        port: of the server.
        clients: how many.
        kinds: names of MISCHIEF, which are given out by turns.
        deeds: where what they do is counted.
    """
    chosen = [mischief for mischief in MISCHIEF if mischief.__name__ in kinds]

    async def one(number: int) -> None:
        attacker, mischief = Attacker(port, number, deeds), chosen[number % len(chosen)]
        while True:
            deeds.tried[mischief.__name__] += 1
            with contextlib.suppress(Gone, OSError, EOFError, TimeoutError):
                async with asyncio.timeout(2 * _PATIENCE):
                    await mischief(attacker)
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        for number in range(clients):
            group.create_task(one(number))


@contextlib.asynccontextmanager
async def attacked(port: int, clients: int, *options: str) -> AsyncIterator[Deeds]:
    """Hostile clients at work in a process of their own, which leaves the others their time.

    Args:
        port: of the server.
        clients: how many.
        options: for that process.

    Yields:
        What they have done: nothing until they are stopped at the end.
    """
    folder = Path(__file__).parent.parent
    process = await asyncio.create_subprocess_exec(
        *("nice", sys.executable, "-m", "world.hostile", str(port), f"--clients={clients}", *options),
        stdout=asyncio.subprocess.PIPE,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
    )
    deeds = Deeds()
    try:
        assert process.stdout is not None
        assert await process.stdout.readline() == _BEGUN
        yield deeds
    finally:
        process.terminate()
        said, _ = await process.communicate()
    deeds.take_json(said)


def main() -> None:
    """Attack for a while."""
    names = [mischief.__name__ for mischief in MISCHIEF]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=3600.0)
    parser.add_argument("--kinds", nargs="+", choices=names, default=names, help="of mischief")
    parser.add_argument("--idle", action="store_true", help="run only while nobody else on this core wants to (Linux)")
    options = parser.parse_args()
    if options.idle:
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    deeds = Deeds()

    async def run() -> None:
        task = asyncio.ensure_future(attack(options.port, options.clients, options.kinds, deeds))
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        print(_BEGUN.decode(), end="", flush=True)
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait_for(task, options.seconds)

    with contextlib.suppress(TimeoutError):
        asyncio.run(run())
    print(deeds.to_json(), flush=True)


if __name__ == "__main__":
    main()
