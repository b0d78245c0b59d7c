"""Pairs of one of our addresses and one of the peer's, and what is known of each (pure, driven by `now`)."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from .stun import Address

CONSENT_LIFETIME = 30.0
"""Seconds after the last answered check for which a pair may be sent to (RFC 7675 §5.1)."""

LEG_LIFETIME = 40.0
"""Seconds after the last answered check after which the leg is given up.

More than consent lasts: from there on nothing but checks goes, as from a leg begun anew, and only over addresses that
the peer has named. A network that comes back after half a minute then finds a leg that needs no signaling server. A
regular check may have been answered up to three seconds before the network went.
"""

FIRST_PATIENCE = 0.4
"""Seconds that a check may take on a pair whose round trip is not known."""

MIN_PATIENCE, MAX_PATIENCE = 0.06, 2.0
"""Bounds of what is waited for an answer before a check counts as lost."""

_MOST_GROWTH = 2
"""Times the patience of before by which one answer may exceed the round trip: what took longer was held up somewhere,
by a radio that slept or a router that was not found yet, and says little of the next."""

_HELD_UP = 4
"""Times as fast an answer, after which it is clear that the ones before were held up."""

_MAX_OUTSTANDING = 64
_FIRST_HOLD, _MAX_HOLD = 2.0, 60.0
_FORGIVEN_AFTER = 60.0


@dataclass(eq=False, slots=True)
class Local:
    """A socket or TURN allocation of ours.

    Args:
        is_ipv6: whether it reaches IPv6 addresses.
        relayed: whether it is a TURN allocation.
        streamed: whether that is spoken to over TCP or TLS.
        preferred: whether the system would itself send from this address.
        priority: of its candidate (RFC 8445 §5.1.2).
        overhead: bytes that each datagram takes on the wire beyond its own, on its way to the peer or the relay.
    """

    is_ipv6: bool
    relayed: bool = False
    streamed: bool = False
    preferred: bool = False
    priority: int = 0
    overhead: int = 0
    is_up: bool = True
    """False while the network that it belongs to is away."""


@dataclass(eq=False, slots=True)
class Remote:
    """An address of the peer.

    Args:
        address: where it is.
        kind: `host`, `srflx`, `prflx` or `relay`.
        priority: what the peer says of it.
    """

    address: Address
    kind: str
    priority: int = 0
    named_at: float = float("-inf")
    """When it was last heard of, in monotonic seconds."""


@dataclass(eq=False, slots=True)
class Pair:
    """One way between the two ends, and what checks and media have told about it.

    All times are monotonic seconds.
    """

    local: Local
    remote: Remote
    next_check: float
    tries: int = 0
    """Checks sent since one was answered or the pair was looked at afresh."""
    triggered: bool = False
    """Whether the peer has just shown that it can reach us here."""
    broken: bool = False
    """Whether the system refused to send here."""
    answered_at: float = float("-inf")
    proven_by: float = float("-inf")
    """When the newest check that was answered had been sent."""
    streak: int = 0
    """Checks answered in a row."""
    heard_at: float = float("-inf")
    """The last authentic media packet."""
    left_at: float = float("-inf")
    """When it was moved away from because it failed."""
    held_until: float = float("-inf")
    """Before this it is not moved to for being better."""
    outstanding: deque[float] = field(default_factory=lambda: deque(maxlen=_MAX_OUTSTANDING))
    """When the checks were sent that no later answer has overtaken."""
    _smoothed: float | None = None
    _variation: float = 0.0
    _hold: float = _FIRST_HOLD

    @property
    def is_direct(self) -> bool:
        """Whether no TURN server is in between."""
        return not self.local.relayed and self.remote.kind != "relay"

    @property
    def rank(self) -> int:
        """How good a way it is if it works: direct before relayed, one relay before two, datagrams before streams."""
        relays = self.local.relayed + (self.remote.kind == "relay")
        return -4 * relays - 2 * self.local.streamed + self.local.preferred

    @property
    def priority(self) -> int:
        """Order of checks among equals."""
        return min(self.local.priority, self.remote.priority)

    @property
    def was_answered(self) -> bool:
        """Whether the peer has ever answered here."""
        return self.answered_at > float("-inf")

    @property
    def rtt(self) -> float | None:
        """The smoothed round trip in seconds, None when it is not known."""
        return self._smoothed

    @property
    def patience(self) -> float:
        """Seconds after which a check that was not answered counts as lost (RFC 6298 §2, less moved by outliers)."""
        if self._smoothed is None:
            return FIRST_PATIENCE
        return min(MAX_PATIENCE, max(MIN_PATIENCE, self._smoothed + max(0.25 * self._smoothed, 4 * self._variation)))

    def may_send(self, now: float) -> bool:
        """Whether the peer has consented to receive here and nothing on our side stands against it."""
        return self.local.is_up and not self.broken and now < self.answered_at + CONSENT_LIFETIME

    def sent(self, now: float) -> None:
        """A check goes out."""
        self.tries += 1
        self.triggered = False
        self.outstanding.append(now)

    def answered(self, sent_at: float, now: float) -> None:
        """The check of `sent_at` was answered."""
        self.broken = False
        self.answered_at = now
        self.streak = self.streak + 1 if now - self.proven_by < 2 * CONSENT_LIFETIME else 1
        self.proven_by = max(self.proven_by, sent_at)
        self.tries = 0
        while self.outstanding and self.outstanding[0] <= sent_at:
            self.outstanding.popleft()
        self._learn(max(0.0, now - sent_at))

    def _learn(self, took: float) -> None:
        """Take the round trip of one check into account."""
        if self._smoothed is None or _HELD_UP * took < self._smoothed:
            self._smoothed, self._variation = took, took / 2
            return
        error = min(took - self._smoothed, _MOST_GROWTH * self.patience)
        self._variation += (abs(error) - self._variation) / 4
        self._smoothed += error / 8

    def lost_since(self, since: float, now: float) -> int:
        """How many checks sent at or after `since` have waited for an answer longer than they should."""
        return sum(1 for sent_at in self.outstanding if sent_at >= since and sent_at + self.patience <= now)

    def failed(self, now: float) -> None:
        """It was in use and failed: do not come back soon, and later each time."""
        if now - self.left_at > _FORGIVEN_AFTER:
            self._hold = _FIRST_HOLD
        self.left_at = now
        self.held_until = now + self._hold
        self._hold = min(_MAX_HOLD, 2 * self._hold)
        self.streak = 0

    def look_again(self, now: float) -> None:
        """Check it at once, however often it was checked before."""
        self.next_check = now
        self.tries = 0
        self.broken = False
