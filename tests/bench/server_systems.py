"""The servers that are compared, each as it is meant to be used; `server_ours` is ours.

What is not equal, so that nobody has to guess:

- Ours authenticates every session, keeps order and a queue for each device, and tells each sender what has arrived. Its
  clients acknowledge as our nodes do, after 8 messages or 20 ms: so where messages of one receiver come close together,
  up to 8 of them share the `ack` and the `delivered` that answers it; one alone has both for itself. Its bodies are
  base64 in JSON (1,368 letters for 1,024 bytes).
- The reference in C and bare aiohttp send each frame on, as it is, to the number in its first four bytes.
- nats-server: core NATS, one subject for each receiver, `verbose` off: no acknowledgement, nobody authenticated, bodies
  binary. It sends several messages to a client in one frame when it can.
- PeerJS' server: JSON with 1,368 letters, so the same bytes as ours; the sender is named by the server; nothing is
  acknowledged. It trusts whoever knows an id with its token.
"""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import ClassVar, Final

from lab.network import Unavailable
from lab.ports import free_port

from .server_clients import Client, ClientError, Place, connect
from .server_load import Dialect, Driver, Step, build, folder_of_run
from .server_programs import Program, wait_for_port

BODY_BYTES: Final = 1024
_BASE64_LETTERS: Final = (BODY_BYTES + 2) // 3 * 4
_TO_PEERJS: Final = """
const { PeerServer } = require("peer");
const [port, key, cert] = process.argv.slice(1);
const { readFileSync } = require("fs");
const tls = key ? { key: readFileSync(key), cert: readFileSync(cert) } : undefined;
PeerServer({ host: "127.0.0.1", port: Number(port), key: "peerjs", path: "/", alive_timeout: 86400000,
             concurrent_limit: 100000, ssl: tls }, () => console.log("ready"));
"""


@dataclass(frozen=True, slots=True)
class Tls:
    """What a server with TLS needs, and how its clients see it.

    Args:
        certificate, key: PEM files.
        client: takes any certificate: to check one is the work of the client and would only slow down the load.
    """

    certificate: Path
    key: Path
    client: ssl.SSLContext


class System(ABC):
    """A server under test.

    Args:
        folder: where it may keep things.
        tls: None for plain TCP.
    """

    name: ClassVar[str]
    dialect: ClassVar[Dialect] = Dialect.PLAIN
    prefix: ClassVar[bytes] = b""
    subprotocol: ClassVar[str] = ""
    has_tls: ClassVar[bool] = True

    def __init__(self, folder: Path, tls: Tls | None = None) -> None:
        self.folder = folder
        self.tls = tls
        self.port = free_port()
        self.program = Program(folder / f"{self.name.replace(' ', '-')}.log")

    @property
    def wire(self) -> str:
        """What it speaks over: `plain` or `TLS`."""
        return "plain" if self.tls is None else "TLS"

    @abstractmethod
    async def start(self) -> None:
        """Start it, on the same port as before, and wait until it listens."""

    @abstractmethod
    def path(self, number: int) -> str:
        """What client `number` asks for."""

    @abstractmethod
    def routed(self, sender: int, receiver: int) -> Step:
        """A message of BODY_BYTES from one client to another."""

    async def greet(self, client: Client, number: int) -> None:  # noqa: B027 - most need none
        """Say and hear what makes a session of a WebSocket."""

    async def prepare(self, count: int) -> None:  # noqa: B027 - most need none
        """See to it that the clients 0 … count - 1 may come."""

    async def enter(self, number: int) -> Client:
        """Connect client `number` and have its session.

        Raises:
            ClientError: it was not let in.
        """
        context = None if self.tls is None else self.tls.client
        client = await connect(Place(self.port, self.path(number), self.subprotocol, context))
        try:
            await self.greet(client, number)
        except ClientError:
            client.cut()
            raise
        return client

    def driver(self) -> Driver:
        """What drives pairs of its clients."""
        return Driver(self.dialect, self.prefix)


