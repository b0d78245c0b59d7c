"""Quiet is told from speech."""

from __future__ import annotations

import numpy as np

from entrenous.media.blocks import is_quiet, silence


def test_quiet_is_told_from_speech() -> None:
    wave = np.sin(np.arange(960) / 20)
    assert is_quiet(silence())
    assert is_quiet((wave * 200).astype(np.int16))
    assert not is_quiet((wave * 3000).astype(np.int16))
    assert not is_quiet(np.full(960, -32768, np.int16))
