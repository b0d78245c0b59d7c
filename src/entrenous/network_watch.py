"""Notices when an address, a route or a link of this machine comes, goes or changes.

On Linux the kernel tells it by netlink; elsewhere addresses are looked at once a second. Whoever is told must look
for himself what there is now: the news says only that it is worth looking.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
from collections.abc import Callable
from typing import Final

import ifaddr

from .netlink import GROUPS, NetworkState

log = logging.getLogger(__name__)

SETTLE_SECONDS: Final = 0.02
"""News that follow other news are told together after this: an address and its routes come as a handful."""

LONGEST_SETTLE: Final = 1.0
"""While news go on and on, as when an interface flaps, they are told this often and no more."""

POLL_SECONDS: Final = 1.0
"""How often addresses are looked at where the system does not tell of changes."""

_READ_BYTES = 64 * 1024

_DOCUMENTATION = ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1"))
"""Addresses that belong to nobody (RFC 5737, RFC 3849): asking for the route to them sends nothing."""


class NetworkWatch:
    """Tells when this machine's addresses, routes or links change.

    The first news are told at once; what follows within `SETTLE_SECONDS` is told together, and in a storm of news
    the pause doubles up to `LONGEST_SETTLE`.

    Args:
        on_change: told on the event loop, with no details.
    """

    def __init__(self, on_change: Callable[[], None]) -> None:
        self._on_change = on_change
        self._state = NetworkState()
        self._socket: socket.socket | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._poll: asyncio.TimerHandle | None = None
        self._seen: frozenset[str] = frozenset()
        self._pause = SETTLE_SECONDS
        self._more = False

    def start(self) -> None:
        """Watch from now on, on the running event loop; harmless when repeated."""
        if self._socket is not None or self._poll is not None:
            return
        try:
            self._listen()
        except (OSError, NotImplementedError) as error:
            log.info("the system does not tell of network changes: %s", type(error).__name__)
            self._seen = addresses()
            self._look_again()

    def stop(self) -> None:
        """Watch no more; nothing is told from here on. Harmless when repeated."""
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket.fileno())
            self._socket.close()
            self._socket = None
        for timer in (self._timer, self._poll):
            if timer is not None:
                timer.cancel()
        self._timer = self._poll = None

    # --- Linux ---

    def _listen(self) -> None:
        if sys.platform != "linux":
            raise NotImplementedError
        kernel = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
        try:
            kernel.setblocking(False)
            kernel.bind((0, GROUPS))
            asyncio.get_running_loop().add_reader(kernel.fileno(), self._read, kernel)
        except BaseException:
            kernel.close()
            raise
        self._socket = kernel

    def _read(self, kernel: socket.socket) -> None:
        changed = False
        while True:
            try:
                data = kernel.recv(_READ_BYTES)
            except BlockingIOError:
                break
            except OSError:
                self._state.forget()  # ENOBUFS: there was more news than the kernel keeps
                changed = True
                break
            changed |= self._state.take(data)
        if changed:
            self._news()

    # --- elsewhere ---

    def _look_again(self) -> None:
        self._poll = asyncio.get_running_loop().call_later(POLL_SECONDS, self._look_again)
        found = addresses()
        if found != self._seen:
            self._seen = found
            self._news()

    # --- telling ---

    def _news(self) -> None:
        if self._timer is not None:
            self._more = True
            return
        self._timer = asyncio.get_running_loop().call_later(self._pause, self._settled)
        self._on_change()

    def _settled(self) -> None:
        self._timer = None
        if not self._more:
            self._pause = SETTLE_SECONDS
            return
        self._more = False
        self._pause = min(2 * self._pause, LONGEST_SETTLE)
        self._news()


def addresses() -> frozenset[str]:
    """The IP addresses of this machine, and which of them it would use towards the rest of the world."""
    found = {str(ip.ip) for adapter in ifaddr.get_adapters() for ip in adapter.ips}
    for family, far_away in _DOCUMENTATION:
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.connect((far_away, 9))
                found.add(f"from {probe.getsockname()[0]}")
        except OSError:
            continue  # no route there, or no such family: that is an answer too
    return frozenset(found)
