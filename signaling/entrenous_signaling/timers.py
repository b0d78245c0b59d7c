"""Named deadlines over a given `now`: set, cancel, take what is due."""

from __future__ import annotations

import heapq
from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

Name = TypeVar("Name", bound=Hashable)


def earliest(*deadlines: float | None) -> float | None:
    """The earliest of deadlines, of which any may be none."""
    first = None
    for deadline in deadlines:
        if deadline is not None and (first is None or deadline < first):
            first = deadline
    return first


class Timers(Generic[Name]):
    """At most one deadline per name; setting it again replaces it."""

    def __init__(self) -> None:
        self._when: dict[Name, float] = {}
        self._heap: list[tuple[float, int, Name]] = []
        self._next: float | None = None  # kept, since it is asked for much more often than it changes
        self._count = 0  # keeps names out of the heap's comparisons

    def set(self, name: Name, when: float) -> None:
        """Let `name` be due at `when`."""
        self._when[name] = when
        self._count += 1
        heapq.heappush(self._heap, (when, self._count, name))
        self._drop_stale()

    def cancel(self, name: Name) -> None:
        """Let `name` not be due any more; nothing happens if it is not set."""
        if self._when.pop(name, None) is not None:
            self._drop_stale()

    def next(self) -> float | None:
        """The earliest deadline, or None."""
        return self._next

    def due(self, now: float) -> Iterator[Name]:
        """Take the names that are due, earliest first; those that are set on the way are taken too when due."""
        while self._next is not None and self._next <= now:
            _, _, name = heapq.heappop(self._heap)
            del self._when[name]
            self._drop_stale()
            yield name

    def _drop_stale(self) -> None:
        while self._heap and self._when.get(self._heap[0][2]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        self._next = self._heap[0][0] if self._heap else None
