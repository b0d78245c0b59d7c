"""Telling the service manager how the server does (sd_notify(3)): one datagram each to the socket that it named."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Mapping
from enum import Enum
from typing import Final

_MICROSECONDS: Final = 1_000_000


class ServiceState(Enum):
    """What can be said."""

    READY = "READY=1"
    STOPPING = "STOPPING=1"
    WATCHDOG = "WATCHDOG=1"
    """The loop goes round; when this stops coming, the manager restarts the server."""


class Notifier:
    """Says how the server does, when somebody wants to know.

    Args:
        environment: where NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID are looked for.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self.watchdog_seconds = _watchdog(environment) if address else None
        """How often WATCHDOG is expected at least, in seconds; None: not at all."""

    def tell(self, state: ServiceState) -> None:
        """Send one datagram; a manager that does not listen is none of our business."""
        if not self._address:
            return
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            sender.sendto(state.value.encode(), self._address)


def _watchdog(environment: Mapping[str, str]) -> float | None:
    text = environment.get("WATCHDOG_USEC", "")
    meant = environment.get("WATCHDOG_PID", str(os.getpid()))
    if not text.isdecimal() or int(text) == 0 or meant != str(os.getpid()):
        return None
    return int(text) / _MICROSECONDS
