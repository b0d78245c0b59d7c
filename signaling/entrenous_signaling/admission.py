"""Who is let in, and when who is not may come again.

All who are turned away in one moment would come again in one moment, so each is told another time: the seconds that it
takes at least, and up to SPREAD_SECONDS more by lot. Nodes add to it by lot once more.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Final

from .addresses import Addresses, Origin
from .limits import Bounds, TokenBucket
from .meters import UpgradeRefusal
from .proxies import TrustedProxies

RETRY_SECONDS: Final = 5.0
"""When a node may come again at the earliest that found the server full; or, after the drain, going down."""

SPARE_SOCKETS: Final = 1000
"""TCP connections beside those of nodes: handshakes, pages and refusals."""

SPREAD_SECONDS: Final = 15
"""Over how many seconds those who are turned away in one moment are told to come again. In a drain over as many as that
takes, if those are fewer: nodes come back no faster than they were sent away."""


class TurnedAway(Exception):  # noqa: N818 - names the event
    """A connection is not let in.

    Args:
        reason: why.
        retry_after: whole seconds.
    """

    def __init__(self, reason: UpgradeRefusal, retry_after: int) -> None:
        super().__init__(reason.value)
        self.reason = reason
        self.retry_after = retry_after


class Admission:
    """Decides over each connection before it costs anything.

    Args:
        bounds: the rates.
        max_connections: nodes connected at a time.
        proxies: whose word about a client's address is taken.
        key: random bytes for the hashes of addresses (`addresses.KEY_BYTES`).
        draw: returns a number in [0, 1).
        now: Unix seconds.
    """

    def __init__(
        self,
        bounds: Bounds,
        max_connections: int,
        *,
        proxies: TrustedProxies,
        key: bytes,
        draw: Callable[[], float],
        now: float,
    ) -> None:
        self.frame_rate: Final = bounds.connection_rate
        """What a connection that is let in may say."""
        self._max_connections = max_connections
        self._proxies = proxies
        self._addresses = Addresses(bounds, proxies, key, now)
        self._arrivals = TokenBucket(bounds.connecting_rate, now)
        self._draw = draw
        self._drained_at: float | None = None
        self._drain_spread = 0

    @property
    def is_draining(self) -> bool:
        """Whether nobody is let in any more."""
        return self._drained_at is not None

    def start_draining(self, seconds: float, now: float) -> None:
        """Let nobody in any more.

        Args:
            seconds: over how many nodes are sent away; then the server comes back.
            now: Unix seconds.
        """
        self._drained_at = now + seconds
        self._drain_spread = min(SPREAD_SECONDS, math.ceil(seconds))

    def has_place(self, connections: int) -> bool:
        """Whether there is place for one more beside so many."""
        return self._drained_at is None and connections < self._max_connections

    def open_socket(self, peer: str, sockets: int, now: float) -> Origin | None:
        """Let a TCP connection be opened, before it has said anything.

        Args:
            peer: the address at its other end; empty for a Unix socket.
            sockets: how many there are.
            now: Unix seconds.

        Returns:
            where it comes from, to be told when it is closed; None when that is not limited.

        Raises:
            TurnedAway: it is to be cut off.
        """
        if sockets >= self._max_connections + SPARE_SOCKETS:
            raise self._turned_away(UpgradeRefusal.FULL, RETRY_SECONDS)
        origin = self._addresses.find(self._proxies.client(peer, ()), now)
        if origin is not None and not origin.open_socket(now):
            raise self._turned_away(UpgradeRefusal.ADDRESS, RETRY_SECONDS)
        return origin

    def admit(self, peer: str, forwarded_for: Iterable[str], connections: int, now: float) -> Origin | None:
        """Let a connection in.

        Args:
            peer: the address at its other end; empty for a Unix socket.
            forwarded_for: the values of its `X-Forwarded-For` headers, in their order.
            connections: how many there are.
            now: Unix seconds.

        Returns:
            where it comes from, to be told when it ends; None when that is not limited.

        Raises:
            TurnedAway: it is not let in, and nothing was taken.
        """
        if self._drained_at is not None:
            wait = max(0.0, self._drained_at - now) + RETRY_SECONDS
            raise self._turned_away(UpgradeRefusal.DRAINING, wait, self._drain_spread)
        if connections >= self._max_connections:
            raise self._turned_away(UpgradeRefusal.FULL, RETRY_SECONDS)
        origin = self._addresses.find(self._proxies.client(peer, forwarded_for), now)
        wait = 0.0 if origin is None else origin.connect(now)
        if wait > 0.0:
            raise self._turned_away(UpgradeRefusal.ADDRESS, wait)
        wait = self._arrivals.take(now)
        if wait > 0.0:
            if origin is not None:
                origin.disconnect()
            raise self._turned_away(UpgradeRefusal.CROWD, wait)
        return origin

    def _turned_away(self, reason: UpgradeRefusal, at_least: float, spread: int = SPREAD_SECONDS) -> TurnedAway:
        return TurnedAway(reason, math.ceil(at_least) + math.floor(self._draw() * (spread + 1)))
