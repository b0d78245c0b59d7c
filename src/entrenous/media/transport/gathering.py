"""Our own addresses: host sockets, what STUN servers see of them, relays; at the start and after changes.

Everything is asked side by side and nothing is waited for. Of all TURN servers, transports and addresses the first
that answers wins; when that was a stream, one over UDP may still follow within a short time and is then preferred
by the rank of its pairs. A socket whose address goes away is parked for a while: it may come back, and the peer
still sends there.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
import ssl
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from entrenous.media.events import PathFailure

from .bases import (
    Base,
    HostSocket,
    OnDatagram,
    RelayBase,
    candidate_line,
    host_addresses,
    preferred_hosts,
    source_for,
)
from .pairs import CONSENT_LIFETIME
from .relay import Relay
from .servers import ServerAddress
from .stun import TRANSACTION_BYTES, Address, Attribute, Class, Message, Method

UDP_GRACE = 1.0
"""Seconds that a relay over UDP may come after one over a stream and still be taken as well."""

MAX_LOOKUPS = 4
"""Addresses of one TURN server's name that are tried."""

T = TypeVar("T")

_QUERY_RETRIES = (0.2, 0.4, 0.8, 1.6, 1.6)
"""Seconds between the questions to a STUN server."""

_RELAY_RETRIES = (1.0, 2.0, 4.0, 8.0)
"""Seconds between attempts to replace a relay that is gone; the last one repeats."""


@dataclass(frozen=True, slots=True)
class GatheringPolicy:
    """What may be gathered, and how long it may take.

    Args:
        relay_only: TURN servers only.
        loopback_only: 127.0.0.1 only, beside TURN servers.
        timeout: seconds for each server.
        close_timeout: seconds for a server to take an allocation back.
        tls_ca_file: what `turns:` servers are verified with, None: what the system trusts.
    """

    relay_only: bool
    loopback_only: bool
    timeout: float
    close_timeout: float
    tls_ca_file: Path | None = None


