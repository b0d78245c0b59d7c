"""The header of a VP8 frame is read."""

from __future__ import annotations

import pytest

from entrenous.media.codecs.vp8 import is_key_frame


@pytest.mark.parametrize(
    ("data", "key_frame"),
    [(b"\x10\x02\x00\x9d\x01\x2a", True), (b"\x11\x02\x00", False), (b"\x00", True), (b"", False)],
)
def test_a_key_frame_is_told_by_the_lowest_bit(data: bytes, key_frame: bool) -> None:
    assert is_key_frame(data) is key_frame
