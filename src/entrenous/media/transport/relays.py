"""Relayed addresses of ours: asked for at all TURN servers side by side, replaced when they are gone.

Of all servers, transports and addresses the first that answers wins; when that was a stream, one over UDP may still
follow within a short time and is then preferred by the rank of its pairs. The others are given back at once.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from .bases import GatheringPolicy, OnDatagram, RelayBase, source_for
from .relay import Relay
from .servers import ServerAddress

UDP_GRACE = 1.0
"""Seconds that a relay over UDP may come after one over a stream and still be taken as well."""

MAX_LOOKUPS = 4
"""Addresses of one server's name that are tried."""

T = TypeVar("T")

_RELAY_RETRIES = (1.0, 2.0, 4.0, 8.0)
"""Seconds between attempts to replace a relay that is gone; the last one repeats."""


class Relays:
    """The allocations of one leg.

    Args:
        policy: how long things may take, and who is trusted over TLS.
        on_base: told of each new allocation.
        on_gone: told of each that is gone.
        on_vanished: told when a server is spoken to from an address that is not ours any more.
        on_datagram: told everything that arrives.
    """

    def __init__(
        self,
        policy: GatheringPolicy,
        *,
        on_base: Callable[[RelayBase], None],
        on_gone: Callable[[RelayBase], None],
        on_vanished: Callable[[], None],
        on_datagram: OnDatagram,
    ) -> None:
        self.servers: Sequence[ServerAddress] = ()
        """Asked from now on; those that relay nothing are left out."""
        self.bases: list[RelayBase] = []
        """What there is."""
        self.refused = False
        """Whether a server has answered and would not."""
        self._policy = policy
        self._on_base = on_base
        self._on_gone = on_gone
        self._on_vanished = on_vanished
        self._on_datagram = on_datagram
        self._context: ssl.SSLContext | None = None
        self._racing: dict[bool, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._leaving: set[asyncio.Task[None]] = set()
        self._closing = False

    @property
    def can_ask(self) -> bool:
        """Whether there is anybody to ask."""
        return any(server.is_turn for server in self.servers)

    @property
    def races(self) -> list[asyncio.Task[None]]:
        """What is being asked for now."""
        return list(self._racing.values())

    def stop_races(self) -> None:
        """Ask no more: it is done from addresses that may not be ours any more."""
        for race in self._racing.values():
            race.cancel()
        self._racing.clear()

    def are_stale(self) -> bool:
        """Whether there is no relay that is spoken to in the way that the system would now choose."""
        for each in self.bases:
            family = socket.AF_INET6 if ":" in each.relay.host else socket.AF_INET
            if each.local.is_up and each.relay.local_host == source_for(each.relay.host, family):
                return False
        return True

    async def close(self) -> None:
        """Give everything back, within the close time-out."""
        self._closing = True
        for task in self._tasks:
            task.cancel()
        while self._tasks:
            await asyncio.wait(self._tasks)
        bases, self.bases = self.bases, []
        for each in bases:
            self._close_relay(each.relay)
        while self._leaving:
            await asyncio.wait(self._leaving)

    def race(self, *, ipv6: bool) -> asyncio.Task[None]:
        """Try every TURN server at every address of it until one has given a relay; joins a race that is on."""
        running = self._racing.get(ipv6)
        if running is None:
            running = self._racing[ipv6] = self._spawn(self._run_race(ipv6))
            running.add_done_callback(lambda race: self._race_over(ipv6, race))
        return running

    def _race_over(self, ipv6: bool, race: asyncio.Task[None]) -> None:
        if self._racing.get(ipv6) is race:
            del self._racing[ipv6]

    async def _run_race(self, ipv6: bool) -> None:
        attempts = {self._spawn(self._try_server(server, ipv6)) for server in self.servers if server.is_turn}
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
                hosts = await look_up(server, socket.AF_UNSPEC)
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
            on_vanished=self._on_vanished,
        )
        keep = False
        try:
            keep = await relay.open(self._tls(server), self._policy.timeout)
            self.refused |= relay.refused
        except (OSError, TimeoutError):
            pass
        finally:
            if not keep:
                self._close_relay(relay)
        if not keep:
            return None
        base = RelayBase(relay)
        self.bases.append(base)
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
        if base in self.bases and not self._closing:
            self.drop(base)
            self._spawn(self._replace_relay(base.local.is_ipv6))

    def drop(self, base: RelayBase) -> None:
        """Give an allocation back."""
        self.bases.remove(base)
        self._on_gone(base)
        self._close_relay(base.relay)

    def _close_relay(self, relay: Relay) -> None:
        closing = asyncio.create_task(relay.close(self._policy.close_timeout))
        self._leaving.add(closing)
        closing.add_done_callback(self._leaving.discard)

    async def _replace_relay(self, ipv6: bool) -> None:
        for attempt in range(1_000):
            if any(each.local.is_ipv6 == ipv6 and each.local.is_up for each in self.bases):
                return
            await asyncio.wait({self.race(ipv6=ipv6)})
            await asyncio.sleep(_RELAY_RETRIES[min(attempt, len(_RELAY_RETRIES) - 1)])

    def _spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


async def look_up(server: ServerAddress, family: int) -> list[str]:
    """The addresses of a server; raises OSError when its name has none."""
    found = await asyncio.get_running_loop().getaddrinfo(
        server.host, server.port, family=family, type=socket.SOCK_DGRAM
    )
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))[:MAX_LOOKUPS]
