"""What comes from one network address: how often it may connect, register and fail to log in.

An IPv4 address counts as one; of an IPv6 address the /64, since whoever has one address there has all of them.
Addresses are in memory only, and there as keyed hashes: no log, metric or dump of the process holds one from here.

The table is bounded. Whoever is like new is forgotten first, then who was here longest ago; never one that has
connections or is over a limit, or flooding the table would wipe out what it knows. While no place can be made, all
newcomers share one.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from ipaddress import IPv4Address
from typing import Final

from .limits import Bounds, Rate, TokenBucket
from .proxies import IPAddress, TrustedProxies

CAPACITY: Final = 32_768
"""Addresses that are remembered at a time, of about half a kilobyte each."""

KEY_BYTES: Final = 32
"""The key of the hashes, drawn at each start."""

BUSY_SECONDS: Final = 10.0
"""When an address may try again that has as many connections as it may have."""

SPARE_SOCKETS: Final = 64
"""TCP connections from one address beside those that became WebSockets: handshakes, pages and refusals."""

ANSWERS: Final = Rate(per_second=2.0, burst=20.0)
"""Refusals that one address is told; whoever comes more often than that does not listen, and is only cut off."""

OFFENCE_ARRIVALS: Final = 20.0
"""Connections that one counts for which is closed for what was said on it: coming again would be a way to a full
bucket of frames."""

_LOOKED_AT: Final = 8
"""How many are looked at to make place for one: the time that it takes is bounded as well."""

_HASH_BYTES: Final = 12


class Origin:
    """What may still come from one address.

    Args:
        bounds: the rates.
        now: Unix seconds.
    """

    __slots__ = ("_answers", "_arrivals", "_bounds", "_connections", "_failures", "_registrations", "_sockets")

    def __init__(self, bounds: Bounds, now: float) -> None:
        self._bounds = bounds
        self._sockets = 0
        self._connections = 0
        self._answers = TokenBucket(ANSWERS, now)
        self._arrivals = TokenBucket(bounds.address_connection_rate, now)
        self._registrations = TokenBucket(bounds.address_registration_rate, now)
        self._failures = TokenBucket(bounds.address_login_failures, now)

    def open_socket(self, now: float) -> bool:
        """Take a TCP connection, to be given back with `close_socket`; False when it may have none, not even to be told
        why.
        """
        if self._sockets >= self._bounds.address_connections + SPARE_SOCKETS or self._answers.wait(now) > 0.0:
            return False
        self._sockets += 1
        return True

    def close_socket(self) -> None:
        """A TCP connection that was taken is gone."""
        self._sockets -= 1

    def connect(self, now: float) -> float:
        """Take a connection, to be given back with `disconnect`.

        Returns:
            0.0 when it may; otherwise nothing was taken, and it may be tried again after so many seconds.
        """
        wait = BUSY_SECONDS
        if self._connections < self._bounds.address_connections:
            wait = self._arrivals.take(now)
        if wait == 0.0:
            self._connections += 1
        else:
            self._answers.take(now)
        return wait

    def disconnect(self) -> None:
        """A connection that was taken is gone."""
        self._connections -= 1

    def register(self, now: float) -> float:
        """Take a registration; returns 0.0, or the seconds after which there is one."""
        return self._registrations.take(now)

    def may_log_in(self, now: float) -> float:
        """0.0 when a login or registration will be looked at, or the seconds after which it will."""
        return self._failures.wait(now)

    def failed_to_log_in(self, now: float) -> None:
        """A login or registration was wrong."""
        self._failures.take(now)

    def offended(self, now: float) -> None:
        """A connection was closed since it did not keep to its limits: it has cost as much as many that do."""
        self._arrivals.charge(OFFENCE_ARRIVALS, now)

    def is_like_new(self, now: float) -> bool:
        """Whether forgetting it changes nothing."""
        return self._sockets == self._connections == 0 and all(bucket.is_full(now) for bucket in self._buckets())

    def is_limited(self, now: float) -> bool:
        """Whether it has connections, or is over a limit: then forgetting it would let it off."""
        there = self._sockets > 0 or self._connections > 0
        return there or any(bucket.wait(now) > 0.0 for bucket in self._buckets())

    def _buckets(self) -> tuple[TokenBucket, ...]:
        return self._answers, self._arrivals, self._registrations, self._failures


class Addresses:
    """The addresses that are remembered.

    Args:
        bounds: the rates.
        proxies: those whose word is taken, and which are no client themselves.
        key: KEY_BYTES random bytes.
        now: Unix seconds.
        capacity: how many are remembered at a time.
    """

    def __init__(
        self, bounds: Bounds, proxies: TrustedProxies, key: bytes, now: float, capacity: int = CAPACITY
    ) -> None:
        self._bounds = bounds
        self._proxies = proxies
        self._key = key
        self._capacity = capacity
        self._origins: OrderedDict[bytes, Origin] = OrderedDict()  # who was here longest ago comes first
        self._shared = Origin(bounds, now)

    def __len__(self) -> int:
        return len(self._origins)

    def find(self, client: IPAddress | None, now: float) -> Origin | None:
        """What may still come from an address.

        Args:
            client: what `TrustedProxies.client` makes of a request.
            now: Unix seconds.

        Returns:
            None for those without limits: Unix sockets, trusted proxies themselves, and loopback unless it is limited.
        """
        if client is None or self._proxies.trusts(client) or (client.is_loopback and not self._bounds.limit_loopback):
            return None
        name = self._name(client)
        origin = self._origins.get(name)
        if origin is not None:
            self._origins.move_to_end(name)
            return origin
        if not self._make_place(now):
            return self._shared
        origin = self._origins[name] = Origin(self._bounds, now)
        return origin

    def _name(self, client: IPAddress) -> bytes:
        network = client.packed if isinstance(client, IPv4Address) else client.packed[:8]
        return hashlib.blake2b(network, digest_size=_HASH_BYTES, key=self._key).digest()

    def _make_place(self, now: float) -> bool:
        """Forget who is like new; when the table is full, also the first who is not limited. Returns if there is place.

        Who cannot be forgotten goes to the end, so that others are looked at next time.
        """
        for _ in range(min(_LOOKED_AT, len(self._origins))):
            name, origin = next(iter(self._origins.items()))
            full = len(self._origins) >= self._capacity
            if origin.is_like_new(now) or (full and not origin.is_limited(now)):
                del self._origins[name]
            elif full:
                self._origins.move_to_end(name)
            else:
                break
        return len(self._origins) < self._capacity
