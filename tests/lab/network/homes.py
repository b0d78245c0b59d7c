"""Homes: a client, and the access lines with the routers through which it reaches the internet of the lab."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from enum import Enum

from .addresses import BARE_GATEWAY_V4, Addresses
from .carrier import Carrier
from .links import Counts, Link
from .namespaces import Host
from .nat import Nat, router_rules

_CLIENT_HARDWARE, _ROUTER_HARDWARE = "02:00:00:00:00:0a", "02:00:00:00:00:01"
"""Addresses of Ethernet, which both ends of every home's network know of each other: nobody has to ask.

The system asks once and then again a second later, which nothing but chance would decide. It asks when a packet waits,
and in the name of the address that this comes from: an old one, while a call has not moved to the new line yet. Our
routers, which drop what comes from there, do not answer that either; a router may ask before the client has the
address that it expects; and a device that has just come up sends nothing yet.
"""


class Families(Enum):
    """Which internet a home has."""

    V4 = "v4"
    V6 = "v6"
    DUAL = "dual"

    @property
    def has_v4(self) -> bool:
        return self is not Families.V6

    @property
    def has_v6(self) -> bool:
        return self is not Families.V4


class Way(Enum):
    """A direction of an access line."""

    UP = "up"
    DOWN = "down"
    BOTH = "both"


@dataclass(frozen=True, slots=True)
class Access:
    """How a home is connected. A VPN is one more of these which is plugged in later, with a lower metric.

    Args:
        nat: what its router does.
        families: which internet there is.
        link: of its line, both ways; None takes that of the lab.
        interface: its name at the client.
        metric: of its default route; the lowest wins.
        plugged: False leaves it out until `plug_in`.
    """

    nat: Nat = Nat.PORT_RESTRICTED
    families: Families = Families.V4
    link: Link | None = None
    interface: str = "eth0"
    metric: int = 100
    plugged: bool = True


@dataclass
class Uplink:
    """One access line of a home with its router; made by the lab.

    Attributes:
        client, router: its two ends on the home's own network.
        public_v4: the address that the internet sees, empty without IPv4.
        lan_v4, lan_v6: the client's addresses on this line, empty without.
        nat: what the router does now.
    """

    access: Access
    line: str
    number: int
    client: Host
    router: Host
    core: Host
    carrier: Carrier
    addresses: Addresses
    up: Link
    down: Link
    nat: Nat = field(init=False)
    public_v4: str = ""
    lan_v4: str = ""
    lan_v6: str = ""
    is_plugged: bool = False
    _gateway_v4: str = ""
    _gateway_v6: str = ""
    _site_v6: str = ""
    _generation: int = 0

    def __post_init__(self) -> None:
        self.nat = self.access.nat

    async def build(self, seed: str) -> None:
        """Lay the line, set up the router, and plug the client in where that is wanted."""
        home, core = f"home{self.number}", self._core_device
        await self.carrier.open(self.line, home, core, seed)
        self._site_v6 = self.addresses.site_v6() if self.access.families.has_v6 else ""
        away = [f"link set {home} netns {self.router.namespace} name wan", f"link set {core} up"]
        if self._site_v6:
            away.append(f"route add {self._site_v6}::/48 dev {core}")
        await self.core.ip(*away)
        settings = {"ipv4__ip_forward": 1, "ipv4__conf__all__rp_filter": 1, "ipv6__conf__all__forwarding": 1}
        if not self.access.families.has_v6:
            settings["ipv6__conf__all__disable_ipv6"] = 1
        await asyncio.gather(self.router.sysctl(**settings), self._shape())
        wan = ["link set wan up"]
        if self._site_v6:  # what is for no network of this home must not travel back and forth
            wan += ["route add ::/0 dev wan", f"route add blackhole {self._site_v6}::/48"]
        await self.router.ip(*wan, *self._new_wire())
        self._new_addresses(public=True, lan=True)
        await self._apply(public=True, lan=True)
        self.is_plugged = True
        if not self.access.plugged:
            await self.unplug()

    async def handoff(self, *, public: bool = True, lan: bool = True) -> None:
        """Move to another network: new addresses, and a router that knows nothing of the flows before.

        Args:
            public: a new public address (IPv4) and a new prefix (IPv6).
            lan: a new private IPv4 address at the client, which its operating system reports. Without NAT the client
                has the public address, so both change or none does.
        """
        if self.nat is Nat.NONE:
            public = lan = True
        self._generation += 1
        self._new_addresses(public=public, lan=lan)
        await self._apply(public=public, lan=lan or bool(self._site_v6))

    async def rebind(self) -> None:
        """The router forgets all its mappings, and maps to other ports from now on; no address changes.

        UDP flows go on under another port as soon as the client sends, TCP connections break.
        """
        self._generation += 1
        await self._set_rules()

    async def set_nat(self, nat: Nat) -> None:
        """Replace the router by one of another kind; not from or to `Nat.NONE`. Open flows keep their mappings."""
        if Nat.NONE in (nat, self.nat):
            raise ValueError("a home without NAT has other addresses: it is built as one, and stays one")
        self.nat = nat
        await self._set_rules()

    async def shape(self, way: Way = Way.BOTH, **changes: object) -> None:
        """Change fields of the `Link` of one or both ways, at once: `shape(up=False)` is a silent outage."""
        if way is not Way.DOWN:
            self.up = replace(self.up, **changes)  # type: ignore[arg-type] # names of Link's fields
        if way is not Way.UP:
            self.down = replace(self.down, **changes)  # type: ignore[arg-type] # names of Link's fields
        await self._shape()

    async def counts(self) -> dict[str, Counts]:
        """What the line has carried and lost, `up` (to the core) and `down`."""
        return await self.carrier.counts(self.line)

    async def unplug(self) -> None:
        """Pull the cable: the interface is gone, with its addresses and routes; the operating system tells so."""
        self.is_plugged = False
        await self.client.ip(f"link del {self.access.interface}")

    async def plug_in(self, *, public: bool = False, lan: bool = False) -> None:
        """Put the cable back in, or switch the VPN on: the interface appears, with addresses of before or new ones.

        Args:
            public, lan: as those of `handoff`.
        """
        await self.router.ip(*self._new_wire())
        self.is_plugged = True
        if public or lan:
            self._generation += 1
        self._new_addresses(public=public, lan=lan)
        await self._apply(public=public, lan=True)

    @property
    def _core_device(self) -> str:
        return f"line{self.number}"

    def _new_wire(self) -> list[str]:
        peer = f"peer name {self.access.interface} address {_CLIENT_HARDWARE} netns {self.client.namespace}"
        return [f"link add name lan address {_ROUTER_HARDWARE} type veth {peer}", "link set lan up"]

    def _new_addresses(self, *, public: bool, lan: bool) -> None:
        if self.access.families.has_v4:
            if public:
                self.public_v4 = self.addresses.public_v4()
            if self.nat is Nat.NONE:
                self._gateway_v4, self.lan_v4 = BARE_GATEWAY_V4, self.public_v4
            elif lan:
                self._gateway_v4, self.lan_v4 = self.addresses.lan_v4()
        if self._site_v6 and public:
            self._gateway_v6, self.lan_v6 = self.addresses.lan_v6(self._site_v6)

    async def _apply(self, *, public: bool, lan: bool) -> None:
        """Set up the network, then the client: nobody is given an address before there is a router to use it with."""
        bits = 32 if self.nat is Nat.NONE else 24
        steps = [self._set_rules()]
        router: list[str] = []
        if lan:  # first, and with `rp_filter`: so that nothing from the old address goes out under the new one
            router.append("addr flush dev lan scope global")
        if lan and self.lan_v4:
            router.append(f"addr add {self._gateway_v4}/{bits} dev lan")
            router.append(_neighbour(self.lan_v4, _CLIENT_HARDWARE, "lan"))
            if bits == 32:
                router.append(f"route replace {self.lan_v4}/32 dev lan")
        if lan and self.lan_v6:
            router.append(f"addr add {self._gateway_v6}/64 dev lan nodad")
            router.append(_neighbour(self.lan_v6, _CLIENT_HARDWARE, "lan"))
        if public and self.public_v4:
            steps.append(self.core.ip(f"route flush dev {self._core_device}", *self._core_routes()))
            router.append("addr flush dev wan scope global")
            if self.nat is not Nat.NONE:
                router.append(f"addr add {self.public_v4}/32 dev wan")
            router.append("route replace 0.0.0.0/0 dev wan")
        await asyncio.gather(self.router.ip(*router), *steps)
        if lan:
            await self._set_client(bits)

    def _core_routes(self) -> list[str]:
        routes = [f"route add {self.public_v4}/32 dev {self._core_device}"]
        if self._site_v6:
            routes.append(f"route replace {self._site_v6}::/48 dev {self._core_device}")
        return routes

    async def _set_client(self, bits: int) -> None:
        device = self.access.interface
        lines = [f"addr flush dev {device} scope global", f"link set {device} up"]
        route = f"dev {device} metric {self.access.metric}"
        if self.lan_v4:
            lines.append(f"addr add {self.lan_v4}/{bits} dev {device}")
            lines.append(_neighbour(self._gateway_v4, _ROUTER_HARDWARE, device))
            lines.append(f"route replace 0.0.0.0/0 via {self._gateway_v4} {route} onlink")
            self.client.ipv4 = self.lan_v4
        if self.lan_v6:
            lines.append(f"addr add {self.lan_v6}/64 dev {device} nodad")
            lines.append(_neighbour(self._gateway_v6, _ROUTER_HARDWARE, device))
            lines.append(f"route replace ::/0 via {self._gateway_v6} {route}")
            self.client.ipv6 = self.lan_v6
        await self.client.ip(*lines)

    async def _set_rules(self) -> None:
        await self.router.run("nft", "-f", "-", text=router_rules(self.nat, self.lan_v4, self._generation))

    async def _shape(self) -> None:
        await self.carrier.shape(self.line, self.up, self.down)


def _neighbour(address: str, hardware: str, device: str) -> str:
    return f"neigh replace {address} lladdr {hardware} dev {device} nud permanent"


@dataclass
class Home:
    """A client with one or more access lines.

    The methods are those of the first line; the others are reached by the name of their interface, `home["wlan0"]`.

    Attributes:
        host: the client, to run programs in.
        uplinks: by interface.
    """

    name: str
    host: Host
    uplinks: dict[str, Uplink]

    def __getitem__(self, interface: str) -> Uplink:
        return self.uplinks[interface]

    @property
    def first(self) -> Uplink:
        """The line that was named first."""
        return next(iter(self.uplinks.values()))

    async def handoff(self, *, public: bool = True, lan: bool = True) -> None:
        """See `Uplink.handoff`."""
        await self.first.handoff(public=public, lan=lan)

    async def rebind(self) -> None:
        """See `Uplink.rebind`."""
        await self.first.rebind()

    async def set_nat(self, nat: Nat) -> None:
        """See `Uplink.set_nat`."""
        await self.first.set_nat(nat)

    async def shape(self, way: Way = Way.BOTH, **changes: object) -> None:
        """See `Uplink.shape`."""
        await self.first.shape(way, **changes)

    async def counts(self) -> dict[str, Counts]:
        """See `Uplink.counts`."""
        return await self.first.counts()

    async def unplug(self) -> None:
        """See `Uplink.unplug`."""
        await self.first.unplug()

    async def plug_in(self, *, public: bool = False, lan: bool = False) -> None:
        """See `Uplink.plug_in`."""
        await self.first.plug_in(public=public, lan=lan)
