"""Looking at how this machine is connected; nothing is sent."""

from __future__ import annotations

import ipaddress

from ..media.transport.probe import host_addresses, local_address_toward
from .facts import NetworkFacts

# Reserved for documentation (RFC 5737, RFC 3849): there is a way to them if there is one to anywhere.
_SOMEWHERE_IPV4 = "192.0.2.1"
_SOMEWHERE_IPV6 = "2001:db8::1"


def look_at_network() -> NetworkFacts:
    """Which families have an address and a way out."""
    ipv4, ipv6 = host_addresses()
    return NetworkFacts(
        ipv4_address=bool(ipv4),
        ipv4_route=_has_route(_SOMEWHERE_IPV4),
        ipv6_address=any(is_global(address) for address in ipv6),
        ipv6_route=_has_route(_SOMEWHERE_IPV6),
    )


def is_global(address: str) -> bool:
    """Whether an IPv6 address is meant to be used beyond one's own network."""
    parsed = ipaddress.IPv6Address(address.partition("%")[0])
    return not parsed.is_link_local and parsed not in ipaddress.IPv6Network("fc00::/7")


def _has_route(address: str) -> bool:
    try:
        local_address_toward(address)
    except OSError:
        return False
    return True
