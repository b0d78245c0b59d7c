"""The server without its sockets, its disk and its clock: inputs and `now` in, outputs out.

::

    connected ──────> hello
    frame_received ─> welcome | accepted | deliver | … | error
    disconnected                                             ┐
    stored, store_failed  (answers to Execute)               ├─> list of Transmit, Close, Execute
    tick                  (when next_deadline has come)      │
    stop                                                     ┘

`now` is Unix seconds and never runs backwards. The caller numbers the connections, carries out the outputs of an
input in their order before it hands in the next, and answers each Execute exactly once. Nothing that a node says
makes any of this raise.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import assert_never

from entrenous_wire.codec import WireError, decode_from_node
from entrenous_wire.messages import (
    Accepted,
    Ack,
    DeleteAccount,
    Deleted,
    Devices,
    ErrorCode,
    FetchDevices,
    FromNode,
    Kind,
    Leave,
    Live,
    Login,
    Publish,
    Published,
    Register,
    Resume,
    Send,
    Taken,
    Turn,
    TurnRequest,
)

from .addresses import Origin
from .auth import Refused, check_deletion, check_prekeys, local_user, reachable_devices, refuse_failure
from .connection import Connection, Stage
from .counters import Counters
from .housekeeping import Housekeeping
from .letters import Letters
from .lobby import STRANGER_REFUSALS, Lobby
from .mailbox import Mailbox
from .outputs import CloseCode, Outbox, Output
from .router import Router
from .settings import HubSettings
from .store.requests import Account, Failed, ReadAccount, RemoveAccount, Removed, ReplacePrekeys, StoreResult
from .timers import earliest
from .turn import TTL_SECONDS, mint


class Hub:
    """All sessions of one server.

    Args:
        settings: what it has to know.
        draw: returns so many random bytes, for nonces and tokens.
        now: Unix seconds.
    """

    def __init__(self, settings: HubSettings, draw: Callable[[int], bytes], now: float) -> None:
        self.counters = Counters()
        self._settings = settings
        self._draw = draw
        self._store_failing = False
        self._outbox = Outbox()
        self._router = Router(
            server=settings.name,
            bounds=settings.bounds,
            grace_seconds=settings.grace_seconds,
            outbox=self._outbox,
            counters=self.counters,
            record_key=settings.message_key,
            now=now,
        )
        self._letters = Letters(settings, self._outbox, self.counters)
        self._housekeeping = Housekeeping(settings.retention, self._outbox, now)
        self._lobby = Lobby(
            settings, draw, self._outbox, self._router, self._letters, self._housekeeping, self.counters, now
        )

    @property
    def degraded(self) -> bool:
        """Whether the store refused its last request, or still owes a call record."""
        return self._store_failing or self._router.calls.failing

    @property
    def connections(self) -> int:
        """Connections, logged in or not."""
        return self._lobby.connections

    @property
    def sessions(self) -> int:
        """Sessions, connected or expected back."""
        return self._lobby.sessions

    @property
    def queued(self) -> int:
        """Messages that wait for an acknowledgement."""
        return self._router.queued

    @property
    def open_records(self) -> int:
        """Call records that are open, and of which a device is here."""
        return self._router.calls.open_count

    def next_deadline(self) -> float | None:
        """When `tick` has something to do, or None."""
        return earliest(
            self._lobby.next_deadline(),
            self._router.next_deadline(),
            self._letters.next_deadline(),
            self._housekeeping.next_deadline(),
        )

    def connected(self, connection: int, now: float, origin: Origin | None = None) -> list[Output]:
        """A connection is there.

        Args:
            connection: a number that no other connection has had.
            now: Unix seconds.
            origin: what may still come from its network address, where that is limited.
        """
        self._lobby.greet(connection, origin, now)
        return self._outbox.take()

    def frame_received(self, connection: int, frame: str | bytes, now: float) -> list[Output]:
        """A text frame has come."""
        try:
            message = decode_from_node(frame)
        except WireError as error:
            return self.bad_frame_received(connection, error, now)
        return self.message_received(connection, message, now)

    def bad_frame_received(self, connection: int, error: WireError, now: float) -> list[Output]:
        """A frame has come that is no message; one that is too large ends the connection, not its session."""
        here = self._lobby.find(connection)
        if here is not None:
            self._lobby.refuse(here, Refused(error.code, str(error)), now)
            if error.code is ErrorCode.TOO_LARGE:
                self._lobby.close(here, CloseCode.TOO_BIG, now)
            else:
                if here.bucket.take(now) > 0.0:
                    here.refusals += 1
                self._close_offender(here, now)
        return self._outbox.take()

    def message_received(self, connection: int, message: FromNode, now: float) -> list[Output]:
        """A message has come."""
        here = self._lobby.find(connection)
        if here is not None:
            try:
                self._admit(here, message, now)
                self._dispatch(here, message, now)
            except Refused as refusal:
                self._lobby.refuse(here, refusal, now, message)
            self._close_offender(here, now)
        return self._outbox.take()

    def ping_received(self, connection: int, now: float) -> list[Output]:
        """A ping has come, which costs what a message does; the shell answers it if the connection is still there."""
        here = self._lobby.find(connection)
        if here is not None:
            here.refusals = here.refusals + 1 if here.bucket.take(now) > 0.0 else 0
            self._close_offender(here, now)
        return self._outbox.take()

    def disconnected(self, connection: int, now: float) -> list[Output]:
        """A connection is gone; its session may be resumed."""
        here = self._lobby.find(connection)
        if here is not None:
            self._lobby.drop(here, now)
        return self._outbox.take()

    def stored(self, ticket: int, result: StoreResult, now: float) -> list[Output]:
        """A store request was carried out."""
        self._store_failing = False
        self._outbox.resolve(ticket, result, now)
        return self._outbox.take()

    def store_failed(self, ticket: int, now: float) -> list[Output]:
        """A store request could not be carried out, and nothing of it happened."""
        self._store_failing = True
        self.counters.store_failures += 1
        self._outbox.resolve(ticket, Failed.FAILED, now)
        return self._outbox.take()

    def tick(self, now: float) -> list[Output]:
        """Do what is due."""
        self._lobby.tick(now)
        for mailbox in self._router.tick(now):
            self._lobby.forget(mailbox, now)
        self._letters.tick(now)
        self._housekeeping.tick(now, self._lobby.present())
        return self._outbox.take()

    def remove_account(
        self, username: str, then: Callable[[Removed | Failed | None, int], None], now: float
    ) -> list[Output]:
        """Delete an account, its devices, prekeys and stored messages, and end its sessions: the operator wants it.

        Args:
            username: whose.
            then: told what was removed, None when there is no such account; and how many sessions were ended.
            now: Unix seconds.
        """

        def removed(result: StoreResult | Failed, now: float) -> None:
            if isinstance(result, Failed):
                then(result, 0)
            else:
                then(result if isinstance(result, Removed) else None, self._lobby.expel(username, now))

        self._outbox.execute(RemoveAccount(username), removed)
        return self._outbox.take()

    def stop(self, now: float) -> list[Output]:
        """The server goes down on purpose: note the calls that go on, and send everybody away to come back."""
        self._router.calls.touch(now)
        self._lobby.close_all(CloseCode.RESTART, now)
        return self._outbox.take()

    def _admit(self, here: Connection, message: FromNode, now: float) -> None:
        """Charge a message to its connection and its account; an acknowledgement is paid by what it answers, if any."""
        if isinstance(message, Ack) and here.mailbox is not None and here.mailbox.is_settled_by(message.seq):
            return
        if isinstance(message, Taken) and here.mailbox is not None and self._letters.settles(here.mailbox.key, message):
            return
        wait = here.bucket.take(now)
        if wait == 0.0 and here.account is not None:
            wait = here.account.frames.take(now)
            if wait == 0.0 and _costs_directory(message):
                wait = here.account.directory.take(now)
            elif wait == 0.0 and isinstance(message, TurnRequest):
                wait = here.account.relay.take(now)
        if wait == 0.0:
            here.refusals = 0
            return
        here.refusals += 1
        if isinstance(message, Send) and message.kind is not Kind.MESSAGE and here.mailbox is not None:
            self._router.postpone(here.mailbox, message, now + wait)
        raise Refused(ErrorCode.TOO_MANY, "Too many messages at a time.", wait)

    def _close_offender(self, here: Connection, now: float) -> None:
        """End a connection that goes on and on over its limits, or that says much and does not log in."""
        if here.refusals >= self._settings.bounds.refusals or here.strange >= STRANGER_REFUSALS:
            self._lobby.close(here, CloseCode.POLICY, now)

    def _dispatch(self, here: Connection, message: FromNode, now: float) -> None:
        match here.stage:
            case Stage.GREETED:
                self._let_in(here, message, now)
            case Stage.CHECKING:
                raise Refused(ErrorCode.OUT_OF_ORDER, "The login is being checked: wait for its answer.")
            case Stage.READY:
                self._serve(here, here.owner(), message, now)
            case _:
                assert_never(here.stage)

    def _let_in(self, here: Connection, message: FromNode, now: float) -> None:
        match message:
            case Login():
                self._lobby.login(here, message, now)
            case Register():
                self._lobby.register(here, message, now)
            case Resume():
                self._lobby.resume(here, message, now)
            case (
                Leave()
                | Publish()
                | FetchDevices()
                | Send()
                | Ack()
                | Live()
                | Taken()
                | DeleteAccount()
                | TurnRequest()
            ):
                raise Refused(ErrorCode.OUT_OF_ORDER, "Log in first.")
            case _:
                assert_never(message)

    def _serve(self, here: Connection, mailbox: Mailbox, message: FromNode, now: float) -> None:
        match message:
            case Send(kind=Kind.MESSAGE):
                self._store_message(here, mailbox, message, now)
            case Send():
                self._router.send(mailbox, message, now)
            case Ack(seq=seq):
                if not self._router.acknowledge(mailbox, seq, now):
                    here.refusals += 1
                    raise Refused(ErrorCode.OUT_OF_ORDER, "That sequence number was never sent.")
            case Taken():
                self._letters.taken(mailbox.key, message)
            case Login() | Register() | Resume():
                raise Refused(ErrorCode.OUT_OF_ORDER, "This connection is logged in already.")
            case DeleteAccount():
                self._delete_account(here, mailbox, message)
            case Live():
                self._router.claim(mailbox, message, now)
            case Leave():
                self._lobby.leave(here, now)
            case Publish():
                self._publish(here, mailbox, message, now)
            case FetchDevices():
                self._fetch_devices(here, message)
            case TurnRequest():
                self._lend_relay(here, message, now)
            case _:
                assert_never(message)

    def _store_message(self, here: Connection, mailbox: Mailbox, message: Send, now: float) -> None:
        request = self._letters.request(mailbox.key, message, now)

        def stored(result: StoreResult | Failed, now: float) -> None:
            def tell() -> None:
                self._letters.check(result)
                self._outbox.transmit(here.number, Accepted(id=message.id))

            self._letters.stored(request, result)  # its sender may be gone by now, its receiver is not
            self._lobby.answer(here, message, tell, now)

        self._outbox.execute(request, stored)

    def _delete_account(self, here: Connection, mailbox: Mailbox, message: DeleteAccount) -> None:
        username = mailbox.key.username

        def account_read(result: StoreResult | Failed, now: float) -> None:
            account = result if isinstance(result, Account) else None
            check_deletion(message, account, server=self._settings.name, nonce=here.greeting, username=username)
            self._outbox.execute(RemoveAccount(username), removed)

        def removed(result: StoreResult | Failed, now: float) -> None:
            def tell() -> None:
                refuse_failure(result)
                self._outbox.transmit(here.number, Deleted(request=message.request))

            self._lobby.answer(here, message, tell, now)
            if not isinstance(result, Failed):
                self._lobby.expel(username, now)

        self._lobby.execute(here, message, ReadAccount(username), account_read)

    def _publish(self, here: Connection, mailbox: Mailbox, message: Publish, now: float) -> None:
        prekeys = check_prekeys(mailbox.device_key, message.prekeys, now)

        def replaced(result: StoreResult | Failed, now: float) -> None:
            self._outbox.transmit(here.number, Published(request=message.request))

        request = ReplacePrekeys(mailbox.key.username, mailbox.key.device, prekeys)
        self._lobby.execute(here, message, request, replaced)

    def _fetch_devices(self, here: Connection, message: FetchDevices) -> None:
        def account_read(result: StoreResult | Failed, now: float) -> None:
            if not isinstance(result, Account):
                raise Refused(ErrorCode.UNKNOWN_USER, "No such account on this server.")
            devices = Devices(
                request=message.request,
                address=message.address,
                identity_key=result.identity_key,
                devices=reachable_devices(result, now),
            )
            self._outbox.transmit(here.number, devices)

        username = local_user(message.address, self._settings.name)
        self._lobby.execute(here, message, ReadAccount(username), account_read)

    def _lend_relay(self, here: Connection, message: TurnRequest, now: float) -> None:
        relay = self._settings.relay
        if relay is None:
            raise Refused(ErrorCode.NO_RELAY, "This server has no relay.")
        credentials = mint(relay, now, self._draw)
        answer = Turn(
            request=message.request,
            urls=list(relay.urls),
            username=credentials.username,
            password=credentials.password,
            ttl=TTL_SECONDS,
        )
        self._outbox.transmit(here.number, answer)


def _costs_directory(message: FromNode) -> bool:
    """Whether a message costs signature checks or the disk."""
    match message:
        case Send():
            return message.kind is Kind.MESSAGE
        case FetchDevices() | Publish() | DeleteAccount():
            return True
        case Login() | Register() | Resume() | Leave() | Ack() | Live() | Taken() | TurnRequest():
            return False
        case _:
            assert_never(message)
