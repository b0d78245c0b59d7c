"""Ports for programs that have to be told theirs before they start."""

from __future__ import annotations

import random
import socket
from pathlib import Path
from typing import Final

_EPHEMERAL: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")
_LOWEST: Final = 10_000


def free_port() -> int:
    """A TCP port at which nobody listens, on any IPv4 address of this machine.

    It lies below those that the kernel gives to outgoing connections, one of which would otherwise take it before the
    program comes to listen there.
    """
    above = int(_EPHEMERAL.read_text().split()[0])
    while True:
        port = random.randrange(_LOWEST, above)
        try:
            with socket.create_server(("", port)):
                return port
        except OSError:
            continue
