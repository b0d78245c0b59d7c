"""Who talks and listens in the media benchmarks: a source with a known schedule, and a sink that remembers.

Both speak our own interfaces (`entrenous.media.streams`); the engines that are compared are given the same ones.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from pathlib import Path

import av
import numpy as np

from entrenous import BLOCK_SAMPLES, SAMPLE_RATE, Picture, Samples, SoundBlock
from entrenous.media.pictures import pixels

from .media_material import Clip, Luma, Track, stamped

BLOCK_SECONDS = BLOCK_SAMPLES / SAMPLE_RATE


class _Voice:
    """Blocks of 20 ms, each given out when its last sample has been spoken: silence first, then the track.

    Args:
        track: what is said.
        again: whether it is said again and again; silence follows otherwise.
    """

    def __init__(self, track: Track, *, again: bool) -> None:
        self._samples = track.samples[: len(track.samples) // BLOCK_SAMPLES * BLOCK_SAMPLES]
        self._again = again
        self._base: float | None = None
        self._count = 0
        self._begins: int | None = None

    def begin(self) -> float:
        """Start the track with the next block; returns the monotonic second of its first sample."""
        self._begins = self._count + 1
        return self._started() + self._begins * BLOCK_SECONDS

    def _started(self) -> float:
        """When the first block begins, which is when it is first asked for."""
        if self._base is None:
            self._base = time.monotonic()
        return self._base

    async def read(self) -> SoundBlock | None:
        number, self._count = self._count, self._count + 1
        captured_at = self._started() + number * BLOCK_SECONDS
        await asyncio.sleep(max(0.0, captured_at + BLOCK_SECONDS - time.monotonic()))
        return SoundBlock(self._block(number), captured_at)

    def _block(self, number: int) -> Samples:
        if self._begins is not None and number >= self._begins:
            at = (number - self._begins) * BLOCK_SAMPLES
            if self._again:
                at %= len(self._samples)
            if at < len(self._samples):
                return self._samples[at : at + BLOCK_SAMPLES]
        return np.zeros(BLOCK_SAMPLES, np.int16)


class _Camera:
    """Numbered pictures from the beginning on; late ones are skipped."""

    def __init__(self, clip: Clip) -> None:
        self._clip = clip
        self._begun: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._next = 0

    def begin(self, at: float) -> None:
        self._begun.set_result(at)

    async def read(self) -> Picture | None:
        begun = await asyncio.shield(self._begun)
        number = max(self._next, int((time.monotonic() - begun) * Clip.FPS))
        self._next = number + 1
        due = begun + number / Clip.FPS
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        return Picture(self._clip.picture(number), due)


class Speaker:
    """A source: a voice, and a camera where there is a clip.

    Args:
        track: what is said.
        clip: what is seen, None: nothing.
        again: whether the track is repeated.
    """

    def __init__(self, track: Track, clip: Clip | None = None, *, again: bool = False) -> None:
        self.audio = _Voice(track, again=again)
        self.video = None if clip is None else _Camera(clip)

    async def start(self) -> None:
        """Nothing is to be opened."""

    def begin(self) -> float:
        """Start track and clip; returns the monotonic second at which they begin."""
        at = self.audio.begin()
        if self.video is not None:
            self.video.begin(at)
        return at

    async def close(self) -> None:
        """Nothing is to be given back."""


class Listener:
    """A sink that remembers what it was given, and when it was to be heard and seen.

    Args:
        keep_sound: whether sound is kept, or only counted.
        keep_picture: one of so many pictures is kept whole, to compare; 0: none.
        recent: only the last so many seconds are remembered, so that memory does not grow; None: everything.
    """

    def __init__(self, *, keep_sound: bool = True, keep_picture: int = 0, recent: float | None = None) -> None:
        self._keep_sound = keep_sound
        self._keep_picture = keep_picture
        blocks = None if recent is None else round(recent / BLOCK_SECONDS)
        pictures = None if recent is None else round(recent * Clip.FPS)
        self.heard: deque[tuple[float, Samples]] = deque(maxlen=blocks)
        self.seen: deque[tuple[int, float, int, int]] = deque(maxlen=pictures)
        self.kept: deque[tuple[tuple[int, float, int, int], Luma]] = deque(maxlen=pictures)
        self.blocks = self.unnumbered = 0
        self.late = 0
        """Blocks handed over after the moment at which they were to be heard."""

    async def start(self) -> None:
        """Nothing is to be opened."""

    def play(self, block: Samples, at: float) -> None:
        now = time.monotonic()
        self.blocks += 1
        self.late += now > at + BLOCK_SECONDS
        if self._keep_sound:
            self.heard.append((max(at, now), block))

    def show(self, frame: av.VideoFrame, at: float) -> None:
        self.see(pixels(frame.planes[0]), at)

    def see(self, luma: Luma, at: float) -> None:
        """Take the luma plane of a picture; it is copied where it is kept."""
        number = stamped(luma)
        if number is None:
            self.unnumbered += 1
            return
        row = (number, max(at, time.monotonic()), luma.shape[1], luma.shape[0])
        self.seen.append(row)
        if self._keep_picture and number % self._keep_picture == 0:
            self.kept.append((row, luma.copy()))

    def show_screen(self, frame: av.VideoFrame, at: float) -> None:
        """Nobody shares a screen here."""

    async def close(self) -> None:
        """Nothing is to be given back."""

    def write(self, path: Path) -> None:
        """Put everything into a file for `Recollection.read`."""
        lumas = {f"luma{index}": luma for index, (_, luma) in enumerate(self.kept)}
        np.savez(
            path,
            times=np.array([at for at, _ in self.heard]),
            samples=np.concatenate([block for _, block in self.heard]) if self.heard else np.zeros(0, np.int16),
            lengths=np.array([len(block) for _, block in self.heard], np.int64),
            seen=np.array(self.seen, np.float64).reshape(-1, 4),
            kept=np.array([row for row, _ in self.kept], np.float64).reshape(-1, 4),
            **lumas,
        )
