"""How many TLS handshakes go on at a time: each takes a millisecond of the processor, and place until it is over.

Whoever begins one and does not go on keeps a place from others. So when all are taken, who has been longest at it gives
way, after as long as it takes everywhere on earth.
"""

from __future__ import annotations

from typing import Final, Generic, TypeVar

MOST_HANDSHAKES: Final = 256
"""Under way at a time; who comes beside them waits in the backlog of the listening socket."""

PATIENCE_SECONDS: Final = 1.0
"""For so long nobody gives way."""

T = TypeVar("T")


class Handshakes(Generic[T]):
    """Handshakes that are under way, in the order in which they began.

    Args:
        most: at a time.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._began: dict[T, float] = {}

    @property
    def are_full(self) -> bool:
        """Whether another one has to wait."""
        return len(self._began) >= self._most

    @property
    def under_way(self) -> tuple[T, ...]:
        """All of them."""
        return tuple(self._began)

    def begin(self, handshake: T, now: float) -> None:
        """One begins.

        Raises:
            RuntimeError: it has to wait.
        """
        if self.are_full:
            raise RuntimeError("too many handshakes")
        self._began[handshake] = now

    def end(self, handshake: T) -> None:
        """One is over."""
        del self._began[handshake]

    def gives_way(self, now: float) -> T | None:
        """Who is to be cut off, so that another one can begin; to be asked again when that one is over."""
        oldest = next(iter(self._began), None) if self.are_full else None
        return oldest if oldest is not None and self._began[oldest] + PATIENCE_SECONDS <= now else None

    def next_deadline(self) -> float | None:
        """When somebody gives way, or None when nobody has to."""
        return next(iter(self._began.values())) + PATIENCE_SECONDS if self.are_full else None
