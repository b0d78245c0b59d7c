"""Sound made shorter or longer without a change of its pitch, and joined where it was torn (pure).

Voiced speech repeats itself every 2.5 to 15 ms, so one period more or less goes unheard as long as the cut is made
from like to like: the lag at which the sound around the cut resembles itself most is searched by normalised
correlation, coarsely at 8 kHz and then to the sample, and the two sides are cross-faded over 5 ms. This is WSOLA
(Verhelst and Roelands, "An overlap-add technique based on waveform similarity", ICASSP 1993) at single places, the
way NetEQ accelerates and expands.

Everything works on int16 at 48 kHz. Sound that is yet to be heard is edited right at its beginning; what was heard
before it is only looked at.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from .blocks import is_quiet
from .codecs.base import Samples

SHORTEST_LAG: Final = 120
LONGEST_LAG: Final = 720
"""Samples between which a period is looked for: 2.5 to 15 ms, that is 400 to 67 Hz."""

FADE: Final = 240
"""Samples over which two sounds are mixed where they meet: 5 ms."""

HISTORY: Final = 960
"""Samples of heard sound that edits look back on."""

ROOM: Final = LONGEST_LAG + FADE
"""Samples that must be there unheard to be edited: 20 ms."""

_BEFORE_CUT, _AFTER_CUT = 480, 240
"""Samples around a cut that have to resemble each other: 15 ms, one period of the deepest voice."""

_COARSE: Final = 6
"""Samples that are averaged into one for the coarse search."""

_FADE_IN: NDArray[np.float32] = (0.5 - 0.5 * np.cos(np.linspace(0, np.pi, FADE))).astype(np.float32)

_Float = NDArray[np.float32]


def shorten(heard: Samples, sound: Samples, most: int, likeness: float) -> Samples | None:
    """Leave out one period at the beginning of `sound`.

    Args:
        heard: int16, shape (960,) or more, newest last: what is before `sound`.
        sound: int16, shape (960,) or more.
        most: samples that may be left out.
        likeness: correlation, -1 to 1, below which nothing is done; quiet sound is always cut.

    Returns:
        The rest, 120 to 720 samples shorter; None when there is nothing to leave out unheard.
    """
    longest = min(most, LONGEST_LAG, len(sound) - FADE)
    if longest < SHORTEST_LAG:
        return None
    line = np.concatenate((heard[-_BEFORE_CUT:], sound[: longest + _AFTER_CUT])).astype(np.float32)
    around = line[: _BEFORE_CUT + _AFTER_CUT]
    lag, found = _best_lag(around, line, SHORTEST_LAG, longest)
    if found < likeness and not is_quiet(sound):
        return None
    return _fade(sound, sound[lag:])


def lengthen(heard: Samples, sound: Samples, most: int, likeness: float) -> Samples | None:
    """Repeat one period before `sound`.

    Args:
        heard: int16, shape (960,) or more, newest last: what is before `sound`, and what is repeated.
        sound: int16, shape (480,) or more.
        most: samples that may be added.
        likeness: correlation, -1 to 1, below which nothing is done; quiet sound is always stretched.

    Returns:
        The sound, 120 to 720 samples longer; None when there is nothing to repeat unheard.
    """
    longest = min(most, LONGEST_LAG)
    if longest < SHORTEST_LAG:
        return None
    # Seen backwards in time the search is that of `shorten`: how far back does what is around the cut recur?
    line = np.concatenate((heard[-longest - _AFTER_CUT :], sound[:_BEFORE_CUT])).astype(np.float32)[::-1]
    around = line[: _BEFORE_CUT + _AFTER_CUT]
    lag, found = _best_lag(around, line, SHORTEST_LAG, longest)
    if found < likeness and not is_quiet(sound):
        return None
    return _fade(sound, np.concatenate((heard[-lag:], sound)))


def join(continuation: Samples, sound: Samples) -> Samples:
    """Lead from an invented sound into a real one, in step with its periods, so that nothing clicks.

    Args:
        continuation: int16, shape (960,): how what is heard would have gone on.
        sound: int16, shape (960,) or more: what comes instead.

    Returns:
        `sound` behind up to 10 ms of `continuation`.
    """
    longest = HISTORY - _BEFORE_CUT
    if is_quiet(continuation):
        return _fade(continuation, sound)
    line, around = continuation.astype(np.float32), sound[:_BEFORE_CUT].astype(np.float32)
    lag, _ = _best_lag(around, line, 0, longest)
    return np.concatenate((continuation[:lag], _fade(continuation[lag:], sound)))


def _fade(first: Samples, second: Samples) -> Samples:
    """`second`, beginning like `first`."""
    result = second.copy()
    before = first[:FADE].astype(np.float32)
    result[:FADE] = np.rint(before + _FADE_IN * (second[:FADE] - before))
    return result


def _best_lag(pattern: _Float, line: _Float, shortest: int, longest: int) -> tuple[int, float]:
    """Where in `line`, `shortest` to `longest` samples in, `pattern` is found best, and the correlation there."""
    coarse_pattern, coarse_line = _averaged(pattern), _averaged(line)
    first = -(-shortest // _COARSE)
    likeness = _correlations(coarse_pattern, coarse_line[first : longest // _COARSE + len(coarse_pattern)])
    near = (first + int(np.argmax(likeness))) * _COARSE
    begin, end = max(shortest, near - _COARSE + 1), min(longest, near + _COARSE - 1)
    likeness = _correlations(pattern, line[begin : end + len(pattern)])
    best = int(np.argmax(likeness))
    return begin + best, float(likeness[best])


def _averaged(sound: _Float) -> _Float:
    averaged: _Float = sound[: len(sound) // _COARSE * _COARSE].reshape(-1, _COARSE).mean(axis=1)
    return averaged


def _correlations(pattern: _Float, line: _Float) -> _Float:
    """The normalised correlation of `pattern` with every stretch of `line` of the same length."""
    size = len(pattern)
    energies = np.cumsum(np.concatenate((np.zeros(1, np.float32), np.square(line))), dtype=np.float64)
    own = energies[size:] - energies[:-size]
    products: NDArray[np.float64] = np.correlate(line, pattern, "valid").astype(np.float64)
    result = products / np.sqrt(np.maximum(own, 1.0) * max(float(pattern @ pattern), 1.0))
    return result.astype(np.float32)
