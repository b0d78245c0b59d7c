"""Renders a hardened coturn 4.6.1 configuration, and the firewall rules that belong to it.

Each directive stands under its reason: a comment behind a value would become part of the value. What coturn does with
each was read in its source of that version and is tested against the installed one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Network, IPv6Address, IPv6Network, collapse_addresses, ip_network
from typing import Final

from .turn_settings import TurnSettings, peer_ranges

DENIED_IPV4: Final = (
    ("0.0.0.0/8", "this network"),
    ("10.0.0.0/8", "private"),
    ("100.64.0.0/10", "behind a carrier's NAT"),
    ("127.0.0.0/8", "loopback"),
    ("169.254.0.0/16", "link-local, and a cloud's metadata service"),
    ("172.16.0.0/12", "private"),
    ("192.0.0.0/24", "protocol assignments"),
    ("192.0.2.0/24", "documentation"),
    ("192.88.99.0/24", "6to4 relays"),
    ("192.168.0.0/16", "private"),
    ("198.18.0.0/15", "benchmarks"),
    ("198.51.100.0/24", "documentation"),
    ("203.0.113.0/24", "documentation"),
    ("224.0.0.0/4", "multicast"),
    ("240.0.0.0/4", "reserved, and broadcast"),
)
"""What no caller on the internet has as an address (IANA's special-purpose registry), with its name there."""

DENIED_IPV6: Final = (
    ("2001::/23", "Teredo, ORCHID and other assignments that hide another address"),
    ("2001:db8::/32", "documentation"),
    ("2002::/16", "6to4, with any IPv4 address inside"),
    ("3fff::/20", "documentation"),
    ("4000::/2", "not the global unicast block"),
    ("8000::/1", "not the global unicast block: unique local, link-local, site-local and multicast are in it"),
)
"""The same for IPv6 above 1fff::; what lies below is `_below_global_unicast`."""

SECRETS_LEFT_OUT: Final = "# (static-auth-secret is left out here: --out FILE writes it.)"
"""Stands where the secrets would be in what is shown rather than written."""

_REFUSED_MARK: Final = "0x656e7472"
"""Marks a relayed packet between the two firewall chains; any number that nobody else uses."""

_HEADER: Final = """\
# coturn 4.6.1, hardened; made by `entrenous-signaling turn-config`: change the settings and make it again.
# The line above a directive is its reason. (A comment behind a value would become part of the value.)
"""


def render(turn: TurnSettings, secrets: Sequence[str] = ()) -> str:
    """Write a whole turnserver.conf.

    Args:
        turn: the operator's settings.
        secrets: what credentials may be made with, all accepted alike; without any, coturn refuses everybody, and a
            comment stands in their place.

    Raises:
        ValueError: the settings cannot make a relay; the message is a sentence for the operator.
    """
    turn.check_for_relay()
    sections = (
        ("where it listens", _listening(turn)),
        ("who may use it", _authentication(turn, secrets)),
        ("where it relays to", _peers(turn)),
        ("callers that move", _mobility(turn)),
        ("how much", _quotas(turn)),
        ("TLS", _tls(turn)),
        ("what it tells about itself", _silence()),
        ("what it writes down", _records()),
        ("the process", _process(turn)),
    )
    parts = [_HEADER]
    for title, lines in sections:
        parts.append(f"\n# --- {title} {'-' * (92 - len(title))}\n")
        parts.extend(f"{line}\n" for line in lines)
    return "".join(parts)


def _listening(turn: TurnSettings) -> Iterator[str]:
    endpoints = turn.endpoints()
    yield "# Named, because the default is every interface, inner networks too."
    yield from (f"listening-ip={own}" for own, _ in endpoints)
    yield "# Relayed addresses are of the same machine, never of an inner network."
    yield from (f"relay-ip={own}" for own, _ in endpoints)
    translated = [(own, public) for own, public in endpoints if own != public]
    if translated:
        yield "# Behind a one-to-one translation: what the world sees / what this machine has. Clients are told the"
        yield "# first; when they name it as a peer, coturn uses the second, and allows it."
        yield from (f"external-ip={public}/{own}" for own, public in translated)
    yield "# STUN and TURN over UDP, and TURN over TCP where UDP is blocked."
    yield f"listening-port={turn.port}"
    if turn.tls_cert:
        yield "# TURN over TLS, where firewalls let only web traffic through."
        yield f"tls-listening-port={turn.tls_port}"
    yield "# The first of the relay ports, to be opened in the firewall for UDP ..."
    yield f"min-port={turn.min_port}"
    yield "# ... and the last one."
    yield f"max-port={turn.max_port}"


def _authentication(turn: TurnSettings, secrets: Sequence[str]) -> Iterator[str]:
    yield "# Named in the challenge that a client answers."
    yield f"realm={turn.challenge_realm}"
    yield '# User "expiry:random", password base64(HMAC-SHA1(secret, user)): no table of users.'
    yield "use-auth-secret"
    yield "# Shared with the signaling server only; two of them during a change-over."
    if secrets:
        yield from (f"static-auth-secret={secret}" for secret in secrets)
    else:
        yield SECRETS_LEFT_OUT
    yield "# A nonce is good for ten minutes: a captured request is worthless after that."
    yield "stale-nonce=600"
    yield "# No secrets from a database: this file alone rules."
    yield "no-auth-pings"
    yield "# No lists of peers from there either."
    yield "no-dynamic-ip-list"
    yield "# Nor realms with quotas of their own."
    yield "no-dynamic-realms"


def _peers(turn: TurnSettings) -> Iterator[str]:
    yield "# Calls need UDP relays only; TCP ones (RFC 6062) are a port scanner's tool."
    yield "no-tcp-relay"
    yield "# Never to 224.0.0.0 and above, nor to ff00::/8."
    yield "no-multicast-peers"
    yield "# Two callers who both need a relay meet at its own address, so that is allowed whatever range it is in."
    yield "# (The other services of this machine are guarded by the rules of `turn-config --nftables`.)"
    yield from (f"allowed-peer-ip={public}" for _, public in turn.endpoints())
    if turn.allowed_peers:
        yield "# Allowed by the operator, before everything that is denied."
        yield from _ranges("allowed", turn.allowed_peers)
    if turn.denied_peers:
        yield "# Denied by the operator."
        yield from _ranges("denied", turn.denied_peers)
    for network, reason in (*DENIED_IPV4, *DENIED_IPV6):
        yield f"# {network}: {reason}."
        yield from _ranges("denied", [network])
    yield "# ::/3 is not the global unicast block: loopback, IPv4-mapped, IPv4-compatible and NAT64 addresses are in"
    yield "# it. In sixteen ranges: one that begins at :: would hold every IPv4 address, and coturn 4.6.1 compares byte"
    yield "# by byte, so that each byte needs a range in which it is not zero."
    yield from (f"denied-peer-ip={first}-1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff" for first in _below_global_unicast())


def _below_global_unicast() -> Iterator[str]:
    """First addresses of ranges up to 1fff:ffff:… that hold ::/3 without ::, by any order of IPv6 addresses.

    An address of ::/3 that is not :: has a byte that is not zero. With that byte as 1 and all others as 0, the first
    address is not above it both in the order of numbers and byte by byte.
    """
    for byte in range(16):
        yield str(IPv6Address(1 << 8 * byte))


def _ranges(kind: str, networks: Sequence[str]) -> Iterator[str]:
    for first, last in peer_ranges(networks):
        yield f"{kind}-peer-ip={first}" if first == last else f"{kind}-peer-ip={first}-{last}"


def _mobility(turn: TurnSettings) -> Iterator[str]:
    if not turn.mobility:
        yield "# `mobility` stays unset: a caller whose address changes needs another relayed address."
        return
    yield "# A caller whose address changes takes the allocation along with a ticket (RFC 8016): the relayed address is"
    yield "# the same, the other caller need not be told, and sound is back sooner. A ticket moves nothing without"
    yield "# credentials of this relay. In 4.6.1 an answer to one is only whole with no-software-attribute, below, and"
    yield "# who asked for a ticket over TCP and hangs up holds the allocation for its lifetime, outside of user-quota."
    yield "mobility"


def _quotas(turn: TurnSettings) -> Iterator[str]:
    yield "# Allocations at a time for one set of credentials: one for each address and transport that a call tries,"
    yield "# and what earlier networks of the caller left behind. The signaling server bounds how many sets it gives."
    yield f"user-quota={turn.user_quota}"
    yield "# For everybody together; never above the number of relay ports."
    yield f"total-quota={turn.total_quota}"
    if turn.session_bytes_per_second:
        yield "# BYTES a second, each way, for one allocation: a call with video."
        yield f"max-bps={turn.session_bytes_per_second}"
    if turn.total_bytes_per_second:
        yield "# BYTES a second for all. Each allocation claims max-bps of it at once, used or not; when too little is"
        yield "# left it is refused."
        yield f"bps-capacity={turn.total_bytes_per_second}"
    yield "# What a client left without a word is gone after ten minutes, the least that RFC 8656 permits."
    yield "max-allocate-lifetime=600"
    yield "# A connection that never allocates is dropped after 20 s instead of 60."
    yield "max-allocate-timeout=20"


def _tls(turn: TurnSettings) -> Iterator[str]:
    yield "# TURN over DTLS is used by nobody here: less to attack."
    yield "no-dtls"
    if not turn.tls_cert:
        yield "# No certificate was given, so callers behind a firewall for web traffic only cannot use this relay."
        yield "no-tls"
        return
    yield "# The certificate chain; it names the host that clients are given. SIGUSR2 reads both files again."
    yield f"cert={turn.tls_cert}"
    yield "# Its key, readable by the relay's user and nobody else."
    yield f"pkey={turn.tls_key}"
    yield "# Broken since long."
    yield "no-tlsv1"
    yield "# Broken as well; what is left is TLS 1.2, as this version of coturn speaks no 1.3."
    yield "no-tlsv1_1"
    yield "# Forward secrecy, authenticated encryption."
    yield 'cipher-list="ECDHE+AESGCM:ECDHE+CHACHA20"'


def _silence() -> Iterator[str]:
    yield "# No version to strangers."
    yield "no-software-attribute"
    yield "# No NAT discovery: it lets strangers choose where answers go."
    yield "no-rfc5780"
    yield "# No old STUN with its second copy of the address: small answers amplify nothing."
    yield "no-stun-backward-compatibility"
    yield "# Another attribute that nobody reads."
    yield "response-origin-only-with-rfc5780"
    yield "# No console: it lists sessions with their addresses. (web-admin, prometheus and redis-statsdb stay unset.)"
    yield "no-cli"


def _records() -> Iterator[str]:
    yield "# Nowhere: even the plain log has refused peers (the other caller's home network) and refused user names."
    yield "# verbose, Verbose, log-binding and syslog stay unset: they write the addresses of clients."
    yield "log-file=/dev/null"
    yield "# Nor to standard output, which ends up in a journal."
    yield "no-stdout-log"
    yield "# The log's name as it stands, with no number and date behind it."
    yield "simple-log"
    yield "# coturn always opens a database, which nothing here uses: in memory, so that there is no file."
    yield "userdb=:memory:"
    yield "# systemd knows the process; no file is needed."
    yield 'pidfile=""'


def _process(turn: TurnSettings) -> Iterator[str]:
    yield "# When started as root: no longer root once the ports are open."
    yield f"proc-user={turn.user}"
    yield "# Nor of root's group."
    yield f"proc-group={turn.user}"


def render_firewall(turn: TurnSettings) -> str:
    """Write the nftables rules that belong to the relay's machine.

    A permission of TURN is for an address and all its ports, and what the relay sends to its own machine arrives there
    over `lo`, past the rules for what comes from outside. So what is relayed is limited where it leaves.

    Raises:
        ValueError: the settings cannot make a relay; the message is a sentence for the operator.
    """
    turn.check_for_relay()
    ports = f"{turn.min_port}-{turn.max_port}"
    own = [str(address) for pair in turn.endpoints() for address in pair]
    denied = [network for network, _ in (*DENIED_IPV4, *DENIED_IPV6)]
    lines = (
        "# nftables rules for the relay's machine; made by `entrenous-signaling turn-config --nftables`.",
        "# They limit what is relayed and nothing else: they replace no firewall.",
        "table inet entrenous_turn",
        "delete table inet entrenous_turn",
        "table inet entrenous_turn {",
        "    chain relayed {",
        "        type filter hook output priority filter; policy accept;",
        "        # Everything but the datagrams that the relay sends to peers.",
        f'        meta skuid != "{turn.user}" accept',
        "        meta l4proto != udp accept",
        f"        udp sport != {ports} accept",
        "        # On this machine a relayed address may be reached, where the other caller is, and no service. What",
        "        # is for a service is dropped where it arrives: an error on sending would end the allocation that it",
        "        # came from, and a caller at the relay's own site can have a candidate that looks so.",
        f"        fib daddr type local udp dport != {ports} meta mark set {_REFUSED_MARK} accept",
        *(f"        {match} accept" for match in _matches([*own, *turn.allowed_peers])),
        "        # A second bar beside denied-peer-ip.",
        *(f"        {match} counter drop" for match in _matches([*denied, "::/3", *turn.denied_peers])),
        "    }",
        "    chain arriving {",
        "        type filter hook input priority filter - 1; policy accept;",
        f'        iif "lo" meta mark {_REFUSED_MARK} counter drop',
        "    }",
        "}",
    )
    return "".join(f"{line}\n" for line in lines)


def _matches(networks: Sequence[str]) -> Iterator[str]:
    """nftables expressions for a destination in one of the networks."""
    known = [ip_network(text) for text in networks]
    ipv4 = collapse_addresses(network for network in known if isinstance(network, IPv4Network))
    ipv6 = collapse_addresses(network for network in known if isinstance(network, IPv6Network))
    for family, members in (("ip", list(ipv4)), ("ip6", list(ipv6))):
        if members:
            yield f"{family} daddr {{ {', '.join(str(member) for member in members)} }}"
