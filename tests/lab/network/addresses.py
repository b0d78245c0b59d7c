"""Who has which address in the lab: documentation ranges (RFC 5737, RFC 3849) stand for the public internet."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

CORE_V4, CORE_V6 = "203.0.113.1", "2001:db8:0:1::1"
"""The router in the middle, and the default route of the servers."""
BARE_GATEWAY_V4 = "198.18.0.1"
"""What a router without NAT is called by its client, which has nothing but its public address."""

_PUBLIC_V4, _LAN_V4 = 254, 250


def server_addresses(number: int) -> tuple[str, str]:
    """IPv4 and IPv6 of the server with this number, from 0."""
    return f"203.0.113.{10 * (number + 1)}", f"2001:db8:0:1::{10 * (number + 1)}"


@dataclass
class Addresses:
    """Gives out addresses that were not used before in this lab, until there are no more and the oldest come again."""

    _public: itertools.count[int] = field(default_factory=itertools.count)
    _lan: itertools.count[int] = field(default_factory=itertools.count)
    _site: itertools.count[int] = field(default_factory=lambda: itertools.count(0x100))
    _subnet: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def public_v4(self) -> str:
        """An address of the public internet."""
        return f"198.51.100.{1 + next(self._public) % _PUBLIC_V4}"

    def lan_v4(self) -> tuple[str, str]:
        """Router and client of a private network with 24 bits."""
        network = next(self._lan) % _LAN_V4
        return f"192.168.{network}.1", f"192.168.{network}.10"

    def site_v6(self) -> str:
        """The first 48 bits of all addresses of one access line, as `2001:db8:100`."""
        return f"2001:db8:{next(self._site):x}"

    def lan_v6(self, site: str) -> tuple[str, str]:
        """Router and client of a new network with 64 bits in a site."""
        network = f"{site}:{next(self._subnet):x}"
        return f"{network}::1", f"{network}::10"
