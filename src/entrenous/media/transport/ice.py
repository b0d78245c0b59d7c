"""Finding a path: aioice's agent with our own gathering, pacing of relayed pairs, consent and receive path.

What differs from the library, and why:

- Host addresses are there at once; every STUN and TURN server is asked side by side in the background, the
  first TURN server that answers wins, and what comes late is trickled. An unreachable server delays nothing.
- A pair through a TURN server is held back by the controlling side for a short time while a direct one may
  still come, since the first pair that works is nominated for good.
- A check of the peer makes ours go out again at once (RFC 8445 §7.3.1.4): the peer's has just opened its NAT.
- Consent (RFC 7675) waits several seconds for each answer, so a slow path lives, and authentic media counts as
  consent too. When it ends, the owner is told; nothing is closed behind its back.
- Datagrams are told apart by their first byte (RFC 7983) and media goes straight to its handler with the time
  at which the socket was read; an empty or malformed datagram of a stranger ends nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import struct
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from aioice import Candidate, Connection, TransportPolicy, stun
from aioice import ice as library
from aioice.candidate import candidate_foundation, candidate_priority
from aioice.turn import TurnTransport

from .servers import ServerAddress
from .udp import UdpTransport

CONSENT_INTERVAL = 5.0
"""Seconds between consent checks, varied by a fifth (RFC 7675 §5.1)."""

CONSENT_LIFETIME = 30.0
"""Seconds without any answer or authentic packet after which the peer has withdrawn its consent."""

CONSENT_RETRANSMISSIONS = 2
"""Tries after the first of one consent check: 0.5 + 1 + 2 seconds of patience."""

MAX_PENDING_DATAGRAMS = 256
"""DTLS datagrams that wait to be read; the oldest are dropped."""

_COMPONENT = 1
_GATHER_FAILURES = (OSError, stun.TransactionError, KeyError, ValueError, struct.error)
_MALFORMED_STUN = (AssertionError, IndexError, KeyError, ValueError, struct.error)


class IceSocket(library.StunProtocol):
    """One socket or TURN allocation: sorts what arrives by its first byte (RFC 7983 §7)."""

    receiver: IceAgent

    def datagram_received(self, data: bytes | str, addr: tuple[Any, ...]) -> None:
        """Take what comes by asyncio's sockets and TURN servers, which do not say when."""
        if isinstance(data, bytes):
            self.datagram_arrived(data, addr, time.monotonic())

    def datagram_arrived(self, data: bytes, addr: tuple[Any, ...], at: float) -> None:
        """Give STUN to the agent's checks and everything else to the agent; drop what is neither."""
        if not data:
            return
        if data[0] >= 20:
            self.receiver.datagram_arrived(data, at)
        elif data[0] <= 3:
            with contextlib.suppress(*_MALFORMED_STUN):
                super().datagram_received(data, addr)


