"""The link of a device to its signaling server: what moves a `protocol.session.Session`, and who asks it for things.

The session decides; the transport below carries what is said; the link keeps the timer, the answers that somebody
waits for, and what is to be told. After each input it drains everything the session asks for, then arms the timer anew.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, Protocol, assert_never

from entrenous_wire import limits
from entrenous_wire.addresses import Address
from entrenous_wire.messages import Deleted, Deliver, Devices, FromServer, Kind, Letter, LoggedIn, Send, Turn

from .config import NodeConfig
from .errors import ServerUnreachable
from .link_transport import LinkTransport
from .link_ways import given_up, refusal
from .protocol import session_outputs as told
from .protocol.credentials import Credentials
from .protocol.deadlines import Timeouts
from .protocol.session import Phase, Session

log = logging.getLogger(__name__)

_NEXT_STEP: Final = "Check the address and your network, then try again."


class LinkUser(Protocol):
    """Who uses a link."""

    def message_arrived(self, message: Deliver) -> None:
        """A sealed body of another device arrived, once and in order."""

    def message_failed(self, message: Send) -> None:
        """A message does not arrive: its receiver is offline or unknown, or was not back in time."""

    def letter_arrived(self, letter: Letter) -> None:
        """A message that was stored for this device is here, perhaps again: say `taken` when it is in hand."""

    def letters_read(self) -> None:
        """All that was stored for this device is taken."""

    def other_logged_in(self, login: LoggedIn) -> None:
        """Another device of the account has logged in, by the word of the server."""

    def link_up(self) -> None:
        """The session with the server stands (again)."""

    def link_lost(self, sentence: str) -> None:
        """The session is gone for now; the link goes on trying."""

    def link_closed(self, sentence: str) -> None:
        """The session is gone for good."""


class Link:
    """The connection of a device to its signaling server.

    Args:
        config: where the server is, and whom to trust as its certificate authority.
        credentials: who logs in.
        user: who is told what happens.
        timeouts: the durations.

    Raises:
        ConfigError: the file of certificate authorities cannot be used.
    """

    def __init__(
        self, config: NodeConfig, credentials: Credentials, user: LinkUser, *, timeouts: Timeouts | None = None
    ) -> None:
        self._transport = LinkTransport(config, credentials.server, self)
        self._user = user
        self._session = Session(credentials, draw=random.SystemRandom().random, timeouts=timeouts)
        self._server = credentials.server
        self._timer: asyncio.TimerHandle | None = None
        self._sent: dict[bytes, Send] = {}
        self._settled = asyncio.Event()
        self._answers: dict[int, asyncio.Future[told.Answer]] = {}
        self._first_up: asyncio.Future[None] | None = None
        self._told: deque[Callable[[], None]] = deque()
        self._telling = False

    def __repr__(self) -> str:
        return f"<Link {self._session.phase.value}>"

    @property
    def dropped(self) -> int:
        """What the server said that the protocol does not allow."""
        return self._session.dropped

    async def open(self, timeout: float) -> None:
        """Connect and log in (or register); from then on the link comes back by itself.

        Args:
            timeout: seconds.

        Raises:
            ServerUnreachable: the first attempt failed, or the server did not answer in time.
            RequestRefused: the server answered that it will not let this device in.
        """
        self._first_up = asyncio.get_running_loop().create_future()
        self._session.start(time.monotonic())
        self._drain()
        try:
            async with asyncio.timeout(timeout):
                await self._first_up
        except TimeoutError:
            await self.close()
            raise ServerUnreachable(f"{self._server} did not answer in time. {_NEXT_STEP}") from None
        except BaseException:
            await self.close()
            raise

    async def close(self, flush: float = 0.0) -> None:
        """End the session and the connection.

        Args:
            flush: seconds to wait until everything that was sent is delivered, so that a hang-up is not lost.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(flush):
                while self._sent and self._session.phase is Phase.UP:
                    self._settled.clear()
                    await self._settled.wait()
        self._session.stop()
        self._drain()
        if self._timer is not None:
            self._timer.cancel()
        await self._transport.close()

    # --- what the node asks for ---

    def has_delivered(self, to: str, device: str) -> bool:
        """Whether nothing that was sent to a device is still on its way."""
        return not self._session.holds_for(to, device)

    def send(self, to: str, device: str, call: bytes, kind: Kind, body: bytes) -> None:
        """Route a sealed body, now or as soon as the session stands; a failure is told to the user."""
        message_id = os.urandom(limits.MESSAGE_ID_BYTES)
        self._hand_in(Send(id=message_id, to=to, device=device, call=call, kind=kind, body=body))

    def _hand_in(self, message: Send) -> None:
        self._sent[message.id] = message
        self._session.send(message, time.monotonic())
        self._drain()

    async def fetch_devices(self, address: Address) -> Devices:
        """Ask for the devices of an account.

        Raises:
            RequestRefused: the server refused; `unknown-user` when there is no such account.
            ServerUnreachable: it did not answer in time.
        """
        answer = await self._answer(self._session.fetch_devices(str(address), time.monotonic()))
        assert isinstance(answer, Devices)  # the session matches answers to requests, by number and kind
        return answer

    async def fetch_turn(self) -> Turn:
        """Ask for relay credentials; raises like `fetch_devices`, with `no-relay` where the operator runs none."""
        answer = await self._answer(self._session.fetch_turn(time.monotonic()))
        assert isinstance(answer, Turn)
        return answer

    async def publish(self, prekeys: Sequence[bytes]) -> None:
        """Replace this device's prekeys; raises like `fetch_devices`."""
        await self._answer(self._session.publish(prekeys, time.monotonic()))

    def store(self, to: str, device: str, message_id: bytes, body: bytes) -> None:
        """Have a sealed body stored for a device until it comes; a failure is told to the user.

        Args:
            to, device: whom it is for.
            message_id: 16 random bytes, which the body may name.
            body: as sealed.
        """
        self._hand_in(Send(id=message_id, to=to, device=device, call=message_id, kind=Kind.MESSAGE, body=body))

    def taken(self, ids: Sequence[bytes]) -> None:
        """Say which letters are in hand."""
        self._session.taken(ids)
        self._drain()

    async def delete_account(self, sign: Callable[[bytes], bytes]) -> None:
        """Delete the account for good; the session is over then. Raises like `fetch_devices`.

        Args:
            sign: signs bytes with the identity key.
        """
        answer = await self._answer(self._session.delete_account(sign, time.monotonic()))
        assert isinstance(answer, Deleted)

    def network_changed(self) -> None:
        """Find out whether the connection still works, or connect anew at once; harmless when the link is not open."""
        if self._first_up is None or not self._first_up.done():
            return  # whoever opens the link waits for this one attempt
        self._transport.network_changed()

    def doubt(self) -> None:
        """Something else that goes over the network broke: a connection that stands is to prove itself."""
        self._transport.doubt()

    def call_finished(self, call: bytes) -> None:
        """Stop claiming the record of a call."""
        self._session.call_finished(call)

    async def _answer(self, number: int) -> told.Answer:
        self._answers[number] = asyncio.get_running_loop().create_future()
        self._drain()
        try:
            return await self._answers[number]
        finally:
            del self._answers[number]

    # --- what the session asks for ---

    def _drain(self) -> None:
        """Carry everything out, then arm the timer, then tell the user: what they do may come back here."""
        for output in self._session.drain():
            self._carry_out(output)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        deadline = self._session.next_deadline()
        if deadline is not None:
            delay = max(0.0, deadline - time.monotonic())
            self._timer = asyncio.get_running_loop().call_later(delay, self._time_passed)
        if self._telling:
            return
        self._telling = True
        try:
            while self._told:
                tell = self._told.popleft()
                try:
                    tell()
                except Exception as error:
                    # Whoever fails to take one message must not take the connection with it, and every later one.
                    log.error("a user of the link failed: %s", type(error).__name__)
                    log.debug("where it failed", exc_info=error)
        finally:
            self._telling = False

    def _carry_out(self, output: told.SessionOutput) -> None:
        match output:
            case told.OpenTransport():
                self._transport.connect()
            case told.CloseTransport():
                self._transport.disconnect()
            case told.Transmit():
                if not self._transport.send(output.message):
                    self._session.transport_lost("The connection to the server is too slow.", time.monotonic())
            case told.Arrived():
                self._told.append(lambda: self._user.message_arrived(output.message))
            case told.LetterArrived():
                self._told.append(lambda: self._user.letter_arrived(output.letter))
            case told.NothingStored():
                self._told.append(self._user.letters_read)
            case told.OtherLoggedIn():
                self._told.append(lambda: self._user.other_logged_in(output.login))
            case told.SendDelivered():
                self._settle(output.id)
            case told.SendFailed():
                message = self._settle(output.id)
                if message is not None:
                    self._told.append(lambda: self._user.message_failed(message))
            case told.RequestAnswered():
                if (waiting := self._answers.get(output.request)) is not None and not waiting.done():
                    waiting.set_result(output.answer)
            case told.RequestFailed():
                if (waiting := self._answers.get(output.request)) is not None and not waiting.done():
                    waiting.set_exception(refusal(output))
            case told.SessionUp():
                if self._first_up is not None and not self._first_up.done():
                    self._first_up.set_result(None)
                self._told.append(self._user.link_up)
            case told.SessionLost():
                self._settled.set()
                if self._first_up is not None and not self._first_up.done():
                    self._first_up.set_exception(ServerUnreachable(f"{output.sentence} {_NEXT_STEP}"))
                self._told.append(lambda: self._user.link_lost(output.sentence))
            case told.GaveUp():
                if self._first_up is not None and not self._first_up.done():
                    self._first_up.set_exception(given_up(output))
                self._told.append(lambda: self._user.link_closed(output.sentence))
            case _:
                assert_never(output)

    def _settle(self, message_id: bytes) -> Send | None:
        message = self._sent.pop(message_id, None)
        self._settled.set()
        return message

    def _time_passed(self) -> None:
        self._timer = None
        self._session.handle_timeout(time.monotonic())
        self._drain()

    # --- what the transport tells (TransportUser) ---

    def transport_opened(self) -> None:
        """The connection stands."""
        self._session.transport_opened(time.monotonic())
        self._drain()

    def message_received(self, message: FromServer) -> None:
        """The server said something."""
        self._session.receive(message, time.monotonic())
        self._drain()

    def transport_lost(self, sentence: str, retry_after: float, *, restarting: bool) -> None:
        """The connection ended, or did not come about."""
        self._session.transport_lost(sentence, time.monotonic(), retry_after=retry_after, restarting=restarting)
        self._drain()

    def transport_doubtful(self, sentence: str) -> None:
        """A connection cannot be relied upon any more, or one may now come about."""
        self._session.reconnect(sentence, time.monotonic())
        self._drain()
