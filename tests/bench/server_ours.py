"""Our server under test: real registrations, logins signed with Ed25519, messages acknowledged as nodes do it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
import sys
from collections.abc import Awaitable, Callable, Iterable
from functools import cache
from pathlib import Path
from typing import ClassVar, Final

from entrenous_wire.codec import decode_from_server, encode
from entrenous_wire.limits import BODY_SIZES, SIGNAL_PATH, SUBPROTOCOL
from entrenous_wire.messages import FetchDevices, Hello, Kind, Message, Send, Welcome
from world.wirenode import Account

from .server_clients import Client, ClientError, Place, connect
from .server_load import MARK, Dialect, Step, WaitsFor
from .server_systems import BODY_BYTES, System, Tls

SERVER: Final = "localhost"

_AT_A_TIME: Final = 64
_LIMITS: Final = """
max_connections = 20000
[limits]
connection_rate = {per_second = 1e6, burst = 1e6}
account_rate = {per_second = 1e6, burst = 1e6}
directory_rate = {per_second = 1e6, burst = 1e6}
registration_rate = {per_second = 1e6, burst = 1e6}
connecting_rate = {per_second = 1e6, burst = 1e6}
"""
"""Nobody is slowed down; everything else is as it comes."""

_MARKED: Final = "A" * len(MARK)


class Ours(System):
    """`entrenous-signaling serve`."""

    name = "entrenous"
    dialect = Dialect.ENTRENOUS
    subprotocol = SUBPROTOCOL
    limits: ClassVar[str] = _LIMITS

    def __init__(self, folder: Path, tls: Tls | None = None) -> None:
        super().__init__(folder, tls)
        self._pauses = folder / "pauses.json"

    async def start(self) -> None:
        """Start it on the data of its last run."""
        config = self.folder / "config.toml"
        config.write_text(self.settings())
        arguments = [
            *(f"--config={config}", f"--listen=127.0.0.1:{self.port}", f"--name={SERVER}", "--json"),
            f"--data={self.folder / 'data'}",
        ]
        if self.tls is None:
            arguments.append("--insecure-loopback")
        else:
            arguments += [f"--tls-cert={self.tls.certificate}", f"--tls-key={self.tls.key}"]
        await self.program.start([sys.executable, "-m", "bench.server_watched", self._pauses, "serve", *arguments])

    def settings(self) -> str:
        """Its configuration, as TOML."""
        return self.limits

    def pauses(self) -> dict[str, float]:
        """What `server_watched` noted in the last run that was ended with SIGTERM."""
        noted: dict[str, float] = json.loads(self._pauses.read_text())
        return noted

    def records(self) -> int:
        """How many calls have ended, by what is on disk."""
        with contextlib.closing(sqlite3.connect(self.folder / "data" / "usage.sqlite3")) as usage:
            (count,) = usage.execute("SELECT count(*) FROM call_record").fetchone()
        return int(count)

    def path(self, number: int) -> str:
        """The same for all."""
        return SIGNAL_PATH

    async def prepare(self, count: int) -> None:
        """Register the accounts."""
        await each(range(count), _AT_A_TIME, self._register)

    async def greet(self, client: Client, number: int) -> None:
        """Log in."""
        await _let_in(client, account(number).login)

    def routed(self, sender: int, receiver: int) -> Step:
        """A `send`; the `ack` is the load's."""
        return step(account(sender), account(receiver), side=0, number=0, kind=Kind.SIGNAL, size=BODY_BYTES)

    async def _register(self, number: int) -> None:
        context = None if self.tls is None else self.tls.client
        client = await connect(Place(self.port, SIGNAL_PATH, SUBPROTOCOL, context))
        try:
            await _let_in(client, account(number).register)
        finally:
            client.cut()


def step(
    sender: Account,
    receiver: Account,
    *,
    side: int,
    number: int,
    kind: Kind,
    size: int,
    call: bytes = bytes(16),
    waits_for: WaitsFor = WaitsFor.DELIVERED_THERE,
) -> Step:
    """A `send` with another id in every cycle.

    Args:
        sender, receiver: the devices.
        side: which end of the pair is the sender.
        number: of the step within the cycle.
        kind: of the message.
        size: of its body, one of BODY_SIZES.
        call: 16 bytes; the letters of bytes that are all zero become those of the cycle.
        waits_for: what ends the step.
    """
    if size not in BODY_SIZES:
        raise ValueError("no body has that size")
    message = Send(
        id=bytes(9) + number.to_bytes(1, "big") + bytes(6),
        to=receiver.address,
        device=receiver.device,
        call=call,
        kind=kind,
        body=b"\x5a" * size,
    )
    return Step(side, marked(message), waits_for=waits_for)


def marked(message: Message) -> bytes:
    """The text of a message with MARK where a run of twelve zero letters of base64 begins a value."""
    return encode(message).encode().replace(f'"{_MARKED}'.encode(), b'"' + MARK)


def lookup(of: Account, *, side: int) -> Step:
    """A `fetch-devices`, as before each call."""
    return Step(side, encode(FetchDevices(request=1, address=of.address)).encode(), waits_for=WaitsFor.ANSWERED)


@cache
def account(number: int) -> Account:
    """Who client `number` is."""
    return Account(f"u{number}", SERVER)


async def each(numbers: Iterable[int], at_a_time: int, do: Callable[[int], Awaitable[None]]) -> None:
    """Do something for each number, so many at a time."""
    left = iter(numbers)

    async def work() -> None:
        for number in left:
            await do(number)

    async with asyncio.TaskGroup() as group:
        for _ in range(at_a_time):
            group.create_task(work())


async def _let_in(client: Client, answer: Callable[[Hello], Message]) -> None:
    hello = decode_from_server(await client.hear())
    if not isinstance(hello, Hello):
        raise ClientError(f"no greeting but {type(hello).__name__}")
    client.say(encode(answer(hello)).encode())
    welcome = decode_from_server(await client.hear())
    if not isinstance(welcome, Welcome):
        raise ClientError(f"not let in: {welcome}")
