"""Small arithmetic on blocks of sound."""

from __future__ import annotations

import numpy as np

from .codecs.base import BLOCK_SAMPLES, Samples

QUIET_RMS = 300.0
"""Root mean square, of 32,768, below which a block is a pause between words rather than speech: -41 dB."""


def is_quiet(block: Samples) -> bool:
    """Whether a block is soft enough that an edit of its length goes unheard."""
    return float(np.mean(np.square(block, dtype=np.float32))) < QUIET_RMS * QUIET_RMS


def silence() -> Samples:
    """A new block of zeros."""
    return np.zeros(BLOCK_SAMPLES, np.int16)
