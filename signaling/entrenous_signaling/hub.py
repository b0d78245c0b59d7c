"""The server without its sockets, its disk and its clock: inputs and `now` in, outputs out.

::

    connected ──────> hello
    frame_received ─> welcome | accepted | deliver | … | error
    disconnected                                             ┐
    stored, store_failed  (answers to Execute)               ├─> list of Transmit, Close, Execute, Publish
    tick                  (when next_deadline has come)      │
    bus_received, bus_connected, bus_lost                    │
    flush                 (after all that came together)     │
    stop                                                     ┘

`now` is Unix seconds and never runs backwards. The caller numbers the connections, carries out the outputs of an
input in their order before it hands in the next, and answers each Execute exactly once. Before it waits for more to
come, it calls `flush`. Nothing that a node says makes any of this raise.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, assert_never

from entrenous_wire.codec import WireError, decode_from_node
from entrenous_wire.messages import (
    Ack,
    DeleteAccount,
    ErrorCode,
    FetchDevices,
    FromNode,
    Kind,
    Leave,
    Live,
    Login,
    Publish,
    Register,
    Resume,
    Send,
    Taken,
    TurnRequest,
)

from .addresses import Origin
from .auth import Refused
from .clock_watch import ClockWatch
from .cluster.cluster import Cluster
from .cluster.exchange import Exchange
from .cluster.state import ClusterState
from .connection import Connection, Stage
from .counters import Counters
from .deletions import Deletions
from .housekeeping import Housekeeping
from .letters import Letters
from .lobby import STRANGER_REFUSALS, Lobby
from .mailbox import Mailbox
from .outputs import CloseCode, Outbox, Output
from .router import Router
from .services import Services
from .settings import HubSettings
from .store.requests import Failed, RemoveAccount, Removed, StoreResult
from .timers import earliest

# For the way of each message: looking a member up in its class takes as long as all else in its line (CPython 3.11).
_MESSAGE: Final = Kind.MESSAGE


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
        self._store_failing = False
        self._outbox = Outbox()
        cluster = None if settings.node is None else Cluster(settings.node, self._outbox, now)
        self._router = Router(
            server=settings.name,
            bounds=settings.bounds,
            grace_seconds=settings.grace_seconds,
            outbox=self._outbox,
            counters=self.counters,
            record_key=settings.message_key,
            now=now,
            cluster=cluster,
        )
        self._letters = Letters(settings, self._outbox, self.counters, cluster)
        self._housekeeping = Housekeeping(settings.retention, self._outbox, now)
        self._lobby = Lobby(
            settings, draw, self._outbox, self._router, self._letters, self._housekeeping, self.counters, now
        )
        self._deletions = Deletions(self._outbox, self._router, self._lobby, self._tell_nodes)
        self._services = Services(settings, draw, self._outbox, self._lobby, self._letters, self._deletions)
        self._exchange: Exchange | None = None
        if self._router.elsewhere is not None:
            self._exchange = Exchange(
                self._router.elsewhere, self._router, self._lobby, self._letters, settings.name, self._outbox
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

    @property
    def clock(self) -> ClockWatch:
        """Whether this node's clock is that of its cluster."""
        return self._router.calls.clock

    @property
    def clock_set_by(self) -> float:
        """By how many seconds the machine's time of day is ahead of `now` since it was set, 0 where it was not."""
        return self._services.clock_set_by

    def clock_was_set(self, by: float) -> None:
        """The machine's time of day is so many seconds ahead of `now` from here on; negative when it is behind."""
        self._services.clock_set_by = by

    @property
    def cluster_state(self) -> ClusterState | None:
        """How this node sees its cluster; None when it is alone."""
        return None if self._exchange is None else self._exchange.state

    def next_deadline(self) -> float | None:
        """When `tick` has something to do, or None."""
        return earliest(
            self._lobby.next_deadline(),
            self._router.next_deadline(),
            self._letters.next_deadline(),
            self._housekeeping.next_deadline(),
            self._deletions.next_deadline(),
            None if self._exchange is None else self._exchange.next_deadline(),
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
                if here.mailbox is not None:
                    self._serve(here, here.mailbox, message, now)
                else:
                    self._meet(here, message, now)
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

    def store_is_back(self, now: float) -> list[Output]:
        """A store that did nothing at all does something again, though nothing of what the hub has asked for yet."""
        self._store_failing = False
        return self._outbox.take()

    def tick(self, now: float) -> list[Output]:
        """Do what is due."""
        self._lobby.tick(now)
        for mailbox in self._router.tick(now):
            self._lobby.forget(mailbox, now)
        self._letters.tick(now)
        self._housekeeping.tick(now, self._lobby.present())
        self._deletions.tick(now)
        if self._exchange is not None:
            self._exchange.tick(now)
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
            sessions = self._deletions.settle(username, result, now)
            then(result if isinstance(result, Removed | Failed) else None, sessions)

        self._outbox.execute(RemoveAccount(username), removed)
        return self._outbox.take()

    def stop(self, now: float) -> list[Output]:
        """The server goes down on purpose: note the calls that go on, and send everybody away to come back."""
        self._router.calls.touch(now)
        self._lobby.close_all(CloseCode.RESTART, now)
        if self._exchange is not None:
            self._exchange.stop(now)
        return self._outbox.take()

    def bus_received(self, payload: bytes, now: float) -> list[Output]:
        """Another node has said something; what is wrong with it is counted and dropped."""
        if self._exchange is not None:
            self._exchange.receive(payload, now)
        return self._outbox.take()

    def bus_connected(self, now: float) -> list[Output]:
        """The bus is there (again); before the first time it counts as lost."""
        if self._exchange is not None:
            self._exchange.connected(now)
        return self._outbox.take()

    def bus_lost(self, now: float) -> list[Output]:
        """The bus is gone: devices of other nodes cannot be reached."""
        if self._exchange is not None:
            self._exchange.disconnected(now)
        return self._outbox.take()

    def flush(self, now: float) -> list[Output]:
        """Say to the other nodes what there is to say since the last time, all of it to one of them together."""
        if self._exchange is not None:
            self._exchange.flush(now)
        return self._outbox.take()

    def _tell_nodes(self, username: str) -> None:
        """An account was deleted, or may have been: the other nodes look it up."""
        if self._exchange is not None:
            self._exchange.expelled(username)

    def _admit(self, here: Connection, message: FromNode, now: float) -> None:
        """Charge a message to its connection and its account; an acknowledgement is paid by what it answers, if any."""
        mailbox, account = here.mailbox, here.account
        if mailbox is not None and (
            (isinstance(message, Ack) and mailbox.is_settled_by(message.seq))
            or (isinstance(message, Taken) and self._letters.settles(mailbox.key, message))
        ):
            return
        wait = here.bucket.take(now)
        if wait == 0.0 and account is not None:
            wait = account.charge(message, now)
        if wait == 0.0:
            here.refusals = 0
            return
        here.refusals += 1
        if isinstance(message, Send) and message.kind is not _MESSAGE and mailbox is not None:
            self._router.postpone(mailbox, message, now + wait, now)
        raise Refused(ErrorCode.TOO_MANY, "Too many messages at a time.", wait)

    def _close_offender(self, here: Connection, now: float) -> None:
        """End a connection that goes on and on over its limits, or that says much and does not log in."""
        if here.refusals >= self._settings.bounds.refusals or here.strange >= STRANGER_REFUSALS:
            if here.origin is not None:
                here.origin.offended(now)
            self._lobby.close(here, CloseCode.POLICY, now)

    def _meet(self, here: Connection, message: FromNode, now: float) -> None:
        """Handle a message on a connection on which nobody has logged in."""
        match here.stage:
            case Stage.GREETED:
                self._let_in(here, message, now)
            case Stage.CHECKING:
                raise Refused(ErrorCode.OUT_OF_ORDER, "The login is being checked: wait for its answer.")
            case Stage.READY:
                raise RuntimeError("a connection that is ready has a mailbox")
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
        if isinstance(message, Send):  # nearly all messages are one of the first two: a pattern takes longer
            if message.kind is _MESSAGE:
                self._services.store_message(here, mailbox, message, now)
            else:
                self._router.send(mailbox, message, now)
            return
        if isinstance(message, Ack):
            if not self._router.acknowledge(mailbox, message.seq, now):
                here.refusals += 1
                raise Refused(ErrorCode.OUT_OF_ORDER, "That sequence number was never sent.")
            return
        match message:
            case Taken():
                self._letters.taken(mailbox.key, message)
            case Login() | Register() | Resume():
                raise Refused(ErrorCode.OUT_OF_ORDER, "This connection is logged in already.")
            case DeleteAccount():
                self._services.delete_account(here, mailbox, message)
            case Live():
                self._router.call_messages.claim(mailbox, message, now)
            case Leave():
                self._lobby.leave(here, now)
            case Publish():
                self._services.publish(here, mailbox, message, now)
            case FetchDevices():
                self._services.fetch_devices(here, message)
            case TurnRequest():
                self._services.lend_relay(here, message, now)
            case _:
                assert_never(message)
