"""How much of what was sent is in what was heard: speech laid over speech, pictures over test cards."""

from __future__ import annotations

from collections.abc import Iterable

import av
import numpy as np
from numpy.typing import NDArray
from pystoi import stoi
from scipy.signal import correlate

from entrenous import SAMPLE_RATE, TestCardSource
from world.media_clock import SimulatedClock

STRETCH = SAMPLE_RATE // 4
STEP = SAMPLE_RATE // 20
REACH = SAMPLE_RATE // 8
"""Samples that are laid over the sent speech at once, from step to step, and how far the best place may be from
where the whole fits best: a play-out buffer that takes delay back moves all that follows by 20 ms."""

QUIET = 100.0
"""Below this root mean square a piece has nothing to be aligned by."""

Sound = NDArray[np.int16]


def speech_likeness(sent: Sound, heard: Sound) -> float:
    """The short-time objective intelligibility (STOI) of `heard`, 1 where it is as clear as `sent`.

    Args:
        sent: 48 kHz mono.
        heard: 48 kHz mono, any part of `sent`; it is aligned piece by piece, as PESQ does it.
    """
    reference = _retimed(sent.astype(np.float64), heard.astype(np.float64))
    return float(stoi(reference, heard.astype(np.float64), SAMPLE_RATE))


def best_correlation(sent: Sound, heard: Sound) -> float:
    """The highest normalised correlation of `heard`, in one piece, with any stretch of `sent` that is as long."""
    padded = np.pad(sent.astype(np.float64), REACH)  # a codec gives back its sound a few milliseconds later
    return float(_scores(padded, heard.astype(np.float64)).max())


def _retimed(sent: NDArray[np.float64], heard: NDArray[np.float64]) -> NDArray[np.float64]:
    """What of `sent` belongs to each moment of `heard`."""
    padded = np.concatenate((np.zeros(len(heard)), sent, np.zeros(len(heard))))
    origin = int(np.argmax(correlate(padded, heard, mode="valid", method="fft")))
    steps, shift = [], 0
    for begin in range(0, len(heard), STEP):
        middle = begin + STEP // 2
        first, last = max(0, middle - STRETCH // 2), min(len(heard), middle + STRETCH // 2)
        stretch = heard[first:last]
        low, high = max(0, origin + first - REACH), min(len(padded), origin + last + REACH)
        if _strength(stretch) >= QUIET:
            shift = int(np.argmax(_scores(padded[low:high], stretch))) + low - origin - first
        size = min(STEP, len(heard) - begin)
        at = min(max(0, origin + begin + shift), len(padded) - size)
        steps.append(padded[at : at + size])
    return np.concatenate(steps)


def _scores(reference: NDArray[np.float64], piece: NDArray[np.float64]) -> NDArray[np.float64]:
    """The correlation of `piece` with every stretch of `reference`, -1 to 1; 0 where one of them is silent."""
    products = correlate(reference, piece, mode="valid", method="fft")
    energies = np.concatenate(([0.0], np.cumsum(reference**2)))
    energy = energies[len(piece) :] - energies[: -len(piece)]
    audible = (energy >= len(piece) * QUIET**2) & (_strength(piece) > 0)
    scores: NDArray[np.float64] = np.where(
        audible, products / np.sqrt(np.where(audible, energy * float(piece @ piece), 1.0)), 0.0
    )
    return scores


def _strength(samples: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean(samples**2))) if len(samples) else 0.0


async def cards(
    numbers: Iterable[int], *, width: int = 640, height: int = 360, fps: int = 15, beep: bool = False
) -> dict[int, av.VideoFrame]:
    """The test cards with these numbers, as their source draws them."""
    clock = SimulatedClock()
    source = TestCardSource(width, height, fps, beep=beep, clock=clock)
    await source.start()
    assert source.video is not None
    drawn = {}
    for number in sorted(set(numbers)):
        clock.advance(max(0.0, (number + 0.5) / fps - source.timeline.elapsed()))
        picture = await source.video.read()
        assert picture is not None
        drawn[number] = picture.frame
    return drawn
