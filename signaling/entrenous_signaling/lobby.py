"""Connections, and how one becomes a session: greeting, login, registration, resuming, refusing, closing.

::

    greeted ──login, register──> checking ──stored──> ready
       │  ^                         │
       │  └──────── refused ────────┘
       └──resume──> ready

The nonce of a connection is good for one login or registration, and for the time that a connection has to log in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from entrenous_wire.certificate import DeviceCertificate
from entrenous_wire.limits import NONCE_BYTES, PROTOCOL_VERSION, SESSION_TOKEN_BYTES
from entrenous_wire.messages import (
    DeleteAccount,
    Error,
    ErrorCode,
    FetchDevices,
    FromNode,
    Hello,
    Login,
    Publish,
    Register,
    RegistrationPolicy,
    Resume,
    Send,
    TurnRequest,
    Welcome,
)

from .accounts import AccountLimits, Accounts
from .addresses import Origin
from .auth import (
    Refused,
    check_login,
    check_registration,
    has_device,
    hash_invite,
    hash_token,
    known_account,
    local_user,
    refuse_device,
    refuse_failure,
    refuse_registration,
)
from .connection import Connection, Stage
from .counters import Counters
from .housekeeping import Housekeeping
from .letters import Letters
from .limits import TokenBucket
from .logins import Logins
from .mailbox import DeviceKey, Mailbox
from .outputs import CloseCode, Continuation, Outbox
from .router import Router
from .settings import HubSettings
from .store.requests import (
    DeviceOutcome,
    Failed,
    ReadAccount,
    RegisterAccount,
    RegisterOutcome,
    StoreDevice,
    StoreRequest,
    StoreResult,
    expect,
)
from .timers import Timers, earliest

STRANGER_REFUSALS: Final = 16
"""What may be refused on a connection before it is logged in; a node that means well needs one or two of them."""

_FAILED_LOGIN: Final = frozenset(
    {ErrorCode.BAD_SIGNATURE, ErrorCode.UNKNOWN_USER, ErrorCode.NAME_TAKEN, ErrorCode.BAD_INVITE}
)
"""What whoever tries names, keys and invites is told; a session that is gone is not, as all are after a restart."""


class Lobby:
    """All connections of one server.

    Args:
        settings: what the hub has to know.
        draw: returns so many random bytes, for nonces and tokens.
        outbox: where messages and store requests go.
        router: gives a device its mailbox.
        letters: brings a device what was stored for it.
        housekeeping: notes who is there.
        counters: what is counted.
        now: Unix seconds.
    """

    def __init__(
        self,
        settings: HubSettings,
        draw: Callable[[int], bytes],
        outbox: Outbox,
        router: Router,
        letters: Letters,
        housekeeping: Housekeeping,
        counters: Counters,
        now: float,
    ) -> None:
        self._settings = settings
        self._draw = draw
        self._outbox = outbox
        self._router = router
        self._letters = letters
        self._housekeeping = housekeeping
        self._counters = counters
        self._connections: dict[int, Connection] = {}
        self._sessions: dict[bytes, Mailbox] = {}  # hash of the session token → mailbox
        self._accounts = Accounts(settings.bounds)
        self.logins = Logins(outbox, router, self._accounts)
        """Tells devices of the logins of others."""
        self._registrations = TokenBucket(settings.bounds.registration_rate, now)
        self._deadlines: Timers[int] = Timers()

    @property
    def connections(self) -> int:
        """Connections, logged in or not."""
        return len(self._connections)

    @property
    def sessions(self) -> int:
        """Sessions, connected or expected back."""
        return len(self._sessions)

    def find(self, number: int) -> Connection | None:
        """The connection of that number, if it is still there."""
        return self._connections.get(number)

    def greet(self, number: int, origin: Origin | None, now: float) -> None:
        """A connection is there; `origin` is where it comes from, if that is limited."""
        nonce = self._draw(NONCE_BYTES)
        bucket = TokenBucket(self._settings.bounds.connection_rate, now)
        self._connections[number] = Connection(number, nonce, nonce, bucket, origin=origin)
        self._deadlines.set(number, now + self._settings.login_seconds)
        hello = Hello(
            server=self._settings.name,
            nonce=nonce,
            versions=[PROTOCOL_VERSION],
            registration=self._settings.registration,
        )
        self._outbox.transmit(number, hello)

    def drop(self, here: Connection, now: float) -> None:
        """A connection is gone; its session may be resumed."""
        del self._connections[here.number]
        self._deadlines.cancel(here.number)
        if here.mailbox is not None:
            self._letters.detach(here.mailbox.key)
            self._router.detach(here.mailbox, now)

    def close(self, here: Connection, code: CloseCode, now: float) -> None:
        """Close a connection from our side."""
        self._outbox.close(here.number, code)
        self.drop(here, now)

    def leave(self, here: Connection, now: float) -> None:
        """A device goes offline on purpose: nothing is kept for it."""
        mailbox = here.owner()
        self.close(here, CloseCode.LEFT, now)
        self._router.dismiss(mailbox)
        self.forget(mailbox, now)

    def expel(self, username: str, now: float) -> int:
        """End all sessions of an account that is deleted; returns how many there were.

        Who is being let in is sent away too: what was read of the account may be older than the deletion.
        """
        for here in list(self._connections.values()):
            if here.stage is Stage.CHECKING and here.claims == username:
                self.close(here, CloseCode.DELETED, now)
        keys = self._accounts.devices_of(username)
        for key in keys:
            mailbox = self._router.find(key)
            if mailbox is not None:
                self.expel_device(mailbox, now)
        return len(keys)

    def expel_device(self, mailbox: Mailbox, now: float) -> None:
        """End the session of a device that was deleted."""
        if mailbox.connection is not None:
            self.close(self._connections[mailbox.connection], CloseCode.DELETED, now)
        self._router.dismiss(mailbox)
        self.forget(mailbox, now)

    def devices_of(self, username: str) -> tuple[DeviceKey, ...]:
        """The devices of an account that have a session here."""
        return self._accounts.devices_of(username)

    def close_all(self, code: CloseCode, now: float) -> None:
        """Close every connection from our side."""
        for here in list(self._connections.values()):
            self.close(here, code, now)

    def refuse(self, here: Connection, refusal: Refused, now: float, message: FromNode | None = None) -> None:
        """Answer with a typed error, and count it against a stranger and where it comes from."""
        self._counters.refused[refusal.code] += 1
        if here.stage is Stage.GREETED:
            here.strange += 1
            if here.origin is not None and refusal.code in _FAILED_LOGIN:
                here.origin.failed_to_log_in(now)
        error = Error(
            code=refusal.code,
            message=refusal.message,
            id=message.id if isinstance(message, Send) else None,
            request=message.request
            if isinstance(message, Publish | FetchDevices | DeleteAccount | TurnRequest)
            else None,
            retry_after=refusal.retry_after,
        )
        self._outbox.transmit(here.number, error)

    def execute(self, here: Connection, message: FromNode, request: StoreRequest, then: Continuation) -> None:
        """Ask the store on behalf of a message; nothing follows when the connection is gone by then.

        Args:
            here: who said it.
            message: what to refuse when the store or `then` refuses.
            request: what to ask.
            then: takes the result, which is never Failed, and may raise Refused.
        """

        def answered(result: StoreResult | Failed, now: float) -> None:
            def go_on() -> None:
                refuse_failure(result)
                then(result, now)

            self.answer(here, message, go_on, now)

        self._outbox.execute(request, answered)

    def answer(self, here: Connection, message: FromNode, work: Callable[[], None], now: float) -> None:
        """Do what answers a message that had to wait; nothing when the connection is gone by then.

        Args:
            here: who said it.
            message: what to refuse when `work` raises Refused.
            work: transmits the answer.
            now: Unix seconds.
        """
        if self._connections.get(here.number) is not here:
            return
        try:
            work()
        except Refused as refusal:
            if here.stage is Stage.CHECKING:
                here.stage = Stage.GREETED
                self._deadlines.set(here.number, now + self._settings.login_seconds)
            self.refuse(here, refusal, now, message)

    def present(self) -> Iterator[AccountLimits]:
        """The accounts that have a device here."""
        return self._accounts.present()

    def next_deadline(self) -> float | None:
        """When `tick` has something to do, or None."""
        return earliest(self._deadlines.next(), self._accounts.next_deadline())

    def tick(self, now: float) -> None:
        """Close the connections that have not logged in in time, and forget accounts that have rested."""
        self._accounts.tick(now)
        for number in self._deadlines.due(now):
            here = self._connections[number]
            self.refuse(here, Refused(ErrorCode.OUT_OF_ORDER, "The connection has not logged in in time."), now)
            self.close(here, CloseCode.POLICY, now)

    def forget(self, mailbox: Mailbox, now: float) -> None:
        """The router has given a device up: its session cannot be resumed any more."""
        if self._router.elsewhere is not None and mailbox.session is not None:
            self._router.elsewhere.cluster.went(mailbox.key)
        self._end_session(mailbox)
        self._accounts.leave(mailbox.key, now)

    def dispossess(self, mailbox: Mailbox, now: float) -> None:
        """A device has its session at another node of the cluster now: end the one that it has here."""
        self._replace(mailbox, now)
        self._end_session(mailbox)
        self._accounts.leave(mailbox.key, now)

    # --- ways in; each raises Refused ---

    def login(self, here: Connection, message: Login, now: float) -> None:
        """Check a login against the account, and add the device if it is new."""
        here.check_failures(now)
        username = local_user(message.address, self._settings.name)
        nonce = here.take_nonce()

        def account_read(result: StoreResult | Failed, now: float) -> None:
            account = known_account(result)
            certificate = check_login(message, account, server=self._settings.name, nonce=nonce, now=now)
            new = not has_device(account, certificate)

            def device_stored(result: StoreResult | Failed, now: float) -> None:
                refuse_device(expect(result, DeviceOutcome))
                self._counters.logins += 1
                self._let_in(here, certificate, now, new=new)

            device, raw, not_after = certificate.device_id, certificate.raw, certificate.not_after
            if any(known.certificate == raw for known in account.devices):
                device_stored(DeviceOutcome.STORED, now)
                return
            request = StoreDevice(username, account.identity_key, device, raw, not_after, int(now))
            self.execute(here, message, request, device_stored)

        self._start_checking(here, username)
        self.execute(here, message, ReadAccount(username), account_read)

    def register(self, here: Connection, message: Register, now: float) -> None:
        """Check a registration and store it."""
        here.check_failures(now)
        wait = self._registrations.wait(now)  # while others crowd in, an address loses nothing by trying
        if wait == 0.0 and here.origin is not None:
            wait = here.origin.register(now)
        if wait == 0.0:
            wait = self._registrations.take(now)
        if wait > 0.0:
            raise Refused(ErrorCode.TOO_MANY, "Too many registrations at a time.", wait)
        certificate, prekeys = check_registration(message, server=self._settings.name, nonce=here.take_nonce(), now=now)
        policy = self._settings.registration
        request = RegisterAccount(
            username=message.username,
            identity_key=message.identity_key,
            device=certificate.device_id,
            certificate=certificate.raw,
            prekeys=prekeys,
            not_after=certificate.not_after,
            may_create=policy is not RegistrationPolicy.CLOSED,
            invite=hash_invite(message.invite or "") if policy is RegistrationPolicy.INVITE else None,
            now=int(now),
        )

        def registered(result: StoreResult | Failed, now: float) -> None:
            refuse_registration(expect(result, RegisterOutcome))
            self._counters.registrations += 1
            self._let_in(here, certificate, now, new=True)

        self._start_checking(here, message.username)
        self.execute(here, message, request, registered)

    def resume(self, here: Connection, message: Resume, now: float) -> None:
        """Give a session to its device's new connection."""
        token_hash = hash_token(message.token)
        mailbox = self._sessions.get(token_hash)
        if mailbox is None and self._router.elsewhere is not None:
            mailbox = self._router.elsewhere.adopt(token_hash, message.last_seq, now)
            if mailbox is not None:
                self._sessions[token_hash] = mailbox
        if mailbox is None or now >= mailbox.expires or message.last_seq > mailbox.last_transmitted:
            raise Refused(ErrorCode.SESSION_GONE, "That session is gone: log in.")
        self._replace(mailbox, now)
        self._router.reattach(mailbox, here.number, now)
        self._counters.resumes += 1
        self._make_ready(here, mailbox, message.token, resumed=True, now=now)
        self._router.acknowledge(mailbox, message.last_seq, now)
        self._catch_up(here, mailbox, now)

    def _start_checking(self, here: Connection, username: str) -> None:
        here.stage, here.claims = Stage.CHECKING, username
        self._deadlines.cancel(here.number)

    def _let_in(self, here: Connection, certificate: DeviceCertificate, now: float, *, new: bool) -> None:
        key = DeviceKey(certificate.address.user, certificate.device_id)
        known = self._router.find(key)
        if known is not None:
            self._replace(known, now)
            self._end_session(known)
        mailbox = self._router.attach(key, here.number, now)
        token = self._draw(SESSION_TOKEN_BYTES)
        mailbox.session = hash_token(token)
        mailbox.expires = certificate.not_after
        mailbox.device_key = certificate.device_key
        self._sessions[mailbox.session] = mailbox
        self._make_ready(here, mailbox, token, resumed=False, now=now)
        self.logins.announce(key, new=new, now=now)
        self._catch_up(here, mailbox, now)

    def _make_ready(self, here: Connection, mailbox: Mailbox, token: bytes, *, resumed: bool, now: float) -> None:
        username = mailbox.key.username
        here.account = self._accounts.enter(mailbox.key, now)
        self._deadlines.cancel(here.number)
        here.nonce = None
        here.stage = Stage.READY
        here.mailbox = mailbox
        if self._router.elsewhere is not None:
            self._router.elsewhere.cluster.came(mailbox, now)
        address = f"{username}@{self._settings.name}"
        self._outbox.transmit(here.number, Welcome(token=token, address=address, resumed=resumed))

    def _catch_up(self, here: Connection, mailbox: Mailbox, now: float) -> None:
        """Say what a device missed, and note that its account is used."""
        self._router.catch_up(mailbox)
        self._letters.attach(mailbox.key, here.number)
        if here.account is not None:
            self._housekeeping.note(here.account, now)

    def _replace(self, mailbox: Mailbox, now: float) -> None:
        """End the older connection of a device that has come on another one."""
        if mailbox.connection is not None:
            older = self._connections[mailbox.connection]
            self.refuse(older, Refused(ErrorCode.REPLACED, "The device has logged in on another connection."), now)
            self.close(older, CloseCode.REPLACED, now)

    def _end_session(self, mailbox: Mailbox) -> None:
        if mailbox.session is not None:
            del self._sessions[mailbox.session]
            mailbox.session = None
