"""How much a connection, an account and a queue may take: token buckets and the bounds of the hub."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

Count = Annotated[int, Meta(ge=1)]
PerSecond = Annotated[float, Meta(gt=0.0, le=1e9)]
Burst = Annotated[float, Meta(ge=1.0, le=1e9)]
"""More than comes in; an infinite bucket would never be known to be full."""


class Rate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A sustained rate with a burst.

    Args:
        per_second: tokens that come back each second.
        burst: tokens that a rested bucket holds.
    """

    per_second: PerSecond
    burst: Burst


class TokenBucket:
    """Takes one token an event; a full bucket holds `Rate.burst` of them."""

    __slots__ = ("_burst", "_filled_at", "_per_second", "_tokens")

    def __init__(self, rate: Rate, now: float) -> None:
        self._per_second = rate.per_second
        self._burst = rate.burst
        self._tokens = rate.burst
        self._filled_at = now

    def take(self, now: float) -> float:
        """Take a token if there is one.

        Returns:
            0.0 when it was taken; otherwise nothing was taken, and so many seconds pass until there is one.
        """
        tokens = self._tokens  # as `_fill` does it, which would take as long again
        if now > self._filled_at:
            tokens += (now - self._filled_at) * self._per_second
            self._filled_at = now
            if tokens > self._burst:
                tokens = self._burst
        if tokens < 1.0:
            self._tokens = tokens
            return (1.0 - tokens) / self._per_second
        self._tokens = tokens - 1.0
        return 0.0

    def charge(self, tokens: float, now: float) -> None:
        """Take so many tokens, there or not: what is owed, up to a burst, has to come back first."""
        self._fill(now)
        self._tokens = max(-self._burst, self._tokens - tokens)

    def wait(self, now: float) -> float:
        """The seconds until there is a token: 0.0 when there is one, which stays where it is."""
        self._fill(now)
        return 0.0 if self._tokens >= 1.0 else (1.0 - self._tokens) / self._per_second

    def is_full(self, now: float) -> bool:
        """Whether it is like a new one."""
        self._fill(now)
        return self._tokens >= self._burst

    def _fill(self, now: float) -> None:
        if now > self._filled_at:
            self._tokens = min(self._burst, self._tokens + (now - self._filled_at) * self._per_second)
            self._filled_at = now


class Bounds(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The bounds of the hub; the defaults suit people who call each other. The operator may set each of them.

    Args:
        connection_rate: frames from one connection.
        account_rate: frames from all devices of one account together.
        directory_rate: what all devices of one account together look up and publish: it costs signature checks and the
            store, and finds out who is registered.
        relay_rate: relay credentials for all devices of one account together: each set is good for as many allocations
            as the relay's `user-quota` says, so this is what bounds an account's share of the relay.
        registration_rate: registrations from everybody together.
        connecting_rate: connections from everybody together; who comes above it is told when to come again.
        address_connection_rate: connections from one network address: an IPv4 address, or the /64 of an IPv6 one. One
            that is closed for what was said on it counts as twenty.
        address_connections: connections from one network address at a time.
        address_registration_rate: registrations from one network address.
        address_login_failures: logins and registrations from one network address that fail because a name, a signature
            or an invite is wrong; above it, none is looked at.
        limit_loopback: whether loopback addresses have these limits too; proxies on the same machine are told by
            `trusted_proxies`.
        refusals: frames over the limits, one after the other, after which a connection is closed.
        queue_messages, queue_bytes: what may wait for one device; bytes are those of the sealed bodies.
        sender_messages: how many of them may come from one account.
        window_bytes: bodies said to a device and not acknowledged yet; more of them wait in its queue. Nodes gather
            acknowledgements of less than 32 KiB for 20 ms (`ACK_BYTES`): below 80 KiB, which is that and the largest
            body, a window that is full may wait for that.
        remembered: message ids remembered per sending device, so that what it says again is routed once and it is
            told of each what became of it; of older ones a repetition is delivered again and dropped by its receiver.
            Nodes hold 256 at most that they were told nothing of.
        open_records: calls that the devices of one account have accepted and that have not ended.
        held_devices: devices that are not back yet after a start of the server, and for which messages are held.
    """

    connection_rate: Rate = Rate(per_second=100.0, burst=300.0)
    account_rate: Rate = Rate(per_second=200.0, burst=600.0)
    directory_rate: Rate = Rate(per_second=10.0, burst=50.0)
    relay_rate: Rate = Rate(per_second=0.2, burst=60.0)
    registration_rate: Rate = Rate(per_second=20.0, burst=100.0)
    connecting_rate: Rate = Rate(per_second=1000.0, burst=5000.0)
    address_connection_rate: Rate = Rate(per_second=10.0, burst=200.0)
    address_connections: Count = 512
    address_registration_rate: Rate = Rate(per_second=0.1, burst=30.0)
    address_login_failures: Rate = Rate(per_second=0.2, burst=50.0)
    limit_loopback: bool = False
    refusals: Count = 200
    queue_messages: Count = 512
    queue_bytes: Count = 4 * 1024 * 1024
    sender_messages: Count = 256
    window_bytes: Count = 128 * 1024
    remembered: Count = 256
    open_records: Count = 128
    held_devices: Count = 10_000


class MessageBounds(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much is stored for devices that are not there; the operator may set each of them.

    Args:
        per_receiver: messages that may wait for one device.
        bytes_per_receiver: of their sealed bodies together.
        per_sender: how many of them may come from one account.
    """

    per_receiver: Count = 500
    bytes_per_receiver: Count = 8 * 1024 * 1024
    per_sender: Count = 50
