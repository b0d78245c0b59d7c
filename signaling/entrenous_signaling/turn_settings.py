"""What the operator decides about the relay: the `[turn]` table of the configuration file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Annotated, Final

from msgspec import Meta, Struct

Port = Annotated[int, Meta(ge=1, le=65535)]
Count = Annotated[int, Meta(ge=1)]
Bytes = Annotated[int, Meta(ge=0)]
IPAddress = IPv4Address | IPv6Address

_LABEL: Final = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_HOST_NAME: Final = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*")
_PATH: Final = re.compile(r"/[A-Za-z0-9._/@+-]{1,900}")
"""What survives coturn's parser: it ends a name at a blank and takes the rest of the line, quotes included."""


class TurnSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A relay (coturn) that works with this server; `serve` lends it, `turn-config` configures it.

    Args:
        host: its public name (or address), which its certificate names and nodes are given; no relay when empty.
        realm: named in its challenge; the host when empty.
        addresses: the addresses of the relay's machine to listen on and to relay from, IPv4 and IPv6.
        public_addresses: what the world sees of each of them, in the same order, where a provider translates
            addresses one to one; empty when they are public themselves.
        port: the port of STUN and TURN over UDP and TCP.
        tls_port: the port of TURN over TLS.
        tls_cert, tls_key: PEM files, readable by the relay's own user, of the certificate chain and its key; without
            them there is no TLS.
        min_port, max_port: the ports of the relayed addresses; an allocation takes one.
        mobility: whether a caller whose address changes keeps the relayed one (RFC 8016).
        user_quota: allocations at a time for one set of credentials.
        total_quota: allocations at a time for everybody together.
        session_bytes_per_second: what one allocation may carry each way; 0 for no limit.
        total_bytes_per_second: what all together may claim, session_bytes_per_second each; 0 for no limit.
        allowed_peers: networks that may be relayed to although they are private or special.
        denied_peers: further networks that may not be relayed to.
        user: the user (and group) that the relay becomes once its ports are open.
    """

    host: str = ""
    realm: str = ""
    addresses: tuple[str, ...] = ()
    public_addresses: tuple[str, ...] = ()
    port: Port = 3478
    tls_port: Port = 443
    tls_cert: str = ""
    tls_key: str = ""
    min_port: Port = 49152
    max_port: Port = 51151
    mobility: bool = True
    user_quota: Count = 24
    total_quota: Count = 1500
    session_bytes_per_second: Bytes = 500_000
    total_bytes_per_second: Bytes = 0
    allowed_peers: tuple[str, ...] = ()
    denied_peers: tuple[str, ...] = ()
    user: str = "turnserver"

    @property
    def challenge_realm(self) -> str:
        """The realm, or the host in its place."""
        return self.realm or self.host.strip("[]")

    @property
    def urls(self) -> tuple[str, ...]:
        """The URLs (RFC 7065) of the relay, the cheapest to use first: UDP, TCP, TLS; none without a host."""
        if not self.host:
            return ()
        host = f"[{self.host}]" if ":" in self.host else self.host
        plain = tuple(f"turn:{host}:{self.port}?transport={transport}" for transport in ("udp", "tcp"))
        return (*plain, f"turns:{host}:{self.tls_port}?transport=tcp") if self.tls_cert else plain

    def endpoints(self) -> tuple[tuple[IPAddress, IPAddress], ...]:
        """Each address of the machine with the one that the world sees of it; both are the same without translation."""
        own = [ip_address(text) for text in self.addresses]
        public = [ip_address(text) for text in self.public_addresses] or own
        return tuple(zip(own, public, strict=True))

    def check(self) -> None:
        """Check what `serve` needs to lend the relay.

        Raises:
            ValueError: a sentence that names the key and says what to do.
        """
        if self.host and not _HOST_NAME.fullmatch(self.host) and not _is_address(self.host):
            raise ValueError(
                f"turn.host {self.host!r} is no host: write a lower-case name without port, such as turn.example.org."
            )
        if bool(self.tls_cert) != bool(self.tls_key):
            raise ValueError("turn.tls_cert and turn.tls_key go together: the certificate chain and its key, as PEM.")

    def check_for_relay(self) -> None:
        """Check all that a configuration of the relay is made of.

        Raises:
            ValueError: a sentence that names the key and says what to do.
        """
        self.check()
        if not self.host:
            raise ValueError(
                "turn.host is missing: the relay's public name, such as turn.example.org, in the [turn] table of the "
                "server's TOML file (see `init --relay`)."
            )
        if self.realm and not _HOST_NAME.fullmatch(self.realm):
            raise ValueError(
                f"turn.realm {self.realm!r} is not of the form of a host name; leave it out to use the host."
            )
        if not re.fullmatch(r"[a-z_][a-z0-9_-]{0,31}", self.user):
            raise ValueError(f"turn.user {self.user!r} is no name of a user.")
        for key, path in (("tls_cert", self.tls_cert), ("tls_key", self.tls_key)):
            if path and not _PATH.fullmatch(path):
                raise ValueError(
                    f"turn.{key} {path!r} must be an absolute path of letters, digits and ._/@+- only: coturn's "
                    "configuration knows no quoting for others."
                )
        self._check_addresses()
        self._check_ports()
        for key, networks in (("allowed_peers", self.allowed_peers), ("denied_peers", self.denied_peers)):
            _check_networks(key, networks)

    def _check_addresses(self) -> None:
        if not self.addresses:
            raise ValueError(
                "turn.addresses is missing: name the addresses of the relay's machine, such as "
                '["203.0.113.20", "2001:db8::20"]; without names coturn would serve every interface, inner ones too.'
            )
        for key, texts in (("addresses", self.addresses), ("public_addresses", self.public_addresses)):
            for text in texts:
                _check_own_address(key, text)
            if len(set(texts)) != len(texts):
                raise ValueError(f"turn.{key} names an address twice.")
        if self.public_addresses and [":" in text for text in self.addresses] != [
            ":" in text for text in self.public_addresses
        ]:
            raise ValueError(
                "turn.public_addresses must name one address for each of turn.addresses, in the same order and of the "
                "same kind; repeat those that are not translated."
            )

    def _check_ports(self) -> None:
        if self.min_port < 1024 or self.min_port > self.max_port:
            raise ValueError("turn.min_port must be at least 1024 and not above turn.max_port.")
        if self.port == self.tls_port:
            raise ValueError("turn.port and turn.tls_port must differ.")
        for key, port in (("port", self.port), ("tls_port", self.tls_port)):
            if self.min_port <= port <= self.max_port:
                raise ValueError(f"turn.{key} lies among the relay ports, turn.min_port to turn.max_port: move one.")
        ports = self.max_port - self.min_port + 1
        if self.total_quota > ports:
            raise ValueError(
                f"turn.total_quota must be at most the number of relay ports, {ports}: an allocation takes one."
            )
        if 0 < self.total_bytes_per_second < self.session_bytes_per_second:
            raise ValueError(
                "turn.total_bytes_per_second is below turn.session_bytes_per_second: nobody could allocate."
            )
        if self.total_bytes_per_second and not self.session_bytes_per_second:
            raise ValueError("turn.total_bytes_per_second needs turn.session_bytes_per_second: the share each claims.")


def peer_ranges(networks: Sequence[str]) -> Iterator[tuple[IPAddress, IPAddress]]:
    """The first and the last address of each network."""
    for text in networks:
        network = ip_network(text)
        yield network.network_address, network.broadcast_address


def _is_address(text: str) -> bool:
    try:
        return str(ip_address(text)) == text
    except ValueError:
        return False


def _check_own_address(key: str, text: str) -> None:
    if not _is_address(text):
        raise ValueError(f"turn.{key}: {text!r} is no IP address in its shortest form.")
    address = ip_address(text)
    if address.is_loopback or address.is_unspecified or address.is_multicast or address.is_link_local:
        raise ValueError(
            f"turn.{key}: {text} cannot be reached from other machines: name the address that clients connect to."
        )


def _check_networks(key: str, networks: Sequence[str]) -> None:
    for text in networks:
        try:
            network = ip_network(text)
        except ValueError:
            raise ValueError(
                f"turn.{key}: {text!r} is no network: write it like 10.20.0.0/16, without host bits."
            ) from None
        if network.prefixlen == 0:
            raise ValueError(f"turn.{key}: {text} is every address: name the networks that are meant.")
        if isinstance(network, IPv6Network) and int(network.network_address) >> 120 == 0:
            raise ValueError(f"turn.{key}: {text} holds loopback or IPv4 in another form, always denied: leave it out.")
        if key == "allowed_peers" and network.version == 4 and network.overlaps(ip_network("127.0.0.0/8")):
            raise ValueError(
                f"turn.{key}: {text} holds loopback addresses: nobody may reach the relay's machine there."
            )
