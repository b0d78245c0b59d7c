"""A working day of a real server, compressed: everything that nodes do with one, said with canaries alone.

Anna calls Ben, Cara misses a call and has a letter waiting, Ben loses his connection and resumes, Emil deletes his
account, the operator deletes Dora's, strangers try what they can; the server is killed in the middle of two calls,
comes back, and is drained in the evening. What everybody is called, where they come from, and every id, token and body
is a canary, by its kind one of those below.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final

import aiohttp
from nacl.secret import SecretBox

from entrenous_signaling.control import ask
from entrenous_signaling.control_messages import AccountRemoved, RemoveAccountNow
from entrenous_wire.limits import BODY_SIZES, SUBPROTOCOL
from entrenous_wire.messages import (
    Accepted,
    Ack,
    Deleted,
    Deliver,
    Delivered,
    Devices,
    Error,
    FetchDevices,
    Hello,
    Kind,
    Leave,
    Letter,
    Live,
    LiveCall,
    Message,
    NoLetters,
    Send,
    Taken,
    TurnRequest,
    Welcome,
)

from .canaries import Canary, mark, mark_text
from .serverproc import ServerProcess
from .wirenode import Account, Wire

_DEVICE_BYTES: Final = 8
_MARK_EVERY: Final = 96
"""Bytes of a body between two marks: so few that no database compresses it, as it would not compress a sealed one."""

NAME, GONE_NAME = "name of somebody", "name of somebody whose account is deleted"
DEVICE, GONE_DEVICE = "device", "device of a deleted account"
CALL, MESSAGE, BODY = "call id", "message id", "sealed body"
OPEN_RECORD, CLOSED_RECORD = "token of an open record", "token of a closed record"
SESSION = "session token"
LETTER, LETTER_BODY = "id of a letter that waits", "body of a letter that waits"
TAKEN, TAKEN_BODY = "id of a letter that was taken", "body of a letter that was taken"
STRANGER, STRANGERS_ADDRESS = "word of a stranger", "network address of a stranger"
ADDRESS = "network address"

ADDRESSES: Final = ("127.131.177.201", "127.149.203.118", "203.113.198.176", "2001:db8:7a5e:c0de:1bad:face:b00c:2bee")
"""Where they come from: two addresses of loopback, and two that a proxy in front tells."""

STRANGER_FROM: Final = "127.163.187.114"
"""Where somebody comes from who speaks no HTTP, or asks for pages that are not there."""

SDP: Final = (
    "v=0\r\no=- 7318349394477056 2 IN IP4 198.151.177.203\r\ns=canary-of-a-session\r\n",
    "a=candidate:3271748913 1 udp 2122260223 198.151.177.203 54398 typ host generation 0\r\n",
    "a=fingerprint:sha-256 7C:A1:0B:5E:1D:44:93:F0:2A:6D:88:EE:31:C7:59:BA:"
    "04:76:9F:D2:3B:E8:15:60:AC:F7:2E:91:48:DB:0D:33\r\n",
    "a=ice-ufrag:cAnArY7x\r\na=ice-pwd:tHeCaNaRyOfThEiCePassword9\r\n",
)
"""Lines of session descriptions, which the nodes seal."""


def canaries() -> list[Canary]:
    """All that are known before the day; `what` is the kind."""
    texts = (NAME, GONE_NAME, STRANGER)
    octets = (CALL, MESSAGE, BODY, LETTER, LETTER_BODY, TAKEN, TAKEN_BODY)
    devices = [mark(kind, _DEVICE_BYTES - 1) for kind in (DEVICE, GONE_DEVICE)]
    return [
        *(Canary.text(kind, mark_text(kind)) for kind in texts),
        *(Canary.octets(kind, mark(kind)) for kind in octets),
        # A device is named in hexadecimal digits, which are a text of their own.
        *(Canary.octets(kind, value) for kind, value in zip((DEVICE, GONE_DEVICE), devices, strict=True)),
        *(Canary.text(kind, value.hex()) for kind, value in zip((DEVICE, GONE_DEVICE), devices, strict=True)),
        *(Canary.address(ADDRESS, address) for address in ADDRESSES),
        Canary.address(STRANGERS_ADDRESS, STRANGER_FROM),
        *(Canary.text("session description", line.strip()) for text in SDP for line in text.splitlines()[-1:]),
    ]


def body_of(kind: str, size: int = BODY_SIZES[0]) -> bytes:
    """A session description as a node seals it, with the mark of a kind laid over it again and again."""
    sealed = SecretBox(bytes(SecretBox.KEY_SIZE)).encrypt("".join(SDP).encode().ljust(size), bytes(24)).ciphertext
    body = bytearray(sealed[:size])
    for at in range(0, size - _MARK_EVERY, _MARK_EVERY):
        body[at : at + len(mark(kind))] = mark(kind)
    return bytes(body)


_numbers, _people = itertools.count(1), itertools.count(1)


def _fresh(kind: str, size: int = 16) -> bytes:
    """Another canary of a kind."""
    value = mark(kind)
    return value + next(_numbers).to_bytes(size - len(value), "big")


def person(who: str, server: str, *, gone: bool = False) -> Account:
    """An account of the day; `gone` if it will be deleted."""
    name, device = (GONE_NAME, GONE_DEVICE) if gone else (NAME, DEVICE)
    number = next(_people) % 256
    return Account(f"{mark_text(name)}.{who}", server, (mark(device, _DEVICE_BYTES - 1) + bytes([number])).hex())


@dataclass
class Desk:
    """Somebody who is connected.

    Args:
        account: who.
        wire: over what.
        welcome: what they were let in with.
        seq: the number of the last message that they have.
        records: the tokens of call records that they were told.
    """

    account: Account
    wire: Wire
    welcome: Welcome
    seq: int = 0
    records: list[bytes] = field(default_factory=list)

    async def tell(self, other: Desk, kind: Kind, call: bytes) -> None:
        """Say something of a call to somebody who is there, and hear that it has arrived."""
        await self.wire.say(self.message(other.account, kind, call))
        told = await other.take()
        assert (told.kind, told.call) == (kind, call)
        answer = await self.wire.hear(Message)
        if isinstance(answer, Accepted):  # which is left out where the other end was quick, and there is no record
            if answer.record is not None:
                self.records.append(answer.record)
            answer = await self.wire.hear(Message)
        assert isinstance(answer, Delivered)

    async def take(self) -> Deliver:
        """The next message of a call, which is acknowledged."""
        told = await self.wire.hear(Deliver)
        self.seq = told.seq
        if told.record is not None:
            self.records.append(told.record)
        await self.wire.say(Ack(seq=told.seq))
        return told

    async def write(self, other: Account, *, gone: bool) -> None:
        """Leave a letter for somebody who is away; `gone` if it will be taken, or deleted with their account."""
        message_id = _fresh(TAKEN if gone else LETTER)
        body = body_of(TAKEN_BODY if gone else LETTER_BODY, BODY_SIZES[1])
        await self.wire.say(
            Send(id=message_id, to=other.address, device=other.device, call=message_id, kind=Kind.MESSAGE, body=body)
        )
        await self.wire.hear(Accepted)

    async def talk(self, other: Desk) -> None:
        """A whole call."""
        call = _fresh(CALL)
        await self.tell(other, Kind.RING, call)
        await other.tell(self, Kind.SIGNAL, call)
        await other.tell(self, Kind.ACCEPT, call)
        for _ in range(3):
            await self.tell(other, Kind.SIGNAL, call)
        await other.tell(self, Kind.END, call)

    async def leave(self) -> None:
        """Go offline on purpose."""
        await self.wire.say(Leave())
        await self.wire.closed()

    def message(self, other: Account, kind: Kind, call: bytes) -> Send:
        """Something of a call."""
        size = BODY_SIZES[next(_numbers) % 3]
        return Send(
            id=_fresh(MESSAGE),
            to=other.address,
            device=other.device,
            call=call,
            kind=kind,
            body=body_of(BODY, size),
        )


@asynccontextmanager
async def _connected(url: str, source: str, told: str) -> AsyncIterator[Wire]:
    """A connection from an address of loopback, through a proxy that tells another one if `told`."""
    connector = aiohttp.TCPConnector(local_addr=(source, 0) if source else None)
    headers = {"X-Forwarded-For": told} if told else {}
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.ws_connect(url, protocols=(SUBPROTOCOL,), max_msg_size=0, headers=headers) as socket,
    ):
        wire = Wire(socket, None)  # type: ignore[arg-type]  # the greeting comes over the wire itself
        wire.hello = await wire.hear(Hello)
        yield wire


class WorkingDay:
    """The day of a server, part by part; who is connected at its end is disconnected.

    Args:
        server: a running one, which trusts 127.0.0.1 as a proxy.
    """

    def __init__(self, server: ServerProcess) -> None:
        self._server = server
        self._stack = AsyncExitStack()
        near, far = [(address, "") for address in ADDRESSES[:2]], [("", address) for address in ADDRESSES[2:]]
        self._sources = itertools.cycle(near + far)
        self._desks: dict[str, Desk] = {}
        self._everybody: list[Desk] = []
        self._open: dict[str, tuple[bytes, bytes]] = {}  # call id and token of the record

    async def __aenter__(self) -> WorkingDay:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    @property
    def people(self) -> dict[str, list[Canary]]:
        """What names one person, by who it is."""
        devices = {desk.account.username: desk.account.device for desk in self._everybody}
        return {
            name: [Canary.text(name, name), Canary.text(name, device), Canary.octets(name, bytes.fromhex(device))]
            for name, device in devices.items()
        }

    @property
    def canaries(self) -> list[Canary]:
        """What was said up to now, with the tokens that the server has given out."""
        still_open = {record for _, record in self._open.values()}
        closed = {record for desk in self._everybody for record in desk.records} - still_open
        return [
            *canaries(),
            *(Canary.octets(SESSION, desk.welcome.token) for desk in self._everybody),
            *(Canary.octets(OPEN_RECORD, record) for record in sorted(still_open)),
            *(Canary.octets(CLOSED_RECORD, record) for record in sorted(closed)),
        ]

    def at(self, who: str) -> Desk:
        """Somebody who is, or was, connected."""
        return self._desks[who]

    async def come(self, who: str, *, gone: bool = False) -> Desk:
        """Somebody registers."""
        account = person(who, self._server.name, gone=gone)
        wire = await self._connect()
        return self._seat(who, Desk(account, wire, await wire.register(account)))

    async def come_back(self, who: str) -> Desk:
        """Somebody logs in."""
        account, wire = self.at(who).account, await self._connect()
        return self._seat(who, Desk(account, wire, await wire.login(account)))

    async def morning(self, *, resumed: bool = True) -> None:
        """Everything that goes well, and everything that people and strangers do wrong.

        Args:
            resumed: somebody loses the connection and resumes, which has to happen within the grace.
        """
        anna, ben = await self.come("anna"), await self.come("ben")
        await anna.talk(ben)
        await ben.talk(anna)
        await self._missed(anna)
        if resumed:
            await self._resumed(anna, ben)
        await self._deleted(anna)
        await self._refused(anna)
        fred = await self.come("fred")
        await fred.leave()
        await anna.write(fred.account, gone=False)

    async def crash(self) -> None:
        """The server is killed in the middle of a call that goes on, of one that does not, and of much that is said."""
        anna, ben, cara = self.at("anna"), self.at("ben"), self.at("cara")
        for which, caller, callee in (("goes on", anna, ben), ("ends", ben, cara)):
            call = _fresh(CALL)
            await caller.tell(callee, Kind.RING, call)
            await callee.tell(caller, Kind.ACCEPT, call)
            self._open[which] = (call, callee.records[-1])
        for _ in range(4):  # is never acknowledged
            await anna.wire.say(anna.message(cara.account, Kind.SIGNAL, _fresh(CALL)))
            await anna.wire.hear(Accepted)
        await self._server.kill()

    async def recovery(self) -> None:
        """The server is back: one call is claimed by both ends and ended, of the other nobody says anything."""
        anna, ben = await self.come_back("anna"), await self.come_back("ben")
        call, record = self._open["goes on"]
        for one, other in ((anna, ben), (ben, anna)):
            await one.wire.say(Live(calls=[LiveCall(call, record, other.account.address, other.account.device)]))
        await anna.tell(ben, Kind.END, call)
        del self._open["goes on"]
        await anna.talk(ben)

    async def evening(self) -> None:
        """Everybody is sent away, and the server ends."""
        watching = [asyncio.create_task(self.at(who).wire.closed()) for who in ("anna", "ben")]
        assert await self._server.stop() == 0
        await asyncio.gather(*watching)

    def _seat(self, who: str, desk: Desk) -> Desk:
        self._desks[who] = desk
        self._everybody.append(desk)
        return desk

    async def _connect(self) -> Wire:
        return await self._stack.enter_async_context(_connected(self._server.url, *next(self._sources)))

    async def _missed(self, caller: Desk) -> None:
        cara = await self.come("cara")
        call = _fresh(CALL)
        await caller.tell(cara, Kind.RING, call)
        await caller.tell(cara, Kind.END, call)
        await cara.leave()
        await caller.wire.say(caller.message(cara.account, Kind.RING, _fresh(CALL)))
        assert (await caller.wire.hear(Error)).code.value == "offline"
        for _ in range(3):
            await caller.write(cara.account, gone=True)
        cara = await self.come_back("cara")
        letters = [await cara.wire.hear(Letter) for _ in range(3)]
        await cara.wire.say(Taken(ids=[letter.id for letter in letters]))
        await cara.wire.hear(NoLetters)

    async def _resumed(self, caller: Desk, callee: Desk) -> None:
        call = _fresh(CALL)
        await caller.tell(callee, Kind.RING, call)
        await callee.tell(caller, Kind.ACCEPT, call)
        callee.wire.cut()
        await callee.wire.closed()
        await caller.wire.say(caller.message(callee.account, Kind.SIGNAL, call))
        await caller.wire.hear(Accepted)
        callee.wire = await self._connect()
        assert (await callee.wire.resume(callee.welcome, callee.seq)).resumed
        await callee.take()
        await caller.wire.hear(Delivered)
        await caller.tell(callee, Kind.END, call)

    async def _deleted(self, caller: Desk) -> None:
        for who in ("emil", "dora"):
            desk = await self.come(who, gone=True)
            await caller.talk(desk)
            await desk.talk(caller)
            if who == "emil":
                await desk.leave()
                await caller.write(desk.account, gone=True)
                desk = await self.come_back(who)
                await desk.wire.hear(Letter)
                await desk.wire.say(desk.account.delete(desk.wire.hello))
                await desk.wire.hear(Deleted)
            else:
                request = RemoveAccountNow(desk.account.username)
                gone = await asyncio.to_thread(ask, self._server.data / "control.sock", request, AccountRemoved)
                assert gone.sessions == 1
            await desk.wire.closed()

    async def _refused(self, somebody: Desk) -> None:
        word = mark_text(STRANGER)
        stranger = Account(f"{word}.eve", self._server.name)
        await somebody.wire.say(FetchDevices(request=1, address=somebody.account.address))
        await somebody.wire.hear(Devices)
        for message in (FetchDevices(request=2, address=stranger.address), TurnRequest(request=3)):
            await somebody.wire.say(message)
            await somebody.wire.hear(Error)
        impostor = Account(somebody.account.username, self._server.name, somebody.account.device, identity=word)
        for account in (stranger, impostor):
            wire = await self._connect()
            for frame in (f'{{"type":"{word}"}}', f'{{"type":"login","address":"{word}"', word):
                await wire.socket.send_str(frame)
                await wire.hear(Error)
            await wire.socket.send_bytes(word.encode())
            await wire.hear(Error)
            await wire.say(account.login(wire.hello))
            await wire.hear(Error)
        for request in self._bad_requests(word):
            await self._ask_badly(request)

    @staticmethod
    def _bad_requests(word: str) -> Iterator[bytes]:
        yield f"GET /{word} HTTP/1.1\r\nHost: {word}\r\nCookie: {word}\r\nConnection: close\r\n\r\n".encode()
        yield f"GET /v1/signal HTTP/1.1\r\n{word} {word}\r\n\r\n".encode()
        yield f"{word} / {word}\r\n\r\n".encode()

    async def _ask_badly(self, request: bytes) -> None:
        host, _, port = self._server.listening.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port), local_addr=(STRANGER_FROM, 0))
        writer.write(request)
        with suppress(ConnectionError):
            async with asyncio.timeout(60.0):
                await reader.read()
        writer.close()
