"""A sink that listens: which tone is heard, and when enough of it was."""

from __future__ import annotations

import asyncio
from pathlib import Path

import av
import numpy as np

from entrenous import BLOCK_SAMPLES, SAMPLE_RATE, Samples

LOUD = 500
"""Samples above which a block is not silence."""


class Ear:
    """Keeps the loud blocks of what is played.

    Args:
        seconds: of sound after which `heard` is set.
    """

    def __init__(self, seconds: float = 0.6) -> None:
        self.heard = asyncio.Event()
        self._wanted = round(seconds * SAMPLE_RATE / BLOCK_SAMPLES)
        self._blocks: list[Samples] = []

    async def start(self) -> None:
        """Nothing is to be opened."""

    def play(self, block: Samples, at: float) -> None:
        """Keep 20 ms, if there is something in them."""
        if np.abs(block).max() > LOUD:
            self._blocks.append(block.copy())
        if len(self._blocks) >= self._wanted:
            self.heard.set()

    def show(self, frame: av.VideoFrame, at: float) -> None:
        """Ears do not see."""

    def show_screen(self, frame: av.VideoFrame, at: float) -> None:
        """Ears do not see."""

    async def close(self) -> None:
        """Nothing is to be given back."""

    def tone(self) -> float:
        """The strongest frequency of what was heard, in Hz."""
        return strongest(np.concatenate(self._blocks))


def strongest(samples: Samples) -> float:
    """The strongest frequency in some sound at 48 kHz, in Hz."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum) * SAMPLE_RATE / len(samples))


def tone_in(path: Path) -> float:
    """The strongest frequency of a recording, in Hz."""
    with av.open(str(path)) as container:
        resampler = av.AudioResampler("s16", "mono", SAMPLE_RATE)
        blocks = [part.to_ndarray()[0] for frame in container.decode(audio=0) for part in resampler.resample(frame)]
    return strongest(np.concatenate(blocks))
