"""What the operator decides about several nodes: the `[cluster]` table of the configuration file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from msgspec import Struct

DEFAULT_PORT: Final = 4222

_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")


class NatsPlace(Struct, frozen=True):
    """Where a NATS server is.

    Args:
        host, port: of it.
        tls: whether nothing is said to it without TLS.
    """

    host: str
    port: int
    tls: bool

    @classmethod
    def parse(cls, url: str) -> NatsPlace:
        """Read tls://HOST[:PORT], or nats://HOST[:PORT] on a loopback address.

        Raises:
            ValueError: it is neither, or holds a user or a password; a sentence for the operator without the latter.
        """
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            host = port = None
            parts = urlsplit("")
        if parts.username is not None or parts.password is not None:
            raise ValueError(
                "cluster.nats holds a user, a password or a token, which copies of this file would show: put it into a "
                "private file and name that as cluster.credentials_file."
            )
        if parts.scheme not in ("tls", "nats") or not host or port == 0 or parts.path.strip("/") or parts.query:
            raise ValueError(f"cluster.nats: {url!r} is no NATS server: write tls://HOST:PORT.")
        if parts.scheme == "nats" and not _is_loopback(host):
            raise ValueError(
                f"cluster.nats: {url!r} would send this node's credentials in clear: write tls://{host}, and give that "
                "NATS server a certificate; nats:// is for loopback addresses."
            )
        return cls(host, port or DEFAULT_PORT, parts.scheme == "tls")

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class ClusterSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Several servers as one; they share a PostgreSQL database and a NATS server.

    Args:
        nats: URLs of the NATS servers, any one of which will do: tls://HOST:PORT, or nats://HOST:PORT on a loopback
            address; this server is alone when empty.
        secret_file: the file with the secret that all nodes share and that seals what goes between them, readable by
            the server alone; `init --nats` makes it.
        credentials_file: the file with who this node is to NATS, readable by the server alone, one line: USER:PASSWORD
            or a token; none when empty.
        ca_file: PEM file with the authority behind the certificates of the NATS servers; those that this machine
            knows when empty.
        prefix: the first word of all subjects that are used in NATS.
    """

    nats: tuple[str, ...] = ()
    secret_file: str = ""
    credentials_file: str = ""
    ca_file: str = ""
    prefix: str = "entrenous"

    def check(self) -> None:
        """Check what the types cannot.

        Raises:
            ValueError: a sentence for the operator.
        """
        for _ in self.places():
            pass
        if not _TOKEN.fullmatch(self.prefix):
            raise ValueError("cluster.prefix must be 1 to 64 letters, digits, - and _.")
        if self.nats and not self.secret_file:
            raise ValueError(
                "cluster.secret_file is missing: the file with the secret that all nodes share. `init --nats` makes "
                "one; copy it to the other machines."
            )
        if not self.nats and (self.secret_file or self.credentials_file or self.ca_file):
            raise ValueError("cluster.nats is missing, and the other keys of [cluster] are of no use without it.")

    def places(self) -> Iterator[NatsPlace]:
        """Where the NATS servers are.

        Raises:
            ValueError: one of the URLs is none; a sentence for the operator.
        """
        return map(NatsPlace.parse, self.nats)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
