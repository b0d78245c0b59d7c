"""Our own addresses: host sockets, what STUN servers see of them, relays; at the start and after changes.

Everything is asked side by side and nothing is waited for. A socket whose address goes away is parked for a while: it
may come back, and the peer still sends there.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any

from entrenous.media.events import PathFailure

from .bases import (
    Base,
    GatheringPolicy,
    HostSocket,
    OnDatagram,
    RelayBase,
    candidate_line,
    host_addresses,
    preferred_hosts,
)
from .pairs import CONSENT_LIFETIME
from .relays import Relays, look_up
from .servers import ServerAddress
from .stun import TRANSACTION_BYTES, Address, Attribute, Class, Message, Method

_QUERY_RETRIES = (0.2, 0.4, 0.8, 1.6, 1.6)
"""Seconds between the questions to a STUN server."""


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
        self._relays = Relays(
            policy,
            on_base=self._relayed,
            on_gone=on_gone,
            on_vanished=self.network_changed,
            on_datagram=on_datagram,
        )
        self._reflexive: set[Address] = set()
        self._queries: dict[bytes, asyncio.Future[Address]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._foundation = 0
        self._closing = False
        self.lines: list[str] = []
        """All candidates so far."""
        self.complete = False
        """Whether the first round is over."""

    def use_servers(self, servers: Sequence[ServerAddress]) -> None:
        """Ask these from now on."""
        self._servers = self._relays.servers = servers

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

    def refresh(self) -> None:
        """The world may see our addresses differently, though they are the same: ask how, and try the relays."""
        if not self._closing:
            for each in self._relays.bases:
                each.relay.probe()
            self._ask_servers()

    def want_ipv6_relay(self) -> None:
        """The peer can only be reached over IPv6: get a relayed address of that kind too, unless there is one."""
        if not self._closing and not any(each.local.is_ipv6 for each in self._relays.bases):
            self._relays.race(ipv6=True)

    def why_nothing(self) -> PathFailure | None:
        """Why no pair can ever be made on our side, None when one can or it is not known yet."""
        if not self.complete or any(self._usable()):
            return None
        if not host_addresses(loopback_only=self._policy.loopback_only):
            return PathFailure.NO_NETWORK
        if not self._policy.relay_only:
            return PathFailure.NO_NETWORK
        if not self._relays.can_ask:
            return PathFailure.NO_RELAY
        return PathFailure.RELAY_REFUSED if self._relays.refused else PathFailure.RELAY_UNREACHABLE

    def _usable(self) -> Iterator[Base]:
        yield from (base for base in self._relays.bases if base.local.is_up)
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
        self._hosts.clear()
        await self._relays.close()

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
            self._park(base, now, is_present=host in present)
            if base.parked_at is not None and now - base.parked_at > CONSENT_LIFETIME:
                del self._hosts[host]
                base.close()
                self._on_gone(base)
        for each in list(self._relays.bases):
            local_host = each.relay.local_host
            if local_host is None or local_host in present or self._policy.loopback_only:
                self._park(each, now, is_present=True)
                each.relay.probe()
                continue
            self._park(each, now, is_present=await each.relay.move())
            if each.parked_at is not None and now - each.parked_at > CONSENT_LIFETIME:
                self._relays.drop(each)
        self._on_moved()
        await self._open_hosts()
        self._relays.stop_races()
        self._ask_servers()

    def _park(self, base: HostSocket | RelayBase, now: float, *, is_present: bool) -> None:
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
        if self._relays.can_ask and self._relays.are_stale():
            rounds.append(self._relays.race(ipv6=False))
        return rounds

    def _reflectors(self) -> list[ServerAddress]:
        """Who tells us how we are seen: a TURN server answers that as well as a STUN server (RFC 8656 §3)."""
        asked = {(each.host, each.port): each for each in self._servers if each.transport == "udp"}
        return list(asked.values())

    async def _finish(self, rounds: list[asyncio.Task[None]]) -> None:
        await asyncio.wait(rounds)
        while self._relays.races and not self._closing:
            await asyncio.wait(self._relays.races)
        self.complete = True
        self._on_candidate(None)

    async def _gather_reflexive(self, base: HostSocket, server: ServerAddress) -> None:
        try:
            async with asyncio.timeout(self._policy.timeout):
                hosts = await look_up(server, socket.AF_INET)
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

    def _relayed(self, base: RelayBase) -> None:
        self._announce("relay", base.relay.address, 0x7FFF if base.local.streamed else 0xFFFF)
        self._on_base(base)

    def _announce(self, kind: str, address: Address, preference: int = 0xFFFF) -> None:
        self._foundation += 1
        line = candidate_line(kind, address, self._foundation, preference)
        self.lines.append(line)
        self._on_candidate(line)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
