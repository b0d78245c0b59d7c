"""The lab itself: builds a small internet, and takes it down whatever happens."""

from __future__ import annotations

import asyncio
import itertools
import subprocess
from collections.abc import Mapping, Sequence
from types import TracebackType

from .addresses import CORE_V4, CORE_V6, Addresses, server_addresses
from .carrier import Carrier
from .homes import Access, Home, Uplink
from .links import Link
from .namespaces import Host, Unavailable, lab_name, make_namespaces, remove_namespaces, sweep, why_unavailable
from .nat import Nat

_CORE, _PUBLIC = "core", "public"


class Network:
    """A small internet, for the time of an `async with`; see the package.

    Args:
        link: of all access lines that do not say otherwise, each way.
        servers: names of the hosts with public addresses, dual stack, in the middle.
        seed: of losses and jitter.
        homes, more_homes: by name; a `Nat` stands for an IPv4 access line with such a router.

    Raises:
        Unavailable: on entering, where this machine cannot hold a lab.
    """

    _numbers = itertools.count(1)

    def __init__(
        self,
        homes: Mapping[str, Nat | Access | Sequence[Access]] | None = None,
        /,
        *,
        link: Link | None = None,
        servers: Sequence[str] = ("signal", "turn"),
        seed: int = 0,
        **more_homes: Nat | Access | Sequence[Access],
    ) -> None:
        self._plan = {name: _accesses(home) for name, home in {**(homes or {}), **more_homes}.items()}
        self._link = link or Link()
        self._servers = tuple(servers)
        self._seed = seed
        self._lab = lab_name(next(self._numbers))
        self._addresses = Addresses()
        self.hosts: dict[str, Host] = {}
        self.homes: dict[str, Home] = {}

    def host(self, name: str) -> Host:
        """A server or the client of a home, by name; routers are `NAME-router`, the middle is `core`."""
        return self.hosts[name]

    def home(self, name: str) -> Home:
        """A home by name."""
        return self.homes[name]

    async def __aenter__(self) -> Network:
        if reason := why_unavailable():
            raise Unavailable(reason)
        sweep()
        try:
            await self._build()
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close()

    async def _build(self) -> None:
        for name in (_CORE, *self._servers, *self._plan):
            self._host(name)
        routers = {
            (name, access.interface): self._host(f"{name}-router" if number == 0 else f"{name}-router{number}")
            for name, accesses in self._plan.items()
            for number, access in enumerate(accesses)
        }
        names = {f"{name}.lab": server_addresses(number) for number, name in enumerate(self._servers)}
        await make_namespaces(self.hosts.values(), names)
        core = self.hosts[_CORE]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        process, *_ = await asyncio.gather(core.start(*Carrier.command(), **pipes), self._build_core(core))
        carrier = Carrier(process)
        numbers = itertools.count()
        lines = []
        for name, accesses in self._plan.items():
            home = Home(name, self.hosts[name], {})
            self.homes[name] = home
            for access in accesses:
                uplink = Uplink(
                    access,
                    line=f"{name} {access.interface}",
                    number=next(numbers),
                    client=home.host,
                    router=routers[name, access.interface],
                    core=core,
                    carrier=carrier,
                    addresses=self._addresses,
                    up=access.link or self._link,
                    down=access.link or self._link,
                )
                home.uplinks[access.interface] = uplink
                lines.append(uplink.build(f"{self._seed} {name} {access.interface}"))
            if not any(access.families.has_v6 for access in accesses):
                lines.append(home.host.sysctl(ipv6__conf__all__disable_ipv6=1, ipv6__conf__default__disable_ipv6=1))
        await asyncio.gather(*lines)

    async def _build_core(self, core: Host) -> None:
        await core.sysctl(ipv4__ip_forward=1, ipv6__conf__all__forwarding=1)
        lines = [f"link add name {_PUBLIC} type bridge", f"link set {_PUBLIC} up"]
        lines += [f"addr add {CORE_V4}/24 dev {_PUBLIC}", f"addr add {CORE_V6}/64 dev {_PUBLIC} nodad"]
        # Private and unknown addresses lead nowhere, without a word (ICMP).
        lines += ["route add blackhole 0.0.0.0/0", "route add blackhole ::/0"]
        for number, name in enumerate(self._servers):
            host = self.hosts[name]
            host.ipv4, host.ipv6 = server_addresses(number)
            lines.append(f"link add name server{number} type veth peer name eth0 netns {host.namespace}")
            lines.append(f"link set server{number} master {_PUBLIC} up")
        await core.ip(*lines)
        for name in self._servers:
            host = self.hosts[name]
            await host.ip(
                "link set eth0 up",
                f"addr add {host.ipv4}/24 dev eth0",
                f"addr add {host.ipv6}/64 dev eth0 nodad",
                f"route add 0.0.0.0/0 via {CORE_V4}",
                f"route add ::/0 via {CORE_V6}",
            )

    def _host(self, name: str) -> Host:
        host = self.hosts[name] = Host(self._lab, name)
        return host

    async def _close(self) -> None:
        """End all that was started in the lab, and remove its namespaces."""
        try:
            await asyncio.gather(*(host.end_programs() for host in self.hosts.values()))
        finally:
            remove_namespaces(self._lab)
        await asyncio.gather(*(host.end_programs() for host in self.hosts.values()))


def _accesses(home: Nat | Access | Sequence[Access]) -> tuple[Access, ...]:
    if isinstance(home, Nat):
        return (Access(home),)
    return (home,) if isinstance(home, Access) else tuple(home)
