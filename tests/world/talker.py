"""A device that keeps its word, at whichever of several servers answers: it says again what is not settled."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType

import aiohttp

from entrenous_wire.codec import decode_from_server, encode
from entrenous_wire.limits import SUBPROTOCOL
from entrenous_wire.messages import (
    Accepted,
    Ack,
    Deliver,
    Delivered,
    Error,
    ErrorCode,
    FromServer,
    Hello,
    Kind,
    Live,
    LiveCall,
    Message,
    Resume,
    Send,
    Welcome,
)

from .wirenode import Account

PATIENCE = 60.0
"""Seconds within which anything that is waited for has come, on a slow machine too."""
PAUSE = 0.1
"""Seconds between two attempts to connect."""


@dataclass
class Saying:
    """A message and what became of it.

    Args:
        message: as it is said.
        settled: the code of a final refusal, or None for delivered.
        was_accepted: whether the server took it, whatever happened afterwards.
        refusals: that were not final.
    """

    message: Send
    settled: asyncio.Future[ErrorCode | None]
    was_accepted: bool = False
    refusals: Counter[ErrorCode] = field(default_factory=Counter)

    async def outcome(self) -> ErrorCode | None:
        """Wait until it is settled: None when it was delivered, else why not."""
        async with asyncio.timeout(PATIENCE):
            return await asyncio.shield(self.settled)


class Talker:
    """One device. Used as a context manager: it is connected, and comes back, until the end.

    Args:
        account: who it is; registered before.
        urls: of the servers; it begins with the first, and goes to the next when one does not answer.
    """

    def __init__(self, account: Account, urls: Sequence[str]) -> None:
        self.account = account
        self.said: list[Saying] = []
        self.heard: list[Deliver] = []
        """Each message once, in the order in which they came."""
        self.refused: Counter[ErrorCode] = Counter()
        """Refusals of messages that were not final."""
        self.sessions = 0
        """How often it was let in."""
        self.resumed = 0
        self.calls: dict[bytes, LiveCall] = {}
        """Calls that it is in, with the tokens of their records."""
        self._urls = deque(urls)
        self._known: set[bytes] = set()
        self._ended: set[bytes] = set()
        self._open: dict[bytes, Saying] = {}
        self._outgoing: deque[Message] = deque()
        self._token: bytes | None = None
        self._last_seq = 0
        self._up = False
        self._wake = asyncio.Event()
        self._changed = asyncio.Event()
        self._retries: dict[tuple[str, str], asyncio.TimerHandle] = {}
        self._task: asyncio.Task[None] | None = None

    def say(self, to: Talker, kind: Kind = Kind.SIGNAL, call: bytes = bytes(16), body: bytes = b"") -> Saying:
        """Say something to another device.

        Args:
            to: who.
            kind, call: of the message.
            body: its beginning; it is padded to 1 kB.
        """
        number = len(self.said) + 1
        message = Send(
            id=self.account.device_key.verify_key.encode()[:8] + number.to_bytes(8, "big"),
            to=to.account.address,
            device=to.account.device,
            call=call,
            kind=kind,
            body=body.ljust(1024, b"\0"),
        )
        saying = Saying(message, asyncio.get_running_loop().create_future())
        self.said.append(saying)
        self._open[message.id] = saying
        if kind is Kind.END:
            self._end(call)
        if self._up and (message.to, message.device) not in self._retries:  # nothing overtakes what was refused
            self._outgoing.append(message)
            self._wake.set()
        return saying

    @property
    def url(self) -> str:
        """Of the server that it is at, or tries now."""
        return self._urls[0]

    async def until_up(self) -> None:
        """Wait until it has a session."""
        await self._until(lambda: self._up)

    async def until_heard(self, count: int) -> None:
        """Wait until so many messages have come in all."""
        await self._until(lambda: len(self.heard) >= count)

    async def until_refused(self, code: ErrorCode, count: int = 1) -> None:
        """Wait until so many messages were refused for now with that code, in all."""
        await self._until(lambda: self.refused[code] >= count)

    async def until_accepted(self, saying: Saying) -> None:
        """Wait until the server has taken a message."""
        await self._until(lambda: saying.was_accepted)

    async def until_settled(self) -> None:
        """Wait until everything that it said so far is settled."""
        for saying in self.said:
            await saying.outcome()

    async def __aenter__(self) -> Talker:
        self._task = asyncio.create_task(self._live())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._task is not None
        for timer in self._retries.values():
            timer.cancel()
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def _until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def _live(self) -> None:
        async with aiohttp.ClientSession() as http:
            while True:
                with contextlib.suppress(aiohttp.ClientError, TimeoutError, ConnectionError):
                    async with http.ws_connect(self._urls[0], protocols=(SUBPROTOCOL,), max_msg_size=0) as socket:
                        await self._converse(socket)
                self._up = False
                self._urls.rotate(-1)
                await asyncio.sleep(PAUSE)

    async def _converse(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """One connection, from its greeting to its end."""
        writer: asyncio.Task[None] | None = None
        hello: Hello | None = None
        try:
            async for frame in socket:
                message = decode_from_server(frame.data)
                if isinstance(message, Hello):
                    hello = message
                    resume = None if self._token is None else Resume(token=self._token, last_seq=self._last_seq)
                    await socket.send_str(encode(resume or self.account.login(hello)))
                elif isinstance(message, Error) and message.code is ErrorCode.SESSION_GONE and hello is not None:
                    self._token = None
                    await socket.send_str(encode(self.account.login(hello)))
                elif isinstance(message, Error) and message.id is None and not self._up:
                    return  # not now, or not here
                elif isinstance(message, Welcome):
                    self._begin(message)
                    writer = asyncio.create_task(self._write(socket))
                else:
                    self._take(message)
        finally:
            if writer is not None:
                writer.cancel()

    def _begin(self, welcome: Welcome) -> None:
        """Claim what goes on, and say everything again that is not settled."""
        self.sessions += 1
        self.resumed += welcome.resumed
        self._outgoing.clear()
        if not welcome.resumed:
            self._last_seq = 0
            if self.calls:
                self._outgoing.append(Live(calls=list(self.calls.values())))
        self._token = welcome.token
        self._outgoing.extend(saying.message for saying in self._open.values())
        self._up = True
        self._wake.set()
        self._changed.set()

    async def _write(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        with contextlib.suppress(ConnectionError):
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self._outgoing:
                    await socket.send_str(encode(self._outgoing.popleft()))

    def _take(self, message: FromServer) -> None:
        match message:
            case Deliver():
                self._hear(message)
            case Accepted(id=known, record=record) if known in self._open:
                self._open[known].was_accepted = True
                said = self._open[known].message
                self._begin_call(said.call, record, said.to, said.device)
            case Delivered(ids=ids):
                for known in self._open.keys() & ids:
                    self._open[known].was_accepted = True
                    self._settle(known, None)
            case Error(id=bytes() as known) if known in self._open:
                self._refuse(self._open[known], message)
            case _:
                pass  # of a message that is settled, or nothing that matters here
        self._changed.set()

    def _hear(self, message: Deliver) -> None:
        self._last_seq = max(self._last_seq, message.seq)
        self._outgoing.append(Ack(seq=message.seq))
        self._wake.set()
        if message.kind is Kind.END:
            self._end(message.call)
        else:
            self._begin_call(message.call, message.record, message.sender, message.device)
        if message.id not in self._known:
            self._known.add(message.id)
            self.heard.append(message)

    def _begin_call(self, call: bytes, record: bytes | None, peer: str, device: str) -> None:
        """A message that opens the record of a call has come, or got through; the newer token counts."""
        if record is not None and call not in self._ended:
            self.calls[call] = LiveCall(call, record, peer, device)

    def _end(self, call: bytes) -> None:
        self._ended.add(call)
        self.calls.pop(call, None)

    def _settle(self, known: bytes, code: ErrorCode | None) -> None:
        self._open.pop(known).settled.set_result(code)

    def _refuse(self, saying: Saying, error: Error) -> None:
        if error.retry_after is None:
            self._settle(saying.message.id, error.code)
            return
        saying.refusals[error.code] += 1
        self.refused[error.code] += 1
        receiver = (saying.message.to, saying.message.device)
        if receiver not in self._retries:
            loop = asyncio.get_running_loop()
            self._retries[receiver] = loop.call_later(error.retry_after, self._say_again, receiver)

    def _say_again(self, receiver: tuple[str, str]) -> None:
        """Everything to that receiver which is not settled, in order."""
        del self._retries[receiver]
        if self._up:
            again = [saying.message for saying in self._open.values()]
            self._outgoing.extend(message for message in again if (message.to, message.device) == receiver)
            self._wake.set()
