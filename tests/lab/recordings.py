"""Reads recordings back and finds in them what a test card put there."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from entrenous.media.sources.testcard import BEEP_HZ, read_frame_number, shows_flash

RATE = 48_000


@dataclass
class Recording:
    """What a file holds: sound at 48 kHz mono from time 0, and pictures with their seconds."""

    samples: NDArray[np.int16]
    pictures: list[tuple[float, av.VideoFrame]]

    @property
    def frame_numbers(self) -> list[int | None]:
        """The number that each picture of a test card carries."""
        return [read_frame_number(frame) for _, frame in self.pictures]

    def flashes(self) -> list[float]:
        """Seconds at which the square of a test card lights up."""
        lit = [(at, shows_flash(frame)) for at, frame in self.pictures]
        return [at for (_, before), (at, now) in pairwise(lit) if now and not before]

    def beeps(self) -> list[float]:
        """Seconds at which a beep begins: where a tone of its pitch first rises above a quarter of its strength."""
        time = np.arange(len(self.samples)) / RATE
        mixed = self.samples * np.exp(-2j * np.pi * BEEP_HZ * time)
        period = round(RATE / BEEP_HZ) * 2
        strength = np.abs(np.convolve(mixed, np.ones(period) / period, mode="full")[: len(mixed)])
        on = strength > strength.max() / 4
        starts = np.flatnonzero(on[1:] & ~on[:-1])
        kept: list[float] = []
        for start in starts / RATE:
            if not kept or start - kept[-1] > 0.5:
                kept.append(float(start))
        return kept

    def offsets(self) -> list[float]:
        """Seconds from each flash to its beep: positive where the sound lags."""
        beeps = np.array(self.beeps())
        return [float(beeps[np.abs(beeps - flash).argmin()] - flash) for flash in self.flashes()]


def read_sound(path: Path) -> NDArray[np.int16]:
    """The sound of a file at 48 kHz mono, from time 0 of the file; empty when it has none."""
    pieces: list[NDArray[np.int16]] = []
    resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
    with av.open(str(path)) as container:
        if not container.streams.audio:
            return np.empty(0, np.int16)
        for number, frame in enumerate(container.decode(audio=0)):
            if number == 0 and frame.time:
                pieces.append(np.zeros(max(0, round(frame.time * RATE)), np.int16))
            pieces += [piece.to_ndarray().reshape(-1) for piece in resampler.resample(frame)]
        pieces += [piece.to_ndarray().reshape(-1) for piece in resampler.resample(None)]
    return np.concatenate(pieces) if pieces else np.empty(0, np.int16)


def read_recording(path: Path) -> Recording:
    """Everything in a file."""
    pictures: list[tuple[float, av.VideoFrame]] = []
    with av.open(str(path)) as container:
        if container.streams.video:
            pictures = [(float(frame.time), frame) for frame in container.decode(video=0)]
    return Recording(read_sound(path), pictures)


def psnr(one: av.VideoFrame, other: av.VideoFrame) -> float:
    """Peak signal-to-noise ratio of the brightness of two pictures of one size, dB."""
    a, b = (frame.to_ndarray(format="gray").astype(np.float64) for frame in (one, other))
    error = float(np.mean((a - b) ** 2))
    return 99.0 if error == 0 else 10 * np.log10(255**2 / error)


def dominant_hz(samples: NDArray[np.int16]) -> float:
    """The strongest frequency in a piece of sound."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    spectrum[: round(20 * len(samples) / RATE)] = 0
    return float(spectrum.argmax() * RATE / len(samples))
