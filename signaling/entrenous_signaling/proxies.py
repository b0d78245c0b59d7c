"""Which address a request comes from when proxies stand in front.

Each proxy appends the address that it was called from to `X-Forwarded-For`. What stands there is anybody's claim unless
a trusted proxy wrote it: so the header is read from its end, as long as what was read so far are trusted proxies, and
not at all when the connection itself does not come from one.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from msgspec import Struct

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network


class TrustedProxies(Struct, frozen=True):
    """The proxies whose word is taken.

    Args:
        networks: where they are.
    """

    networks: tuple[IPNetwork, ...] = ()

    @classmethod
    def parse(cls, texts: Iterable[str]) -> TrustedProxies:
        """Read addresses and networks such as 127.0.0.1, ::1 and 10.20.0.0/16.

        Raises:
            ValueError: one is neither, or is every address; the message is a sentence for the operator.
        """
        networks = []
        for text in texts:
            try:
                network = ip_network(text)
            except ValueError:
                raise ValueError(
                    f"trusted_proxies: {text!r} is no address and no network: write it like 127.0.0.1 or 10.20.0.0/16."
                ) from None
            if network.prefixlen == 0:
                raise ValueError(f"trusted_proxies: {text} is every address: anybody could claim to be anywhere.")
            networks.append(network)
        return cls(tuple(networks))

    def client(self, peer: str, forwarded_for: Iterable[str]) -> IPAddress | None:
        """The address that the request comes from.

        Args:
            peer: the address at the other end of the connection, as the socket names it.
            forwarded_for: the values of the `X-Forwarded-For` headers, in their order.

        Returns:
            the nearest address that is no trusted proxy; the farthest proxy when there are only such, or when one of
            them forwarded something that is no address. None when the peer is no IP address (a Unix socket).
        """
        nearest = _address(peer)
        if nearest is None:
            return None
        claimed = [entry.strip() for value in forwarded_for for entry in value.split(",")]
        while claimed and self.trusts(nearest):
            before = _address(claimed.pop())
            if before is None:
                break
            nearest = before
        return nearest

    def trusts(self, address: IPAddress) -> bool:
        """Whether an address is one of the proxies."""
        return any(address in network for network in self.networks)


def _address(text: str) -> IPAddress | None:
    """An address as sockets and proxies write it: with a zone, in brackets, or IPv4 in the dress of IPv6."""
    try:
        address = ip_address(text.removeprefix("[").removesuffix("]").partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address
