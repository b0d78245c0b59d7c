"""What the routers of homes do: kinds of NAT and firewall, and the nftables rules that make them.

Two tricks are used throughout. Every set of rules works in a conntrack zone of its own: a new zone is a router that
has forgotten all its mappings, and nothing needs to be flushed. And the ports of a client may be shifted by a constant
before they are mapped: a cone NAT keeps a free port, so without it a forgotten mapping would come back just as it was.
"""

from __future__ import annotations

from enum import StrEnum


class Nat(StrEnum):
    """What the router of a home does to IPv4. IPv6 has no NAT; there each kind but NONE is a stateful firewall."""

    NONE = "none"
    """A public address, no NAT, no firewall."""
    FULL_CONE = "full-cone"
    """One mapping for all peers; anybody may send to a mapped port."""
    PORT_RESTRICTED = "port-restricted"
    """One mapping for all peers; only an address and port already sent to gets in."""
    SYMMETRIC = "symmetric"
    """A random mapping for each peer; only that peer gets in."""
    UDP_BLOCKED = "udp-blocked"
    """Port-restricted, but UDP is dropped both ways."""
    TCP_443 = "tcp-443"
    """Port-restricted, but everything except TCP to port 443 is dropped."""


def router_rules(nat: Nat, client: str, generation: int) -> str:
    """The nftables rules of a router between its devices `wan` and `lan`.

    Args:
        nat: its kind.
        client: the IPv4 address of the only client behind it; empty without IPv4.
        generation: another one than before means that all mappings are forgotten and come back as other ones.
    """
    if nat is Nat.NONE:
        return "flush ruleset\n"
    blocked = "meta l4proto udp drop" if nat is Nat.UDP_BLOCKED else ""
    allowed = "tcp dport 443" if nat is Nat.TCP_443 else ""
    # What comes unasked must not become an entry of conntrack: it would hold the port, and the packet of the client to
    # that peer would get another one, which is no cone any more. Hence the chain `unasked`.
    rules = f"""flush ruleset
table inet firewall {{
    chain zone {{ type filter hook prerouting priority raw; ct zone set {1 + generation % 60000}; }}
    chain unasked {{
        type filter hook input priority filter
        iifname "wan" ct state new,invalid drop
    }}
    chain through {{
        type filter hook forward priority filter; policy drop
        {blocked}
        ct state established,related accept
        ct status dnat accept
        iifname "lan" {allowed} accept
    }}
}}
"""
    return rules + _translation(nat, client, generation) if client else rules


def _translation(nat: Nat, client: str, generation: int) -> str:
    random = "fully-random" if nat is Nat.SYMMETRIC else ""
    rules = f"""table ip translation {{
    chain outgoing {{ type nat hook postrouting priority srcnat; oifname "wan" masquerade {random}; }}
}}
"""
    if key := generation * 0x9E5 % 0x1000:  # an odd factor: all keys come by turns, neighbours are far apart
        rules += f"""table ip shift {{
    chain outward {{
        type filter hook prerouting priority raw
        iifname "lan" udp sport set udp sport ^ {key}
        iifname "lan" tcp sport set tcp sport ^ {key}
    }}
    chain homeward {{
        type filter hook postrouting priority srcnat + 10
        oifname "lan" udp dport set udp dport ^ {key}
        oifname "lan" tcp dport set tcp dport ^ {key}
    }}
}}
"""
    if nat is Nat.FULL_CONE:
        rules += f"""table ip open {{
    set mapped {{ type inet_service; flags dynamic,timeout; timeout 2m; }}
    chain note {{ type filter hook postrouting priority filter; oifname "wan" update @mapped {{ udp sport }}; }}
    chain inward {{ type nat hook prerouting priority dstnat; iifname "wan" udp dport @mapped dnat to {client}; }}
}}
"""
    return rules
