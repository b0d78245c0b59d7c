"""Nodes that speak the wire protocol and nothing more: keys, signed logins, and a WebSocket."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeVar

import aiohttp
from nacl.signing import SigningKey

from entrenous_wire.addresses import Address
from entrenous_wire.certificate import HYBRID_KEY_BYTES, DeviceCertificate, SignedPrekey
from entrenous_wire.codec import decode_from_server, encode
from entrenous_wire.limits import SUBPROTOCOL
from entrenous_wire.login import deletion_proof, login_proof, registration_proof
from entrenous_wire.messages import (
    DeleteAccount,
    FromServer,
    Hello,
    Kind,
    LoggedIn,
    Login,
    Message,
    NoLetters,
    Register,
    Resume,
    Send,
    Welcome,
)

WAIT_SECONDS = 60.0
Answer = TypeVar("Answer")


def _seed(*parts: str) -> bytes:
    return hashlib.sha256("/".join(parts).encode()).digest()


@dataclass
class Account:
    """One device of one account; all keys follow from the names, so that tests are repeatable.

    Args:
        username: the account.
        server: the name of its server.
        device: 16 hexadecimal digits.
        not_after: when certificate and prekey expire.
        identity: another word makes another identity key.
    """

    username: str
    server: str
    device: str = "00000000000000aa"
    not_after: int = 2**33
    identity: str = ""
    identity_key: SigningKey = field(init=False)
    device_key: SigningKey = field(init=False)
    certificate: bytes = field(init=False)
    prekey: bytes = field(init=False)

    def __post_init__(self) -> None:
        self.identity_key = SigningKey(_seed("identity", self.username, self.identity))
        self.device_key = SigningKey(_seed("device", self.username, self.device))
        address = Address(self.username, self.server)
        self.certificate = DeviceCertificate.issue(
            self.identity_key, address, self.device, bytes(self.device_key.verify_key), self.not_after
        ).raw
        self.prekey = SignedPrekey.issue(self.device_key, 1, self.not_after, bytes(HYBRID_KEY_BYTES)).raw

    @property
    def address(self) -> str:
        """user@host."""
        return f"{self.username}@{self.server}"

    def login(self, hello: Hello) -> Login:
        """A login for that greeting."""
        proof = login_proof(self.server, hello.nonce, self.address, self.device)
        return Login(
            address=self.address,
            device=self.device,
            certificate=self.certificate,
            signature=self.device_key.sign(proof).signature,
        )

    def register(self, hello: Hello, invite: str | None = None) -> Register:
        """A registration for that greeting."""
        identity_key = bytes(self.identity_key.verify_key)
        proof = registration_proof(
            self.server, hello.nonce, self.username, identity_key, self.certificate, [self.prekey], invite
        )
        return Register(
            username=self.username,
            identity_key=identity_key,
            certificate=self.certificate,
            prekeys=[self.prekey],
            identity_signature=self.identity_key.sign(proof).signature,
            signature=self.device_key.sign(proof).signature,
            invite=invite,
        )

    def send(
        self, number: int, to: Account, kind: Kind = Kind.SIGNAL, call: bytes = bytes(16), size: int = 1024
    ) -> Send:
        """A message to another device; `number` becomes its id."""
        return Send(
            id=number.to_bytes(16, "big"), to=to.address, device=to.device, call=call, kind=kind, body=bytes(size)
        )

    def message(self, number: int, to: Account, size: int = 1024) -> Send:
        """A message to be stored for another device; `number` becomes its id."""
        return self.send(number, to, Kind.MESSAGE, call=number.to_bytes(16, "big"), size=size)

    def delete(self, hello: Hello, request: int = 1) -> DeleteAccount:
        """The wish to delete the account, on the connection of that greeting."""
        proof = deletion_proof(self.server, hello.nonce, self.address)
        return DeleteAccount(request=request, signature=self.identity_key.sign(proof).signature)


class Wire:
    """A connection to a real server.

    Args:
        socket: the open WebSocket.
        hello: what the server greeted with.
    """

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, hello: Hello) -> None:
        self.socket = socket
        self.hello = hello

    async def say(self, message: Message) -> None:
        """Send a message."""
        await self.socket.send_str(encode(message))

    async def hear(self, kind: type[Answer]) -> Answer:
        """The next message, which must be of that kind.

        That nothing is stored, and that another device has logged in, is only heard when it is asked for.
        """
        message = await self._next()
        while isinstance(message, NoLetters | LoggedIn) and type(message) is not kind:
            message = await self._next()
        assert isinstance(message, kind), message
        return message

    async def _next(self) -> FromServer:
        async with asyncio.timeout(WAIT_SECONDS):
            frame = await self.socket.receive()
        assert frame.type is aiohttp.WSMsgType.TEXT, frame
        return decode_from_server(frame.data)

    async def closed(self) -> int:
        """Wait until the server closes, skipping what it says before; returns the close code."""
        code = 0
        async with asyncio.timeout(WAIT_SECONDS):
            while not self.socket.closed:
                frame = await self.socket.receive()
                if frame.type is aiohttp.WSMsgType.CLOSE:  # aiohttp forgets it when its own goodbye gets nowhere
                    code = frame.data
        return code or self.socket.close_code or 0

    async def register(self, account: Account, invite: str | None = None) -> Welcome:
        """Register, and be logged in."""
        await self.say(account.register(self.hello, invite))
        return await self.hear(Welcome)

    async def login(self, account: Account) -> Welcome:
        """Log in."""
        await self.say(account.login(self.hello))
        return await self.hear(Welcome)

    async def resume(self, welcome: Welcome, last_seq: int) -> Welcome:
        """Take a session up again."""
        await self.say(Resume(token=welcome.token, last_seq=last_seq))
        return await self.hear(Welcome)

    def cut(self) -> None:
        """Drop the connection without a word."""
        connection = self.socket._response.connection  # aiohttp offers no other way to be rude
        assert connection is not None
        assert connection.transport is not None
        connection.transport.abort()


@asynccontextmanager
async def connected(url: str, tls: ssl.SSLContext | bool = True) -> AsyncIterator[Wire]:
    """Open a connection and hear the greeting."""
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(url, protocols=(SUBPROTOCOL,), max_msg_size=0, ssl=tls) as socket,
    ):
        wire = Wire(socket, None)  # type: ignore[arg-type]  # the greeting comes over the wire itself
        wire.hello = await wire.hear(Hello)
        yield wire
