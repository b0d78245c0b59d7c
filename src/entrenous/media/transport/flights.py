"""Sends the datagrams of a DTLS handshake again, long before the protocol itself would (pure, driven by `now`).

DTLS waits a second before it sends a lost flight again, then two, then four (RFC 6347 §4.2.4.1): with a fifth of the
packets lost, many a handshake takes longer than ten seconds. Sending the same datagrams again is harmless, since a
record that was received already is dropped by its number. For the same reason it wakes nobody up: an end whose
answer was lost hears only what it knows. So both ends repeat, each its own last flight, until what follows the
handshake shows that it has arrived.
"""

from __future__ import annotations

MAX_DATAGRAMS = 16
"""Datagrams of one flight that are kept."""

MAX_REPEATS = 20
"""How often a flight is sent again: for about the time that a handshake may take."""

_FIRST, _GROWTH, _LONGEST = 0.15, 1.3, 0.6


class Flights:
    """The last flight of one end."""

    def __init__(self) -> None:
        self._flight: list[bytes] = []
        self._heard_since = False
        self._confirmed = False
        self._repeats = 0
        self._interval = _FIRST
        self._due = float("inf")

    def sent(self, datagram: bytes, now: float) -> None:
        """The handshake has sent this; after something was received, it begins a new flight."""
        if self._confirmed:
            return
        if self._heard_since:
            self._heard_since = False
            self._flight.clear()
        if len(self._flight) >= MAX_DATAGRAMS:
            return
        self._flight.append(datagram)
        self._repeats = 0
        self._interval = _FIRST
        self._due = now + self._interval

    def received(self) -> None:
        """A datagram of the peer came: what is sent next answers it."""
        self._heard_since = True

    def confirmed(self) -> None:
        """The peer has sent what it only can after the handshake, or the handshake has failed: repeat no more."""
        self._confirmed = True
        self._flight.clear()
        self._due = float("inf")

    def poll(self, now: float) -> list[bytes]:
        """What to send again by now."""
        if now < self._due:
            return []
        self._repeats += 1
        self._interval = min(_LONGEST, _GROWTH * self._interval)
        self._due = now + self._interval if self._repeats < MAX_REPEATS else float("inf")
        return list(self._flight)

    @property
    def deadline(self) -> float:
        """When to call `poll`; infinity when there is no need."""
        return self._due