class IceAgent(Connection):
    """One side of an ICE connection with one component.

    Args:
        controlling: whether this side nominates the pair.
        relay_only: gather at TURN servers only, and hide the address that asks them.
        loopback_only: offer 127.0.0.1 and nothing else.
        relay_hold: seconds for which a direct path is preferred.
        close_timeout: seconds that a TURN server may take to free an allocation.
        on_media: told each datagram whose first byte is SRTP's, with its arrival in monotonic seconds.
        on_candidate: told each address that comes after the host addresses, and None at the end.
        on_consent_lost: told when the peer does not want to receive any more.
    """

    def __init__(
        self,
        *,
        controlling: bool,
        relay_only: bool,
        loopback_only: bool,
        relay_hold: float,
        close_timeout: float,
        on_media: Callable[[bytes, float], None],
        on_candidate: Callable[[str | None], None],
        on_consent_lost: Callable[[], None],
    ) -> None:
        super().__init__(
            ice_controlling=controlling,
            transport_policy=TransportPolicy.RELAY if relay_only else TransportPolicy.ALL,
        )
        self._relay_only = relay_only
        self._loopback_only = loopback_only
        self._relay_hold = relay_hold
        self._hold_until = 0.0
        self._close_timeout = close_timeout
        self._on_media = on_media
        self._on_candidate = on_candidate
        self._on_consent_lost = on_consent_lost
        self._gathering: set[asyncio.Task[None]] = set()
        self._requests: dict[library.CandidatePair, stun.Message] = {}
        self._peer_ended = False
        self.heard_at = 0.0
        """Monotonic time of the last packet whose authenticity the owner has checked."""

    # What the DTLS transport of aiortc asks of the transport below it.

    @property
    def role(self) -> str:
        """`controlling` or `controlled`."""
        return "controlling" if self.ice_controlling else "controlled"

    async def _recv(self) -> bytes:
        data: bytes = await self.recv()
        return data

    async def _send(self, data: bytes) -> None:
        await self.send(data)

    # Gathering

    async def gather(self, servers: Sequence[ServerAddress], timeout: float) -> None:
        """Open the host sockets, then ask the servers in the background.

        Args:
            servers: STUN and TURN servers.
            timeout: seconds for each of them.
        """
        self._local_candidates_start = True
        hosts = [] if self._relay_only else await self._gather_hosts()
        self._local_candidates_end = True
        if not servers:
            return
        relays = [self._spawn(self._gather_relay(server, timeout)) for server in servers if server.is_turn]
        others = [
            self._spawn(self._gather_reflexive(host, server, timeout))
            for server in servers
            if not server.is_turn
            for host in hosts
        ]
        self._spawn(self._finish_gathering(relays, others))

    @property
    def gathered(self) -> bool:
        """Whether no more local addresses will come."""
        return bool(self._local_candidates_end) and not self._gathering

    async def _gather_hosts(self) -> list[IceSocket]:
        addresses = ["127.0.0.1"] if self._loopback_only else library.get_host_addresses(use_ipv4=True, use_ipv6=True)
        sockets = []
        for address in addresses:
            host = IceSocket(self)
            try:
                transport = await _open_socket(address, host)
            except OSError:
                continue  # an interface that went away, or an address that is not ready
            host.local_candidate = Candidate(
                foundation=candidate_foundation("host", "udp", address),
                component=_COMPONENT,
                transport="udp",
                priority=candidate_priority(_COMPONENT, "host"),
                host=address,
                port=transport.get_extra_info("sockname")[1],
                type="host",
            )
            self._protocols.append(host)
            self._local_candidates.append(host.local_candidate)
            sockets.append(host)
        return sockets

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._gathering.add(task)
        return task

    async def _finish_gathering(self, relays: list[asyncio.Task[None]], others: list[asyncio.Task[None]]) -> None:
        pending = set(relays)
        while pending and not any(candidate.type == "relay" for candidate in self._local_candidates):
            _, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        if pending or others:
            await asyncio.wait([*pending, *others])
        self._gathering.clear()
        self._on_candidate(None)
        self._end_remote_when_complete()

    async def _gather_reflexive(self, host: IceSocket, server: ServerAddress, timeout: float) -> None:
        if ":" in host.local_candidate.host or host.local_candidate.host.startswith("127."):
            return
        with contextlib.suppress(*_GATHER_FAILURES):
            async with asyncio.timeout(timeout):
                candidate, _ = await library.server_reflexive_candidate(host, (server.host, server.port))
            self._add_local(candidate)

    async def _gather_relay(self, server: ServerAddress, timeout: float) -> None:
        with contextlib.suppress(*_GATHER_FAILURES):
            async with asyncio.timeout(timeout):
                candidate, relay = await library.relayed_candidate(
                    component=_COMPONENT,
                    hide_related_address=self._relay_only,
                    protocol_factory=lambda: IceSocket(self),
                    turn_server=(server.host, server.port),
                    turn_username=server.username,
                    turn_password=server.password,
                    turn_ssl=server.tls,
                    turn_transport=server.transport,
                )
            self._protocols.append(relay)
            self._add_local(candidate)
            for remote in list(self._remote_candidates):
                self._pair_remote_candidate(remote)
            self.sort_check_list()

    def _add_local(self, candidate: Candidate) -> None:
        known = {(known.host, known.port) for known in self._local_candidates}
        if (candidate.host, candidate.port) not in known:
            self._local_candidates.append(candidate)
            self._on_candidate(candidate.to_sdp())

    # The peer's addresses

    def take_candidate(self, candidate: Candidate) -> None:
        """Pair an address of the peer, given as an IP address; names are not resolved."""
        if not self._closing:
            self._add_remote_candidate(candidate, candidate.host)

    def end_candidates(self) -> None:
        """The peer has no more addresses: failing is possible from here on, once ours are complete too."""
        self._peer_ended = True
        self._end_remote_when_complete()

    def _end_remote_when_complete(self) -> None:
        if self._peer_ended and self.gathered and not self._remote_candidates_end and not self._closing:
            self._remote_candidates_end = True
            self._end_remote_candidates()

    # Checks

    async def connect(self) -> None:
        """Check pairs until one is nominated; raises ConnectionError."""
        self._hold_until = time.monotonic() + self._relay_hold
        await super().connect()

    def _held(self, pair: library.CandidatePair) -> bool:
        if not self.ice_controlling or self._relay_only or time.monotonic() >= self._hold_until:
            return False
        if "relay" not in (pair.local_candidate.type, pair.remote_candidate.type):
            return False
        return any(candidate.type != "relay" for candidate in self._remote_candidates)

    def _check_periodic(self) -> bool:
        if self._check_list_done:
            return False
        states = library.CandidatePair.State
        waiting = False
        for state in (states.WAITING, states.FROZEN):
            for pair in self._check_list:
                if pair.state is state and not self._held(pair):
                    self.check_start_task(pair)
                    return True
                waiting |= pair.state is state
        return waiting or self._remote_candidates_expected()

    def check_start_task(self, pair: library.CandidatePair) -> None:
        """Start a check unless it is held back; then it stays waiting and the pacing comes back to it."""
        if not self._held(pair):
            super().check_start_task(pair)

    def build_request(self, pair: library.CandidatePair, nominate: bool) -> stun.Message:
        """Make a check and remember it, so that it can be sent again out of turn."""
        request = super().build_request(pair, nominate)
        self._requests[pair] = request
        return request

    def check_incoming(self, message: stun.Message, addr: tuple[str, int], protocol: library.StunProtocol) -> None:
        """Handle a check of the peer; ours for the same pair, if it is under way, is sent again at once."""
        for pair in self._check_list:
            in_progress = pair.state is library.CandidatePair.State.IN_PROGRESS
            if in_progress and pair.protocol is protocol and pair.remote_addr == addr:
                protocol.send_stun(self._requests[pair], addr)
        super().check_incoming(message, addr, protocol)

    # The path in use

    @property
    def selected(self) -> library.CandidatePair | None:
        """The nominated pair, None before there is one and after `close`."""
        return self._nominated.get(_COMPONENT)

    def send_now(self, data: bytes) -> bool:
        """Send one datagram on the selected pair without waiting; False when there is none."""
        pair = self.selected
        if pair is None:
            return False
        pair.protocol.transport.sendto(data, pair.remote_addr)
        return True

    def datagram_arrived(self, data: bytes, at: float) -> None:
        """Hand media to its handler at once and keep a bounded number of DTLS datagrams for the reader."""
        if 128 <= data[0] <= 191:
            self._on_media(data, at)
        elif 20 <= data[0] <= 63:
            if self._queue.qsize() >= MAX_PENDING_DATAGRAMS:
                self._queue.get_nowait()
            self._queue.put_nowait((data, _COMPONENT))

    def data_received(self, data: bytes, component: int) -> None:
        """Drop what looked like STUN and is not; everything else has come by `datagram_arrived`."""

    async def query_consent(self) -> None:
        """Ask the peer now and then whether it still wants to receive (RFC 7675)."""
        granted_at = time.monotonic()
        while max(granted_at, self.heard_at) + CONSENT_LIFETIME > time.monotonic():
            # Spreads the checks of many connections; nothing secret depends on it.
            await asyncio.sleep(CONSENT_INTERVAL * random.uniform(0.8, 1.2))  # noqa: S311
            pair = self.selected
            if pair is None or self.remote_password is None:
                return
            with contextlib.suppress(stun.TransactionError):
                await pair.protocol.request(
                    self.build_request(pair, nominate=False),
                    pair.remote_addr,
                    integrity_key=self.remote_password.encode(),
                    retransmissions=CONSENT_RETRANSMISSIONS,
                )
                granted_at = time.monotonic()
        self._on_consent_lost()

    async def close(self) -> None:
        """Close every socket; a TURN server that does not answer costs `close_timeout` and no more."""
        self._closing = True
        gathering = list(self._gathering)
        for task in gathering:
            task.cancel()
        if gathering:
            await asyncio.wait(gathering)
        self._gathering.clear()
        relays = [(each, each.transport) for each in self._protocols if isinstance(each.transport, TurnTransport)]
        for relay, _ in relays:
            self._protocols.remove(relay)
        await asyncio.gather(*(self._close_relay(*relay) for relay in relays))
        await super().close()
        self._requests.clear()

    async def _close_relay(self, relay: library.StunProtocol, allocation: Any) -> None:
        # `Any`: both private names of TurnTransport below are in the table of `checks`.
        closing = asyncio.create_task(relay.close())
        await asyncio.wait({closing}, timeout=self._close_timeout)
        if not closing.done():
            # The allocation expires by itself; a TCP connection must not wait for its buffer to drain either.
            allocation._TurnTransport__close_task.cancel()
            allocation._TurnTransport__inner_protocol.transport.abort()
            await closing


async def _open_socket(address: str, host: IceSocket) -> asyncio.BaseTransport:
    """Bind a socket to one of our addresses; raises OSError."""
    try:
        return UdpTransport(address, host)
    except NotImplementedError:
        # The event loop of Windows cannot watch sockets; there asyncio's own reader has to do.
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: host, (address, 0))
        return transport