class Reference(System):
    """`native/reference_server.c`."""

    name = "C epoll"
    has_tls = False

    async def start(self) -> None:
        """Start it."""
        await self.program.start([_reference(), str(self.port)])

    def path(self, number: int) -> str:
        """Its number."""
        return f"/{number}"

    def routed(self, sender: int, receiver: int) -> Step:
        """Binary, with the receiver's number in front."""
        return Step(0, receiver.to_bytes(4, "big") + bytes(BODY_BYTES), text=False)


class BareAiohttp(Reference):
    """`server_aiohttp`."""

    name = "aiohttp"
    has_tls = True

    async def start(self) -> None:
        """Start it."""
        files = [] if self.tls is None else [self.tls.certificate, self.tls.key]
        await self.program.start(
            [sys.executable, Path(__file__).with_name("server_aiohttp.py"), str(self.port), *files]
        )


class Nats(System):
    """nats-server with a WebSocket listener."""

    name = "nats-server"
    dialect = Dialect.NATS

    async def start(self) -> None:
        """Start it."""
        program = shutil.which("nats-server")
        if program is None:
            raise Unavailable("nats-server is not installed")
        secure = "no_tls: true"
        if self.tls is not None:
            secure = f'tls {{ cert_file: "{self.tls.certificate}", key_file: "{self.tls.key}" }}'
        config = self.folder / "nats.conf"
        config.write_text(
            f"listen: 127.0.0.1:{free_port()}\nmax_connections: 100000\nping_interval: 3600\n"
            f"websocket {{ listen: 127.0.0.1:{self.port}\n {secure} }}\n"
        )
        await self.program.start(["sh", "-c", f'echo started; exec "{program}" --config "{config}"'])
        await wait_for_port(self.port)

    def path(self, number: int) -> str:
        """The same for all."""
        return "/"

    async def greet(self, client: Client, number: int) -> None:
        """CONNECT, subscribe, and a PING for the server's word that it has both."""
        await client.hear()
        options = '{"verbose":false,"pedantic":false,"protocol":1,"echo":false}'
        client.say(f"CONNECT {options}\r\nSUB c.{number} 1\r\nPING\r\n".encode(), text=False)
        heard = b""
        while b"PONG\r\n" not in heard:
            heard += await client.hear()
            if b"PING\r\n" in heard:  # the server's own first one
                client.say(b"PONG\r\n", text=False)
                heard = heard.replace(b"PING\r\n", b"")

    def routed(self, sender: int, receiver: int) -> Step:
        """PUB."""
        return Step(0, f"PUB c.{receiver} {BODY_BYTES}\r\n".encode() + bytes(BODY_BYTES) + b"\r\n", text=False)


class PeerJs(System):
    """PeerJS' server from npm, in node."""

    name = "PeerJS"
    prefix = b'{"type":"OFFER"'

    async def start(self) -> None:
        """Start it, installed into a folder of this run first."""
        files = [] if self.tls is None else [self.tls.key, self.tls.certificate]
        modules = await asyncio.to_thread(_peerjs)
        command = ["node", "-e", _TO_PEERJS, str(self.port), *files]
        await self.program.start(command, {"NODE_PATH": str(modules), "NODE_ENV": "production"})

    def path(self, number: int) -> str:
        """Id and token."""
        return f"/peerjs?key=peerjs&id=u{number}&token=t{number}"

    async def greet(self, client: Client, number: int) -> None:
        """It says OPEN."""
        heard = await client.hear()
        if heard != b'{"type":"OPEN"}':
            raise ClientError(f"PeerJS said {heard!r}")

    def routed(self, sender: int, receiver: int) -> Step:
        """An offer."""
        body = "A" * _BASE64_LETTERS
        return Step(0, f'{{"type":"OFFER","dst":"u{receiver}","payload":"{body}"}}'.encode())


OTHERS: Final[Mapping[str, Callable[[Path, Tls | None], System]]] = {
    system.name: system for system in (Reference, BareAiohttp, Nats, PeerJs)
}


@cache
def _reference() -> Path:
    return build("reference_server.c")


@cache
def _peerjs() -> Path:
    if shutil.which("npm") is None or shutil.which("node") is None:
        raise Unavailable("node and npm are not installed")
    folder = folder_of_run()
    subprocess.run(
        ["npm", "install", "--prefix", folder, "--silent", "--no-fund", "--no-audit", "peer@1"],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return folder / "node_modules"
