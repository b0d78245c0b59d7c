"""A sink that listens for one tone, 20 ms at a time, and tells when it was missing."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence

import av
import numpy as np

from entrenous import BLOCK_SAMPLES, SAMPLE_RATE, Samples

BLOCK_SECONDS = BLOCK_SAMPLES / SAMPLE_RATE
AMPLITUDE = 8192
"""Of `ToneSource`, which sends a quarter of full scale."""
AUDIBLE = 0.25
"""Share of that amplitude above which a block is taken for the tone; concealment fades below it in some 60 ms."""
MAX_BLOCKS = 60_000


class ToneEar:
    """Remembers of each block when it is heard and how loud the tone in it is.

    Times are of the monotonic clock, which all processes of a machine share.

    Args:
        hz: of the tone that is expected.
    """

    def __init__(self, hz: float) -> None:
        self._wave = np.exp(-2j * np.pi * hz / SAMPLE_RATE * np.arange(BLOCK_SAMPLES))
        self.blocks: list[tuple[float, float]] = []
        """Time and level of each block; 1.0 is the tone as it is sent."""

    async def start(self) -> None:
        """Nothing is to be opened."""

    def play(self, block: Samples, at: float) -> None:
        """Keep the level of 20 ms; what is played late is heard late."""
        level = 2 * abs(float(np.abs(block @ self._wave))) / len(block) / AMPLITUDE
        if len(self.blocks) < MAX_BLOCKS:
            self.blocks.append((max(at, time.monotonic()), round(level, 2)))

    def show(self, frame: av.VideoFrame, at: float) -> None:
        """Ears do not see."""

    def show_screen(self, frame: av.VideoFrame, at: float) -> None:
        """Ears do not see."""

    async def close(self) -> None:
        """Nothing is to be given back."""


def heard_at(blocks: Sequence[tuple[float, float]], since: float = 0.0) -> float | None:
    """When the tone is heard for the first time from `since` on; None: never."""
    return next((at for at, level in blocks if at >= since and level >= AUDIBLE), None)


def longest_gap(blocks: Sequence[tuple[float, float]], since: float, until: float) -> float:
    """Seconds of the longest time without the tone that touches the span from `since` to `until`.

    A gap that is open at either end of what was recorded is counted up to that end of the span.
    """
    heard = [at for at, level in blocks if level >= AUDIBLE]
    ends = [since - BLOCK_SECONDS, *(at for at in heard if since <= at <= until), until]
    before = [at for at in heard if at < since]
    after = [at for at in heard if at > until]
    if before:
        ends[0] = before[-1]
    if after:
        ends[-1] = after[0]
    longest = max(later - earlier for earlier, later in itertools.pairwise(ends))
    return max(0.0, longest - BLOCK_SECONDS)
