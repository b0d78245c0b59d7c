"""What the media benchmarks send: real speech, and a real person talking into a camera, each moment of both known.

Everybody sends the same: the sound of one of two tracks, 48 kHz mono made from 16 kHz, and pictures that carry
their number in the corner, so that whoever sees one knows when it was taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray
from scipy.signal import resample_poly

from entrenous.media.pictures import own_copy, pixels

MATERIAL = Path(__file__).parent / "material"
RATE = 48_000
SCORE_RATE = 16_000
"""Of the recordings, and what PESQ-WB takes."""
PAUSE_SECONDS = 0.6
"""Before each utterance."""
LEAD_SECONDS = 6.0
"""Speech at the start of a track that is not judged: what adapts to a network may do so in it."""
LEVEL = 10 ** (-26 / 20) * 32768
"""Root mean square of every utterance: the active level that ITU-T P.830 plays speech at, -26 dBov."""

Sound = NDArray[np.int16]
Luma = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Track:
    """What one end says.

    Args:
        samples: 48 kHz.
        score_samples: the same at 16 kHz.
        utterances: begin and end of each one that is judged, in seconds from the start.
    """

    samples: Sound
    score_samples: Sound
    utterances: tuple[tuple[float, float], ...]

    @property
    def seconds(self) -> float:
        """How long it takes."""
        return len(self.samples) / RATE


@cache
def speech(end: str) -> Track:
    """The track of one end.

    Args:
        end: `a` or `b`.
    """
    spoken = [_read(path) for path in sorted((MATERIAL / "speech").glob(f"{end}-*.flac"))]
    pause = np.zeros(round(PAUSE_SECONDS * SCORE_RATE))
    lead = np.resize(np.concatenate([spoken[-1], pause]), round(LEAD_SECONDS * SCORE_RATE))
    pieces = [lead]
    for utterance in spoken:
        pieces += [pause, utterance]
    ends = np.cumsum([len(piece) for piece in pieces]) / SCORE_RATE
    utterances = tuple((float(begin), float(until)) for begin, until in list(pairwise(ends))[1::2])
    whole = np.concatenate([*pieces, pause])
    whole = np.pad(whole, (0, -len(whole) % (SCORE_RATE // 50)))  # whole blocks, so that it can be repeated
    return Track(_int16(resample_poly(whole, RATE // SCORE_RATE, 1)), _int16(whole), utterances)


def _read(path: Path) -> NDArray[np.float64]:
    with av.open(str(path)) as file:
        frames = [frame.to_ndarray()[0] for frame in file.decode(audio=0)]
    samples = np.concatenate(frames).astype(np.float64)
    return samples * (LEVEL / np.sqrt(np.mean(samples**2)))


def _int16(samples: NDArray[Any]) -> Sound:
    return np.clip(np.rint(samples), -32768, 32767).astype(np.int16)


def part(track: Track, begin: float, seconds: float) -> Track:
    """What is said in some seconds of a track that is repeated without end, all of it judged as one utterance."""
    places = np.arange(round(begin * SCORE_RATE), round((begin + seconds) * SCORE_RATE))
    score_samples = np.take(track.score_samples, places, mode="wrap")
    places = np.arange(round(begin * RATE), round((begin + seconds) * RATE))
    return Track(np.take(track.samples, places, mode="wrap"), score_samples, ((0.0, seconds),))


class Clip:
    """The talking person, without end: forwards and backwards by turns.

    Args:
        width, height: the pictures are stretched to that size.
    """

    FPS = 30

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        with av.open(str(MATERIAL / "talking.mp4")) as file:
            self._pictures = [
                frame.reformat(width, height, "yuv420p", interpolation="BICUBIC") for frame in file.decode(video=0)
            ]

    def picture(self, number: int) -> av.VideoFrame:
        """The picture with this number, counted from 0, in yuv420p."""
        picture = own_copy(self._pictures[self._place(number)], self.width, self.height)
        stamp(pixels(picture.planes[0]), number)
        return picture

    def luma(self, number: int) -> Luma:
        """Its luma plane, without the number; shared, not to be changed."""
        return pixels(self._pictures[self._place(number)].planes[0])

    def _place(self, number: int) -> int:
        turn = 2 * len(self._pictures) - 2
        place = number % turn
        return min(place, turn - place)


_NUMBER_BITS, _CHECK_BITS = 16, 8
_BLOCKS = _NUMBER_BITS + _CHECK_BITS
_COLUMNS = 32
_DARK, _LIGHT = 16, 235


def stamp_height(width: int) -> int:
    """How many rows at the top of a picture of that width belong to the number."""
    return width // _COLUMNS


def stamp(luma: Luma, number: int) -> None:
    """Write a number into the top left corner as a row of dark and light squares, a check sum after it."""
    side = stamp_height(luma.shape[1])
    bits = number << _CHECK_BITS | _check(number)
    for block in range(_BLOCKS):
        is_light = bits >> (_BLOCKS - 1 - block) & 1
        luma[:side, block * side : (block + 1) * side] = _LIGHT if is_light else _DARK


def stamped(luma: Luma) -> int | None:
    """The number in a picture of any size that was sent with one; None where it cannot be read."""
    side = luma.shape[1] / _COLUMNS
    margin = side / 4
    low, high = round(margin), max(round(margin) + 1, round(side - margin))
    sums = np.cumsum(luma[low:high, : round(_BLOCKS * side)].mean(axis=0))
    begins = np.rint(np.arange(_BLOCKS) * side + margin).astype(np.int64)
    ends = np.maximum(begins + 1, np.rint(np.arange(1, _BLOCKS + 1) * side - margin).astype(np.int64))
    squares = (sums[ends - 1] - sums[begins - 1]) / (ends - begins)
    bits = 0
    for is_light in squares > (_DARK + _LIGHT) / 2:
        bits = bits << 1 | int(is_light)
    number, check = bits >> _CHECK_BITS, bits & ((1 << _CHECK_BITS) - 1)
    return number if check == _check(number) else None


def _check(number: int) -> int:
    """Eight bits that hardly any damage leaves right; those of darkness are wrong."""
    return (number * 167 ^ number >> 8 ^ 0b10100101) & 0xFF
