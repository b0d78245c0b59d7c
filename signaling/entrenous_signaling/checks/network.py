"""The network: ports, and the server's name."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from ipaddress import ip_address

from entrenous_signaling.config import Listen, ServerConfig
from entrenous_signaling.listeners import ServeError, bind

from .certificate import host_of
from .findings import Finding, error, ok, warning
from .lookup import look_up


def check_ports(config: ServerConfig, *, running: bool) -> Iterator[Finding]:
    """Look whether the server can listen where it shall.

    Args:
        config: a checked configuration.
        running: whether a server with these settings runs now, which then holds the ports.
    """
    for key, text in (("listen", config.listen), ("admin_listen", config.admin_listen)):
        if not text:
            continue
        at = Listen.parse(text)
        try:
            bind(at).close()
        except ServeError as problem:
            if running:
                yield ok(key, f"The running server holds {at}.")
            elif 0 < at.port < 1024 and os.geteuid() != 0:
                yield warning(
                    key,
                    f"This user may not listen on port {at.port}.",
                    "The systemd unit lets the server do so (CAP_NET_BIND_SERVICE); look as root.",
                )
            else:
                yield error(key, str(problem), f"See who has it: ss -Hlntp 'sport = :{at.port}'")
        else:
            yield ok(key, f"{at} is free.")
    if config.admin_listen and _is_open(Listen.parse(config.admin_listen)):
        yield warning(
            "admin_listen",
            f"Whoever reaches this machine at {config.admin_listen} may read its metrics.",
            "Name a private address, or let a firewall keep others away.",
        )


def _is_open(at: Listen) -> bool:
    """Whether the world may reach what listens there."""
    return at.address is not None and (at.address.is_unspecified or at.address.is_global)


def check_name(config: ServerConfig) -> Finding:
    """Look whether the server's name leads anywhere."""
    host = host_of(config.public_name(Listen.parse(config.listen)))
    try:
        address = ip_address(host)
    except ValueError:
        pass
    else:
        return ok("name", f"{address} is an address and needs no look-up.")
    addresses = _addresses(host)
    if not addresses:
        return error(
            "name",
            f"{host} has no address that this machine can look up.",
            f"Make A and AAAA records of {host} that name this server's public addresses.",
        )
    return ok("name", f"{host} is {', '.join(addresses)}.")


def _addresses(host: str) -> list[str]:
    """The addresses of a host; none when the look-up fails or takes too long."""
    try:
        return sorted({address for address, _ in look_up(host, 0, socket.SOCK_STREAM)})
    except OSError:
        return []
