"""Cross-fades keep both ends; quiet is told from speech."""

from __future__ import annotations

import numpy as np

from entrenous.media.blocks import cross_fade, is_quiet, silence


def test_a_cross_fade_begins_as_the_first_and_ends_as_the_second() -> None:
    first, second = np.full(960, -20_000, np.int16), np.full(960, 30_000, np.int16)
    mixed = cross_fade(first, second)
    assert mixed.dtype == np.int16
    assert (mixed[0], mixed[-1]) == (-20_000, 30_000)
    assert np.all(np.diff(mixed.astype(int)) >= 0)


def test_a_cross_fade_of_one_sound_with_itself_is_that_sound() -> None:
    block = np.random.default_rng(1).integers(-32768, 32767, 960).astype(np.int16)
    assert np.array_equal(cross_fade(block, block), block)


def test_quiet_is_told_from_speech() -> None:
    wave = np.sin(np.arange(960) / 20)
    assert is_quiet(silence())
    assert is_quiet((wave * 200).astype(np.int16))
    assert not is_quiet((wave * 3000).astype(np.int16))
    assert not is_quiet(np.full(960, -32768, np.int16))