class Gatherer:
    """Opens and closes what pairs start from.

    Args:
        policy: what may be gathered.
        on_base: told of each new base.
        on_gone: told of each base that is closed.
        on_moved: told when bases went away or came back.
        on_candidate: told each candidate that comes after `start`, and None when the first round is complete.
        on_datagram: told everything that arrives at any base.
    """

    def __init__(
        self,
        policy: GatheringPolicy,
        *,
        on_base: Callable[[Base], None],
        on_gone: Callable[[Base], None],
        on_moved: Callable[[], None],
        on_candidate: Callable[[str | None], None],
        on_datagram: OnDatagram,
    ) -> None:
        self._policy = policy
        self._on_base = on_base
        self._on_gone = on_gone
        self._on_moved = on_moved
        self._on_candidate = on_candidate
        self._on_datagram = on_datagram
        self._servers: Sequence[ServerAddress] = ()
        self._hosts: dict[str, HostSocket] = {}
        self._relays: list[RelayBase] = []
        self._reflexive: set[Address] = set()
        self._queries: dict[bytes, asyncio.Future[Address]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._leaving: set[asyncio.Task[None]] = set()
        self._racing: dict[bool, asyncio.Task[None]] = {}
        self._foundation = 0
        self._context: ssl.SSLContext | None = None
        self._closing = False
        self._relay_refused = False
        self.lines: list[str] = []
        """All candidates so far."""
        self.complete = False
        """Whether the first round is over."""

    def use_servers(self, servers: Sequence[ServerAddress]) -> None:
        """Ask these from now on."""
        self._servers = servers

    async def start(self) -> None:
        """Open the host sockets; everything else follows in the background."""
        await self._open_hosts()
        rounds = self._ask_servers()
        if rounds:
            self._spawn(self._finish(rounds))
        else:
            self.complete = True

    def network_changed(self) -> None:
        """Addresses came or went, or the way to the world is another."""
        if not self._closing:
            self._spawn(self._look_again())

    def want_ipv6_relay(self) -> None:
        """The peer can only be reached over IPv6: get a relayed address of that kind too, unless there is one."""
        if not self._closing and not any(each.local.is_ipv6 for each in self._relays):
            self._race(ipv6=True)

    def why_nothing(self) -> PathFailure | None:
        """Why no pair can ever be made on our side, None when one can or it is not known yet."""
        if not self.complete or any(self._usable()):
            return None
        if not host_addresses(loopback_only=self._policy.loopback_only):
            return PathFailure.NO_NETWORK
        if not self._policy.relay_only:
            return PathFailure.NO_NETWORK
        if not any(server.is_turn for server in self._servers):
            return PathFailure.NO_RELAY
        return PathFailure.RELAY_REFUSED if self._relay_refused else PathFailure.RELAY_UNREACHABLE

    def _usable(self) -> Iterator[Base]:
        yield from (base for base in self._relays if base.local.is_up)
        yield from (base for base in self._hosts.values() if base.local.is_up)

    def answered(self, message: Message) -> bool:
        """Take the answer of a STUN server; whether it was one that was waited for."""
        waiting = self._queries.get(message.transaction)
        if waiting is None:
            return False
        mapped = message.address(Attribute.XOR_MAPPED_ADDRESS)
        if message.kind is Class.SUCCESS and mapped is not None and not waiting.done():
            waiting.set_result(mapped)
        return True

    async def close(self) -> None:
        """Close every socket; a TURN server that does not answer costs `close_timeout` and no more."""
        self._closing = True
        for task in self._tasks:
            task.cancel()
        while self._tasks:
            await asyncio.wait(self._tasks)
        for host in self._hosts.values():
            host.close()
        relays, self._relays = self._relays, []
        self._hosts.clear()
        for each in relays:
            self._close_relay(each.relay)
        while self._leaving:
            await asyncio.wait(self._leaving)

    # Host sockets

    async def _open_hosts(self) -> list[HostSocket]:
        if self._policy.relay_only:
            return []
        preferred = preferred_hosts()
        opened = []
        for host in host_addresses(loopback_only=self._policy.loopback_only):
            if host in self._hosts:
                self._hosts[host].local.preferred = host in preferred
                continue
            base = HostSocket(
                host, preferred=host in preferred, on_datagram=self._on_datagram, on_vanished=self._vanished
            )
            try:
                await base.open()
            except OSError:
                continue  # an interface that went away, or an address that is not ready
            if self._closing or host in self._hosts:
                base.close()
                continue
            self._hosts[host] = base
            opened.append(base)
            self._announce("host", base.address, 0xFFFF if base.local.preferred else 0x7FFF)
            self._on_base(base)
        return opened

    def _vanished(self, _: HostSocket) -> None:
        self.network_changed()

    async def _look_again(self) -> None:
        now = time.monotonic()
        present = set(host_addresses(loopback_only=self._policy.loopback_only))
        for host, base in list(self._hosts.items()):
            self._park(base, host in present, now)
            if base.parked_at is not None and now - base.parked_at > CONSENT_LIFETIME:
                del self._hosts[host]
                base.close()
                self._on_gone(base)
        for each in list(self._relays):
            local_host = each.relay.local_host
            self._park(each, local_host is None or local_host in present or self._policy.loopback_only, now)
            if each.parked_at is None:
                each.relay.probe()
            elif now - each.parked_at > CONSENT_LIFETIME:
                self._drop_relay(each)
        self._on_moved()
        await self._open_hosts()
        for race in self._racing.values():
            race.cancel()  # it asks from addresses that may not be ours any more
        self._racing.clear()
        self._ask_servers()

    def _park(self, base: HostSocket | RelayBase, is_present: bool, now: float) -> None:
        base.local.is_up = is_present
        if is_present:
            base.parked_at = None
        elif base.parked_at is None:
            base.parked_at = now

    # Servers

    def _ask_servers(self) -> list[asyncio.Task[None]]:
        rounds = [
            self._spawn(self._gather_reflexive(base, server))
            for server in self._reflectors()
            for base in self._hosts.values()
            if not base.local.is_ipv6 and base.local.is_up
        ]
        if any(server.is_turn for server in self._servers) and self._relays_are_stale():
            rounds.append(self._race(ipv6=False))
        return rounds

    def _reflectors(self) -> list[ServerAddress]:
        """Who tells us how we are seen: a TURN server answers that as well as a STUN server (RFC 8656 §3)."""
        asked = {(each.host, each.port): each for each in self._servers if each.transport == "udp"}
        return list(asked.values())

    def _relays_are_stale(self) -> bool:
        """Whether there is no relay that is spoken to in the way that the system would now choose."""
        for each in self._relays:
            family = socket.AF_INET6 if ":" in each.relay.host else socket.AF_INET
            if each.local.is_up and each.relay.local_host == source_for(each.relay.host, family):
                return False
        return True

    async def _finish(self, rounds: list[asyncio.Task[None]]) -> None:
        await asyncio.wait(rounds)
        while self._racing and not self._closing:
            await asyncio.wait(self._racing.values())
        self.complete = True
        self._on_candidate(None)

    async def _gather_reflexive(self, base: HostSocket, server: ServerAddress) -> None:
        try:
            async with asyncio.timeout(self._policy.timeout):
                hosts = await _look_up(server, socket.AF_INET)
                mapped = await self._query(base, Address(hosts[0], server.port))
        except (OSError, TimeoutError, IndexError):
            return
        known = {host.address for host in self._hosts.values()} | self._reflexive
        if mapped not in known:
            self._reflexive.add(mapped)
            self._announce("srflx", mapped)

    async def _query(self, base: HostSocket, server: Address) -> Address:
        message = Message(Method.BINDING, Class.REQUEST, secrets.token_bytes(TRANSACTION_BYTES))
        waiting: asyncio.Future[Address] = asyncio.get_running_loop().create_future()
        self._queries[message.transaction] = waiting
        try:
            for pause in _QUERY_RETRIES:
                base.send(message.encode(), server)
                done, _ = await asyncio.wait({waiting}, timeout=pause)
                if done:
                    return waiting.result()
            raise TimeoutError
        finally:
            del self._queries[message.transaction]

    # Relays

    def _race(self, *, ipv6: bool) -> asyncio.Task[None]:
        running = self._racing.get(ipv6)
        if running is None:
            running = self._racing[ipv6] = self._spawn(self._run_race(ipv6))
            running.add_done_callback(lambda race: self._race_over(ipv6, race))
        return running

    def _race_over(self, ipv6: bool, race: asyncio.Task[None]) -> None:
        if self._racing.get(ipv6) is race:
            del self._racing[ipv6]

    async def _run_race(self, ipv6: bool) -> None:
        """Try every TURN server at every address of it until one has given a relay."""
        attempts = {self._spawn(self._try_server(server, ipv6)) for server in self._servers if server.is_turn}
        grace: float | None = None
        try:
            while attempts:
                done, attempts = await asyncio.wait(attempts, timeout=grace, return_when=asyncio.FIRST_COMPLETED)
                won = [base for base in (task.result() for task in done) if base is not None]
                if grace is not None or any(not base.local.streamed for base in won):
                    break
                if won:
                    grace = UDP_GRACE
        finally:
            for task in attempts:
                task.cancel()

    async def _try_server(self, server: ServerAddress, ipv6: bool) -> RelayBase | None:
        try:
            async with asyncio.timeout(self._policy.timeout):
                hosts = await _look_up(server, socket.AF_UNSPEC)
        except (OSError, TimeoutError):
            return None
        attempts = {self._spawn(self._try_relay(server, host, ipv6)) for host in hosts}
        try:
            while attempts:
                done, attempts = await asyncio.wait(attempts, return_when=asyncio.FIRST_COMPLETED)
                won = next((base for base in (task.result() for task in done) if base is not None), None)
                if won is not None:
                    return won
        finally:
            for task in attempts:
                task.cancel()
        return None

    async def _try_relay(self, server: ServerAddress, host: str, ipv6: bool) -> RelayBase | None:
        relay = Relay(
            server,
            host,
            ipv6=ipv6,
            on_datagram=lambda data, origin, at: self._on_datagram(base, data, origin, at),
            on_gone=lambda: self._relay_gone(base),
            on_vanished=self.network_changed,
        )
        keep = False
        try:
            keep = await relay.open(self._tls(server), self._policy.timeout)
            self._relay_refused |= relay.refused
        except (OSError, TimeoutError):
            pass
        finally:
            if not keep:
                self._close_relay(relay)
        if not keep:
            return None
        base = RelayBase(relay)
        self._relays.append(base)
        self._announce("relay", relay.address, 0x7FFF if base.local.streamed else 0xFFFF)
        self._on_base(base)
        return base

    def _tls(self, server: ServerAddress) -> ssl.SSLContext | None:
        if not server.tls:
            return None
        if self._context is None:
            self._context = ssl.create_default_context(cafile=self._policy.tls_ca_file)
            self._context.minimum_version = ssl.TLSVersion.TLSv1_2
        return self._context

    def _relay_gone(self, base: RelayBase) -> None:
        if base in self._relays and not self._closing:
            self._drop_relay(base)
            self._spawn(self._replace_relay(base.local.is_ipv6))

    def _drop_relay(self, base: RelayBase) -> None:
        self._relays.remove(base)
        self._on_gone(base)
        self._close_relay(base.relay)

    def _close_relay(self, relay: Relay) -> None:
        closing = asyncio.create_task(relay.close(self._policy.close_timeout))
        self._leaving.add(closing)
        closing.add_done_callback(self._leaving.discard)

    async def _replace_relay(self, ipv6: bool) -> None:
        for attempt in range(1_000):
            if any(each.local.is_ipv6 == ipv6 and each.local.is_up for each in self._relays):
                return
            await asyncio.wait({self._race(ipv6=ipv6)})
            await asyncio.sleep(_RELAY_RETRIES[min(attempt, len(_RELAY_RETRIES) - 1)])

    def _announce(self, kind: str, address: Address, preference: int = 0xFFFF) -> None:
        self._foundation += 1
        line = candidate_line(kind, address, self._foundation, preference)
        self.lines.append(line)
        self._on_candidate(line)

    def _spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


async def _look_up(server: ServerAddress, family: int) -> list[str]:
    """The addresses of a server; raises OSError when its name has none."""
    found = await asyncio.get_running_loop().getaddrinfo(
        server.host, server.port, family=family, type=socket.SOCK_DGRAM
    )
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))[:MAX_LOOKUPS]
