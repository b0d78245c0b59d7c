"""How much of a stream the path loses lately, and in what bursts (pure, driven by what feedback tells)."""

from __future__ import annotations

import math
from collections.abc import Iterable

MEMORY = 5.0
"""Seconds after which what was seen counts for a third (1/e)."""

_PRIOR_RUNS = 2.0
"""Single losses assumed beside those seen, so that one burst alone does not make a path bursty."""


class LossMeter:
    """Counts packets, received and lost, and forgets slowly."""

    def __init__(self) -> None:
        self._packets = 0.0
        self._lost = 0.0
        self._runs = 0.0
        self._last_was_lost = False
        self._at: float | None = None

    @property
    def loss(self) -> float:
        """The share of packets lost lately, 0..1; 0 before any is known of."""
        return self._lost / self._packets if self._packets > 0 else 0.0

    @property
    def burst(self) -> float:
        """How many were lost in a row lately on average, from 1."""
        return (self._lost + _PRIOR_RUNS) / (self._runs + _PRIOR_RUNS)

    def arrived(self, received: Iterable[bool], now: float) -> None:
        """Take what transport-wide feedback says about packets of this stream.

        Args:
            received: of each packet in the order of sending, each packet once: whether it arrived.
            now: monotonic seconds.
        """
        self._forget(now)
        for came in received:
            self._packets += 1
            if not came:
                self._lost += 1
                self._runs += not self._last_was_lost
            self._last_was_lost = not came

    def _forget(self, now: float) -> None:
        if self._at is not None:
            kept = math.exp(-max(0.0, now - self._at) / MEMORY)
            self._packets *= kept
            self._lost *= kept
            self._runs *= kept
        self._at = now
