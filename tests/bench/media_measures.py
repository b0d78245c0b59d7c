"""What was heard and seen against what was said and shown: delay, PESQ-WB, freezes, SSIM. Pure; times in seconds."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter
from scipy.signal import correlate, resample_poly

from .media_material import RATE, SCORE_RATE, Luma, Sound, Track

WORST_MOS = 1.04
"""What PESQ-WB gives to noise, and we to silence, which it refuses to judge."""
LONGEST_DELAY = 3.0
_PIECE_SECONDS = 0.5
_LIKE = 0.4
"""Normalised correlation from which on a piece of speech is taken for the one that was said."""
_RESYNC_SECONDS = 0.04
_BEFORE, _AFTER = 0.1, 0.3
FREEZE_SECONDS = 0.3

Floats = NDArray[np.float64]


def timeline(times: Floats, lengths: NDArray[np.int64], samples: Sound, begin: float, seconds: float) -> Sound:
    """What was heard from `begin` on, at 16 kHz, silence where nothing was.

    A device plays without holes, so blocks whose times only shiver follow each other; one that is more than 40 ms off
    begins a new run. A run lies where most of its blocks say that it does.
    """
    line = np.zeros(round(seconds * RATE), np.int16)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    start = 0
    for number in range(1, len(times) + 1):
        lags = times[start:number] - (offsets[start:number] - offsets[start]) / RATE
        ended = number == len(times)
        if not ended:
            expected = np.median(lags[-50:]) + (offsets[number] - offsets[start]) / RATE
            ended = abs(times[number] - expected) > _RESYNC_SECONDS
        if ended:
            place = round((float(np.median(lags)) - begin) * RATE)
            _put(line, place, samples[offsets[start] : offsets[number]])
            start = number
    down = resample_poly(line.astype(np.float64), 1, RATE // SCORE_RATE)
    return np.clip(np.rint(down), -32768, 32767).astype(np.int16)


def _put(line: Sound, place: int, samples: Sound) -> None:
    low, high = max(0, place), min(len(line), place + len(samples))
    if low < high:
        line[low:high] = samples[low - place : high - place]


def delays(track: Track, heard: Sound, spans: Sequence[tuple[float, float]] | None = None) -> list[tuple[float, float]]:
    """Mouth to ear for each half second of speech that is recognised in what was heard.

    Args:
        track: what was said.
        heard: the timeline from when it began, 16 kHz.
        spans: which parts of it; the utterances.

    Returns:
        Pairs: second of the track, delay in seconds.
    """
    said = track.score_samples.astype(np.float64)
    floor = 0.5 * np.sqrt(np.mean(said**2))
    size = round(_PIECE_SECONDS * SCORE_RATE)
    found = []
    for begin, until in spans or track.utterances:
        for at in range(round(begin * SCORE_RATE), round(until * SCORE_RATE) - size, size):
            piece = said[at : at + size]
            if np.sqrt(np.mean(piece**2)) < floor:
                continue
            window = heard[at : at + size + round(LONGEST_DELAY * SCORE_RATE)].astype(np.float64)
            lag, likeness = _best_lag(piece, window)
            if likeness > _LIKE:
                found.append((at / SCORE_RATE, lag / SCORE_RATE))
    return found


def _best_lag(piece: Floats, window: Floats) -> tuple[int, float]:
    """Where in a window a piece lies, and how like it is to what is there, 0 to 1."""
    if len(window) < len(piece):
        return 0, 0.0
    score = correlate(window, piece, mode="valid", method="fft")
    energy = np.cumsum(np.concatenate([[0.0], window**2]))
    energy = energy[len(piece) :] - energy[: -len(piece)]
    likeness = score / np.sqrt(np.maximum(energy, 1.0) * np.sum(piece**2))
    best = int(np.argmax(likeness))
    return best, float(likeness[best])


def opinion_scores(track: Track, heard: Sound, delay: float) -> list[float]:
    """PESQ-WB (ITU-T P.862.2, MOS-LQO 1.04 to 4.64) of each utterance.

    Args:
        track: what was said.
        heard: the timeline from when it began, 16 kHz.
        delay: of the call; PESQ finds the delay of each part around it itself.
    """
    scores = []
    shift = round(delay * SCORE_RATE)
    for begin, until in track.utterances:
        low, high = round((begin - _BEFORE) * SCORE_RATE), round((until + _AFTER) * SCORE_RATE)
        said, got = track.score_samples[low:high], heard[low + shift : high + shift]
        scores.append(_score(said, got))
    return scores


def _score(said: Sound, got: Sound) -> float:
    from pesq import NoUtterancesError, pesq  # here: only the benchmarks need it, and it has to be compiled

    if len(got) < len(said):
        got = np.pad(got, (0, len(said) - len(got)))
    if not got.any():
        return WORST_MOS
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return float(pesq(SCORE_RATE, said, got, "wb"))
        except NoUtterancesError:
            return WORST_MOS


def judged(track: Track, heard: Sound) -> dict[str, float | None]:
    """`mos`, the mean over utterances, and `delay`, the median, with `delay_p95`; None where nothing was recognised."""
    lags = [lag for _, lag in delays(track, heard)]
    if not lags:
        return {"mos": WORST_MOS, "delay": None, "delay_p95": None}
    delay = float(np.median(lags))
    mos = float(np.mean(opinion_scores(track, heard, delay)))
    return {"mos": round(mos, 3), "delay": round(delay, 4), "delay_p95": round(float(np.quantile(lags, 0.95)), 4)}


def ssim(one: Luma, other: Luma) -> float:
    """Structural similarity of two luma planes of one size (Wang et al. 2004) in windows of 8 by 8."""
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    x, y = one.astype(np.float32), other.astype(np.float32)
    mean_x, mean_y = uniform_filter(x, 8), uniform_filter(y, 8)
    variance_x = uniform_filter(x * x, 8) - mean_x**2
    variance_y = uniform_filter(y * y, 8) - mean_y**2
    covariance = uniform_filter(x * y, 8) - mean_x * mean_y
    value = ((2 * mean_x * mean_y + c1) * (2 * covariance + c2)) / (
        (mean_x**2 + mean_y**2 + c1) * (variance_x + variance_y + c2)
    )
    return float(value[4:-4, 4:-4].mean())


def freezes(times: Floats, begin: float, end: float) -> tuple[int, float]:
    """How often no new picture came for more than 0.3 s between two moments, and for how many seconds in all."""
    inside = times[(times >= begin) & (times <= end)]
    gaps = np.diff(np.concatenate([[begin], np.sort(inside), [end]]))
    long = gaps[gaps > FREEZE_SECONDS]
    return len(long), float(long.sum())


def quantile(values: Any, share: float) -> float | None:
    """A quantile in three decimals; None of nothing."""
    return round(float(np.quantile(values, share)), 3) if len(values) else None
