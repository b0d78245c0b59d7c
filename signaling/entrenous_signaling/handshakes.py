"""How many TLS handshakes go on at a time: each takes a millisecond of the processor, and memory until it is over.

Who has not begun to speak has no part in it and may wait for long. Who has begun and does not go on keeps a place from
others: so when all are taken and somebody waits, who has been longest at it gives way, after as long as it takes
everywhere on earth::

    come ──> silent ──it speaks──> ready ──there is a place──> under way ──> over
"""

from __future__ import annotations

from typing import Final, Generic, TypeVar

MOST_HANDSHAKES: Final = 1000
"""Under way at a time; each takes about 20 kB."""

PATIENCE_SECONDS: Final = 1.0
"""For so long nobody gives way."""

T = TypeVar("T")


class Handshakes(Generic[T]):
    """Connections that are not so far yet, each kind in the order in which they became such.

    Args:
        most: handshakes that are under way at a time.
        seconds: how long a connection may be silent, and how long it may wait for a place.
    """

    def __init__(self, most: int, seconds: float) -> None:
        self._most = most
        self._seconds = seconds
        self._silent: dict[T, float] = {}
        self._ready: dict[T, float] = {}
        self._under_way: dict[T, float] = {}

    @property
    def everybody(self) -> tuple[T, ...]:
        """All that are not over."""
        return (*self._silent, *self._ready, *self._under_way)

    def come(self, who: T, now: float) -> None:
        """A connection is there, and has said nothing."""
        self._silent[who] = now

    def speak(self, who: T, now: float) -> None:
        """One that was silent has said something."""
        del self._silent[who]
        self._ready[who] = now

    def begin(self, now: float) -> T | None:
        """Who begins its handshake now, if anybody may."""
        if not self._ready or len(self._under_way) >= self._most:
            return None
        who = next(iter(self._ready))
        del self._ready[who]
        self._under_way[who] = now
        return who

    def end(self, who: T) -> None:
        """A connection is over with it, or gone."""
        for kind in (self._silent, self._ready, self._under_way):
            kind.pop(who, None)

    def overdue(self, now: float) -> list[T]:
        """Who is to be cut off."""
        late = [who for kind in (self._silent, self._ready) for who in _since(kind, now - self._seconds)]
        if self._has_to_make_way():
            late += _since(self._under_way, now - PATIENCE_SECONDS)[: len(self._ready)]
        return late

    def next_deadline(self) -> float | None:
        """When somebody will be overdue, or None."""
        due = [next(iter(kind.values())) + self._seconds for kind in (self._silent, self._ready) if kind]
        if self._has_to_make_way():
            due.append(next(iter(self._under_way.values())) + PATIENCE_SECONDS)
        return min(due, default=None)

    def _has_to_make_way(self) -> bool:
        return bool(self._ready) and len(self._under_way) >= self._most


def _since(kind: dict[T, float], then: float) -> list[T]:
    """Who has been there since then or longer."""
    there = []
    for who, since in kind.items():
        if since > then:
            break
        there.append(who)
    return there
