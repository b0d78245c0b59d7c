"""Which parts run."""

from __future__ import annotations

import pytest

from entrenous.media.processing.settings import Parts, Processing, Switch


@pytest.mark.parametrize(
    ("processing", "with_library", "without"),
    [
        (Processing(), Parts(True, True, False), Parts(False, False, False)),
        (Processing(headset=True), Parts(False, True, False), Parts(False, False, False)),
        (Processing(echo=Switch.ON, headset=True), Parts(False, True, False), Parts(False, False, False)),
        (Processing(echo=Switch.OFF, noise=Switch.OFF), Parts(False, False, False), Parts(False, False, False)),
        (Processing(gain=Switch.ON), Parts(True, True, True), Parts(False, False, True)),
    ],
)
def test_automatic_on_off_and_headset(processing: Processing, with_library: Parts, without: Parts) -> None:
    assert processing.parts(installed=True) == with_library
    assert processing.parts(installed=False) == without
    assert bool(without) == without.gain
