"""A pure tone, for tests of a line and for a placeholder of sound."""

from __future__ import annotations

import numpy as np

from ..codecs.base import BLOCK_SAMPLES, BLOCK_SECONDS, SAMPLE_RATE
from ..streams import AudioSource, SoundBlock, VideoSource
from .timeline import Clock, TimedSource


class ToneSource(TimedSource):
    """A sine tone without end and without picture.

    Args:
        hz: its frequency.
        amplitude: its peak, 0 to 1.
        clock: real time unless given.
    """

    def __init__(self, hz: float = 440.0, *, amplitude: float = 0.25, clock: Clock | None = None) -> None:
        super().__init__(clock)
        self._hz, self._amplitude = hz, amplitude
        self._next_block = 0

    @property
    def audio(self) -> AudioSource | None:
        """The tone."""
        return self

    @property
    def video(self) -> VideoSource | None:
        """None: a tone has no picture."""
        return None

    async def open(self) -> None:
        """Nothing is to be opened."""

    async def read(self) -> SoundBlock | None:
        """The next 20 ms of the tone when they are due."""
        number = self.timeline.block_in_time(self._next_block)
        self._next_block = number + 1
        captured_at = await self.timeline.wait_for(number * BLOCK_SECONDS)
        samples = np.arange(number * BLOCK_SAMPLES, (number + 1) * BLOCK_SAMPLES)
        wave = np.sin(2 * np.pi * self._hz / SAMPLE_RATE * samples)
        return SoundBlock(np.rint(wave * self._amplitude * 32767).astype(np.int16), captured_at)

    async def close(self) -> None:
        """Nothing is to be given back."""
