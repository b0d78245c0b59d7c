"""Looking at how this machine is connected; nothing is sent."""

from __future__ import annotations

import ipaddress
import socket

from ..media.transport.bases import host_addresses, source_for
from .facts import NetworkFacts

# Reserved for documentation (RFC 5737, RFC 3849): there is a way to them if there is one to anywhere.
_SOMEWHERE_IPV4 = "192.0.2.1"
_SOMEWHERE_IPV6 = "2001:db8::1"


def look_at_network() -> NetworkFacts:
    """Which families have an address and a way out."""
    addresses = host_addresses(loopback_only=False)
    return NetworkFacts(
        ipv4_address=any(":" not in address for address in addresses),
        ipv4_route=source_for(_SOMEWHERE_IPV4, socket.AF_INET) is not None,
        ipv6_address=any(":" in address and is_global(address) for address in addresses),
        ipv6_route=source_for(_SOMEWHERE_IPV6, socket.AF_INET6) is not None,
    )


def is_global(address: str) -> bool:
    """Whether an IPv6 address is meant to be used beyond one's own network."""
    parsed = ipaddress.IPv6Address(address)
    return not parsed.is_link_local and parsed not in ipaddress.IPv6Network("fc00::/7")
