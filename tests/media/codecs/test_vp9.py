"""The header of a VP9 frame is read."""

from __future__ import annotations

import pytest

from entrenous.media.codecs.vp9 import is_key_frame


@pytest.mark.parametrize(
    ("bits", "key_frame"),
    [
        ("10 0 0 0 0 1 0", True),
        ("10 0 0 0 1 1 0", False),
        ("10 0 0 1 0 0 0", False),
        ("10 1 0 0 0 1 0", True),
        ("10 0 1 0 1 1 0", False),
        ("10 1 1 0 0 0 1", True),
        ("10 1 1 0 0 1 1", False),
        ("10 1 1 0 1 0 1", False),
        ("11 0 0 0 0 1 0", False),
        ("00 0 0 0 0 1 0", False),
    ],
    ids=["key", "inter", "shows another", "profile 1", "profile 2", "profile 3", "profile 3 inter", "profile 3 shows",
         "marker 3", "marker 0"],
)  # fmt: skip
def test_a_key_frame_is_told_by_its_type(bits: str, key_frame: bool) -> None:
    assert is_key_frame(bytes([int(bits.replace(" ", ""), 2), 0x49, 0x83])) is key_frame


def test_nothing_is_no_key_frame() -> None:
    assert not is_key_frame(b"")
