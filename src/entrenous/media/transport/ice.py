"""One end of an ICE connection (RFC 8445) that outlives its addresses: sockets, STUN and the clock around `Paths`.

What is decided, `paths` decides; what is open, `gathering` opens. Here datagrams are told apart by their first byte
(RFC 7983), checks are signed, sent, answered and matched, and the one timer runs. Media goes straight to its handler
with the time at which the socket was read. Whoever does not know the passwords of this leg is not answered and
changes nothing: checks and answers are signed, answers count only from where the check went, and datagrams of DTLS
only from addresses that have sent a signed check.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import string
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import NamedTuple

from aioice import Candidate

from entrenous.errors import RemoteProtocolError
from entrenous.media.events import PathFailure

from .bases import Base, GatheringPolicy, priority
from .gathering import Gatherer
from .pairs import Local, Pair, Remote
from .paths import Check, Paths
from .servers import ServerAddress
from .stun import TRANSACTION_BYTES, Address, Attribute, Class, Message, Method, parse

MAX_PENDING_DATAGRAMS = 256
"""DTLS datagrams that wait to be read; the oldest are dropped."""

MAX_CHECKS = 512
"""Checks whose answers are still waited for."""

_ALPHABET = string.ascii_letters + string.digits + "+/"
_ROLE_CONFLICT = 487
_REFRESH_SPACING = 2.0
_RELAYED_PRIORITY = 1 << 24
"""Priorities below belong to relayed addresses: their type preference is 0 (RFC 8445 §5.1.2.2)."""


class NoPathError(Exception):
    """No pair of addresses works; `cause` says why."""

    def __init__(self, cause: PathFailure) -> None:
        super().__init__(cause.value)
        self.cause = cause


class Origin(NamedTuple):
    """Where a media packet came in, to be given back to `IceAgent.heard` when it has proven authentic."""

    local: Local
    address: Address


class _Sent(NamedTuple):
    pair: Pair
    at: float


class IceAgent:
    """One side of an ICE connection with one component.

    Args:
        controlling: whether this side chooses the pair.
        policy: what may be gathered.
        relay_hold: seconds for which a direct path is waited for although a relayed one works.
        patience: seconds for which all pairs of all addresses are checked before none of them works.
        peer_informed: whether the peer has received what was said to it; before, its silence means nothing.
        on_media: told each datagram whose first byte is SRTP's, with its arrival in monotonic seconds and its origin.
        on_candidate: told each address that comes after the host addresses, and None at the end.
        on_moved: told when another pair is used than before.
        on_consent_lost: told when the peer has answered nowhere for the lifetime of a leg.
    """

    def __init__(
        self,
        *,
        controlling: bool,
        policy: GatheringPolicy,
        relay_hold: float,
        patience: float,
        peer_informed: Callable[[], bool] = lambda: True,
        on_media: Callable[[bytes, float, Origin], None],
        on_candidate: Callable[[str | None], None],
        on_moved: Callable[[], None],
        on_consent_lost: Callable[[], None],
    ) -> None:
        self.local_username = "".join(secrets.choice(_ALPHABET) for _ in range(8))
        self.local_password = "".join(secrets.choice(_ALPHABET) for _ in range(24))
        self.remote_username: str | None = None
        self.remote_password: str | None = None
        self._patience = patience
        self._peer_informed = peer_informed
        self._on_media = on_media
        self._on_candidate = on_candidate
        self._on_moved = on_moved
        self._on_consent_lost = on_consent_lost
        hold = 0.0 if policy.relay_only else relay_hold
        # The seed only spreads the checks of many legs; nothing secret depends on it.
        self._paths = Paths(controlling=controlling, hold=hold, seed=random.random())  # noqa: S311 - see above
        self._gatherer = Gatherer(
            policy,
            on_base=self._base_opened,
            on_gone=self._base_gone,
            on_moved=self._bases_moved,
            on_candidate=self._gathered_one,
            on_datagram=self._datagram_arrived,
        )
        self._tie_breaker = secrets.randbits(64)
        self._bases: dict[Local, Base] = {}
        self._checks: OrderedDict[bytes, _Sent] = OrderedDict()
        self._queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._connected: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._timer: asyncio.TimerHandle | None = None
        self._trickling = False
        self._peer_ended = False
        self._ipv4_remote = self._ipv6_remote = False
        self._used: Pair | None = None
        self._alarms, self._refreshed_at = 0, float("-inf")
        self._lost = self._closing = False

    def __repr__(self) -> str:
        return f"<IceAgent {self.role}, {len(self._bases)} bases>"

    # What the DTLS transport of aiortc asks of the transport below it.

    @property
    def role(self) -> str:
        """`controlling` or `controlled`."""
        return "controlling" if self._paths.controlling else "controlled"

    async def _recv(self) -> bytes:
        data = None if self._closing else await self._queue.get()
        if data is None:
            raise ConnectionError("The path was closed.")
        return data

    async def _send(self, data: bytes) -> None:
        self.send_now(data)

    # Gathering

    async def gather(self, servers: Sequence[ServerAddress]) -> None:
        """Open the host sockets, then ask the servers in the background."""
        self._gatherer.use_servers(servers)
        await self._gatherer.start()
        self._trickling = True
        self._see_complete()

    @property
    def gathered(self) -> bool:
        """Whether no more local addresses will come, unless the network changes."""
        return self._gatherer.complete

    @property
    def local_candidates(self) -> list[str]:
        """The candidates so far, as they stand in SDP."""
        return list(self._gatherer.lines)

    def use_servers(self, servers: Sequence[ServerAddress]) -> None:
        """Use these for what is gathered from now on."""
        self._gatherer.use_servers(servers)

    def network_changed(self) -> None:
        """Look for addresses that came or went."""
        if self._trickling and not self._closing:
            self._gatherer.network_changed()

    def _gathered_one(self, line: str | None) -> None:
        if self._trickling:
            self._on_candidate(line)
        if line is None:
            self._see_complete()

    def _base_opened(self, base: Base) -> None:
        self._bases[base.local] = base
        self._paths.add_local(base.local, time.monotonic())
        self._act()

    def _base_gone(self, base: Base) -> None:
        del self._bases[base.local]
        self._paths.drop_local(base.local)
        self._act()

    def _bases_moved(self) -> None:
        self._paths.network_changed(time.monotonic())
        self._act()

    def take_candidate(self, candidate: Candidate) -> None:
        """Take an address of the peer, given as an IP address in its canonical form."""
        if self._closing:
            return
        address = Address(candidate.host, candidate.port)
        self._ipv4_remote |= not address.is_ipv6
        self._ipv6_remote |= address.is_ipv6
        self._paths.add_remote(Remote(address, candidate.type, candidate.priority), time.monotonic())
        if self._ipv6_remote and not self._ipv4_remote:
            self._gatherer.want_ipv6_relay()
        self._act()

    def end_candidates(self) -> None:
        """The peer has no more addresses: failing is possible from here on, once ours are complete too."""
        self._peer_ended = True
        self._see_complete()

    def _see_complete(self) -> None:
        self._paths.complete(time.monotonic(), complete=self._peer_ended and self._gatherer.complete)
        self._act()

    async def connect(self) -> None:
        """Check pairs until one can be used; the peer's user name and password are known.

        Raises:
            NoPathError: it is certain that none will work.
        """
        self._paths.start(time.monotonic())
        self._act()
        await self._connected

    def heard(self, origin: Origin, at: float) -> None:
        """A media packet from there, which arrived at `at`, has proven authentic."""
        if origin.local in self._bases and self._paths.media_heard(origin.local, origin.address, at):
            self._act()

    @property
    def selected(self) -> Pair | None:
        """The pair in use, None before there is one and after `close`."""
        return None if self._closing else self._paths.selected

    def send_now(self, data: bytes) -> bool:
        """Send one datagram on the pair in use without waiting; False when there is none that may be sent to."""
        pair = self._paths.selected
        if pair is None or self._closing or not pair.may_send(time.monotonic()):
            return False
        base = self._bases.get(pair.local)
        if base is None:
            return False
        if not base.send(data, pair.remote.address):
            self._paths.send_failed(pair)
            self._act()
            return False
        return True

    def _act(self) -> None:
        """Let `Paths` decide, do it, and see to it that it is asked again in time."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._closing:
            return
        now = time.monotonic()
        for check in self._paths.poll(now):
            self._send_check(check, now)
        selected = self._paths.selected
        if selected is not self._used:
            self._used = selected
            if not self._connected.done():
                self._connected.set_result(None)
            else:
                self._on_moved()
        if self._paths.alarms > self._alarms and now >= self._refreshed_at + _REFRESH_SPACING:
            self._alarms, self._refreshed_at = self._paths.alarms, now
            self._gatherer.refresh()
        self._see_end(now)
        self._timer = asyncio.get_running_loop().call_later(max(0.001, self._paths.deadline(now) - now), self._act)

    def _see_end(self, now: float) -> None:
        if self._paths.is_lost(now) and not self._lost:
            self._lost = True
            self._on_consent_lost()
        if self._connected.done() or self.remote_password is None:
            return
        if not self._peer_informed():
            self._paths.peer_uninformed(now)
        cause = self._gatherer.why_nothing()
        if cause is None and self._paths.is_hopeless(now, self._patience):
            cause = PathFailure.NO_ANSWER
        if cause is not None:
            self._connected.set_exception(NoPathError(cause))

    def _send_check(self, check: Check, now: float) -> None:
        pair = check.pair
        base = self._bases.get(pair.local)
        if base is None or self.remote_password is None:
            return
        message = Message(Method.BINDING, Class.REQUEST, secrets.token_bytes(TRANSACTION_BYTES))
        message.attributes[Attribute.USERNAME] = f"{self.remote_username}:{self.local_username}".encode()
        # RFC 8445 §7.1.1 wants the type preference of a peer-reflexive address here whatever sends; ours says so when
        # it is a relay that does, since the peer may hear of it by this check before the candidate itself arrives.
        message.put_number(Attribute.PRIORITY, priority("relay" if pair.local.relayed else "prflx"))
        role = Attribute.ICE_CONTROLLING if self._paths.controlling else Attribute.ICE_CONTROLLED
        message.put_number(role, self._tie_breaker, 8)
        if check.nomination is not None:
            message.attributes[Attribute.USE_CANDIDATE] = b""
            message.put_number(Attribute.NOMINATION, check.nomination)
        self._checks[message.transaction] = _Sent(pair, now)
        if len(self._checks) > MAX_CHECKS:
            self._checks.popitem(last=False)
        if not base.send(message.encode(self.remote_password.encode()), pair.remote.address):
            self._paths.send_failed(pair)

    def _datagram_arrived(self, base: Base, data: bytes, address: Address, at: float) -> None:
        if not data or self._closing:
            return
        first = data[0]
        if 128 <= first <= 191:
            self._on_media(data, at, Origin(base.local, address))
        elif 20 <= first <= 63:
            if self._paths.knows(address):
                if self._queue.qsize() >= MAX_PENDING_DATAGRAMS:
                    self._queue.get_nowait()
                self._queue.put_nowait(data)
        elif first <= 3:
            try:
                message = parse(data)
            except RemoteProtocolError:
                return
            if message.method is Method.BINDING:
                self._take_stun(base, message, address)

    def _take_stun(self, base: Base, message: Message, address: Address) -> None:
        match message.kind:
            case Class.REQUEST:
                self._take_check(base, message, address)
            case Class.SUCCESS | Class.ERROR:
                if not self._gatherer.answered(message):
                    self._take_answer(base, message, address)
            case Class.INDICATION:
                pass  # a keep-alive (RFC 8445 §11)

    def _take_answer(self, base: Base, message: Message, address: Address) -> None:
        sent = self._checks.get(message.transaction)
        if sent is None or self.remote_password is None:
            return
        # An answer from elsewhere is not one for this pair (RFC 8445 §7.2.5.2.1).
        if sent.pair.local is not base.local or sent.pair.remote.address != address:
            return
        if not message.is_authentic(self.remote_password.encode()):
            return
        del self._checks[message.transaction]
        if message.kind is Class.SUCCESS:
            self._paths.answered(sent.pair, sent.at, time.monotonic())
        elif message.error_code == _ROLE_CONFLICT:
            self._paths.controlling = not self._paths.controlling
        self._act()

    def _take_check(self, base: Base, message: Message, address: Address) -> None:
        user = message.attributes.get(Attribute.USERNAME, b"").decode(errors="replace")
        ours, colon, theirs = user.partition(":")
        if not colon or ours != self.local_username or self.remote_username not in (None, theirs):
            return
        if not message.is_authentic(self.local_password.encode()):
            return
        if self._in_conflict(message):
            self._answer(base, message, address, conflict=True)
            return
        self._answer(base, message, address, conflict=False)
        value = message.number(Attribute.PRIORITY) or 0
        kind = "relay" if 0 < value < _RELAYED_PRIORITY else "prflx"
        self._paths.check_heard(
            base.local,
            Remote(address, kind, value),
            time.monotonic(),
            nominated=Attribute.USE_CANDIDATE in message.attributes,
            nomination=message.number(Attribute.NOMINATION),
        )
        self._act()

    def _in_conflict(self, message: Message) -> bool:
        """Settle who decides when both ends think that they do, or neither (RFC 8445 §7.3.1.1); whether it is we."""
        controlling = self._paths.controlling
        rival = message.number(Attribute.ICE_CONTROLLING if controlling else Attribute.ICE_CONTROLLED, 8)
        if rival is None:
            return False
        if controlling == (self._tie_breaker >= rival):
            return True
        self._paths.controlling = not controlling
        return False

    def _answer(self, base: Base, request: Message, address: Address, *, conflict: bool) -> None:
        answer = Message(Method.BINDING, Class.ERROR if conflict else Class.SUCCESS, request.transaction)
        if conflict:
            answer.put_error(_ROLE_CONFLICT, "Role Conflict")
        else:
            answer.put_address(Attribute.XOR_MAPPED_ADDRESS, address)
        base.send(answer.encode(self.local_password.encode()), address)

    async def close(self) -> None:
        """Close every socket; a TURN server that does not answer costs its close time-out and no more."""
        self._closing = True
        self._act()
        self._connected.cancel()
        self._queue.put_nowait(None)
        await self._gatherer.close()
        self._bases.clear()
        self._checks.clear()
