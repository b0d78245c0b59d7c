"""From one sample rate to another, in any steps and with a ratio that may change while it runs. Pure.

A windowed sinc, tabulated at many fractions of a sample: the nearest fraction is within a thousandth of a sample,
which keeps the error of speech below -70 dB. What is asked for is pulled, so that a sound card decides how much.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

_CROSSINGS: Final = 12
"""Zero crossings of the sinc on each side."""

_FRACTIONS: Final = 512
_KAISER: Final = 8.0
_PASS: Final = 0.94
"""Share of the band below the lower Nyquist frequency that passes."""


class Resampler:
    """Turns samples of one rate into those of another.

    Args:
        step: samples taken in for each one given out: 48000 / 44100 from 48 to 44.1 kHz. It may be changed a
            little (a percent) at any time through the attribute, to follow a clock.
    """

    def __init__(self, step: float = 1.0) -> None:
        self.step = step
        widening = max(1.0, step)
        self._reach = int(np.ceil(_CROSSINGS * widening))
        self._table = _table(self._reach, widening)
        self._buffer = np.zeros(self._reach, np.float32)
        self._position = 0.0
        """Of the next output sample's first tap in the buffer."""

    @property
    def waiting(self) -> int:
        """Samples taken in that are neither given out nor held back as what the filter has to see ahead."""
        return max(0, int(len(self._buffer) - 2 * self._reach + 1 - self._position))

    @property
    def available(self) -> int:
        """Samples that can be pulled now."""
        room = len(self._buffer) - 2 * self._reach - self._position
        return 0 if room < 0 else int(room / self.step) + 1

    def push(self, samples: NDArray[np.int16] | NDArray[np.float32]) -> None:
        """Take samples in; shape (n,)."""
        self._buffer = np.concatenate((self._buffer, samples), dtype=np.float32)

    def pull(self, count: int) -> NDArray[np.float32]:
        """Give `count` samples out, in the scale of those taken in.

        Raises:
            ValueError: so many are not `available`.
        """
        if count > self.available:
            raise ValueError(f"{count} samples are asked for and {self.available} are there")
        if self.step == 1.0 and self._position == 0.0:
            out: NDArray[np.float32] = self._buffer[self._reach - 1 : self._reach - 1 + count].copy()
            self._buffer = self._buffer[count:]
            return out  # nothing to compute, and nothing is computed until a clock has drifted
        at = self._position + self.step * np.arange(count)
        whole = at.astype(np.intp)
        fraction = ((at - whole) * _FRACTIONS).astype(np.intp)
        taps = np.lib.stride_tricks.sliding_window_view(self._buffer, 2 * self._reach)
        out = np.einsum("ij,ij->i", taps[whole], self._table[fraction])
        after = self._position + self.step * count
        done = min(int(after), len(self._buffer))
        self._buffer = self._buffer[done:]
        self._position = after - done
        return out

    def skip(self, count: int) -> None:
        """Leave the oldest samples out, at most as many as are waiting."""
        self._buffer = np.concatenate(
            (self._buffer[: self._reach], self._buffer[self._reach + min(count, self.waiting) :])
        )


def _table(reach: int, widening: float) -> NDArray[np.float32]:
    """The filter at every fraction: shape (fractions, 2 * reach), each row with a sum of 1."""
    fraction = (np.arange(_FRACTIONS) + 0.5)[:, None] / _FRACTIONS
    distance = np.arange(2 * reach)[None, :] - (reach - 1) - fraction
    cutoff = _PASS / widening
    window = np.i0(_KAISER * np.sqrt(np.clip(1 - (distance / reach) ** 2, 0, None)))
    rows = np.sinc(distance * cutoff) * window
    table: NDArray[np.float32] = (rows / rows.sum(axis=1, keepdims=True)).astype(np.float32)
    return table


def rounded(samples: NDArray[np.float32]) -> NDArray[np.int16]:
    """The nearest int16 samples; what is louder than they can say is clipped."""
    return np.clip(np.rint(samples), -32768, 32767).astype(np.int16)
