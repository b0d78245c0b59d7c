"""Who can be called: `user@host[:port]`.

::

    bob@calls.example.org        bob@192.0.2.7:8443        bob@[2001:db8::7]:8443
    └┬┘ └───────┬───────┘
    user       host              the signaling server that knows the user; the port is 443 unless it says so
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Final

MAX_ADDRESS_LENGTH: Final = 320
"""The longest address, in characters."""

DEFAULT_PORT: Final = 443
"""The port of a host that names none."""

_USER: Final = re.compile(r"[a-z0-9._-]{1,64}")
_HOST: Final = re.compile(r"(?:\[(?P<ipv6>[0-9a-f:.]+)\]|(?P<name>[a-z0-9.-]{1,253}))(?::(?P<port>[1-9][0-9]{0,4}))?")
_LABEL: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


@dataclass(frozen=True, slots=True, order=True)
class Address:
    """An account at a signaling server; equal accounts at one spelling of a server are equal objects.

    Args:
        user: 1 to 64 characters of a-z, 0-9, dot, underscore and hyphen.
        host: a host name, an IPv4 address or a bracketed IPv6 address, in lower case, with `:port` unless the
            default port is meant.

    Raises:
        ValueError: one of them has another form; the message says which and what is allowed.
    """

    user: str
    host: str

    def __post_init__(self) -> None:
        if not is_username(self.user):
            raise ValueError(
                "A username has 1 to 64 characters, and only lower-case letters a-z, digits, dots, hyphens and "
                "underscores."
            )
        if self.host != canonical_host(self.host):
            raise ValueError("A host is written in lower case and an IPv6 address in its shortest form.")
        if len(self.user) + 1 + len(self.host) > MAX_ADDRESS_LENGTH:
            raise ValueError(f"An address has at most {MAX_ADDRESS_LENGTH} characters.")

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read `user@host[:port]`; the host may be in capitals and is stored in lower case.

        Raises:
            ValueError: `text` is no address; the message is a sentence for the person who typed it.
        """
        if len(text) > MAX_ADDRESS_LENGTH:
            raise ValueError(f"An address has at most {MAX_ADDRESS_LENGTH} characters.")
        user, at, host = text.partition("@")
        if not at:
            raise ValueError("An address is written user@host, for example bob@calls.example.org.")
        return cls(user, canonical_host(host))

    def __str__(self) -> str:
        return f"{self.user}@{self.host}"

    @property
    def hostname(self) -> str:
        """The host without its port, and an IPv6 address without its brackets."""
        return _split(self.host)[0].strip("[]")

    @property
    def port(self) -> int:
        """The TCP port of the host's signaling server."""
        return _split(self.host)[1] or DEFAULT_PORT


def is_username(text: str) -> bool:
    """Whether an account may have this name."""
    return _USER.fullmatch(text) is not None


def canonical_host(host: str) -> str:
    """Check `host[:port]` and return the one spelling under which it is stored.

    Raises:
        ValueError: it is neither a host name nor an IP address, or the port is none.
    """
    name, port = _split(host.lower())
    return name if port is None else f"{name}:{port}"


def _split(host: str) -> tuple[str, int | None]:
    """Take a lower-case host apart and check each part."""
    match = _HOST.fullmatch(host)
    if match is None:
        raise ValueError(
            "A host is a name such as calls.example.org, an IPv4 address, or an IPv6 address in brackets, "
            "and :port may follow."
        )
    port = int(match["port"]) if match["port"] else None
    if port is not None and port > 65535:
        raise ValueError("A port is a number from 1 to 65535.")
    if match["ipv6"] is not None:
        return f"[{_ipv6(match['ipv6'])}]", port
    name: str = match["name"]
    labels = name.split(".")
    if labels[-1].isdigit():  # a top-level domain never is a number: this is meant as an IPv4 address
        return _ipv4(name), port
    if not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError("Each part of a host name has 1 to 63 letters, digits and hyphens, and no hyphen at its ends.")
    return name, port


def _ipv4(text: str) -> str:
    try:
        return str(IPv4Address(text))
    except AddressValueError:
        raise ValueError("The host looks like an IPv4 address and is none.") from None


def _ipv6(text: str) -> str:
    try:
        return str(IPv6Address(text))
    except AddressValueError:
        raise ValueError("Between the brackets of the host there is no IPv6 address.") from None
