"""What the header of a VP9 frame says (VP9 bitstream specification, section 6.2)."""

from __future__ import annotations

_FRAME_MARKER = 0b10
_RESERVED_PROFILE = 3


def is_key_frame(data: bytes) -> bool:
    """Whether a VP9 frame decodes without any earlier one.

    ::

        bits    2        1            1            (1)        1                     1
                marker   profile low  profile high reserved   show existing frame   frame type, 0: key

    The reserved bit is there in profile 3 only. A frame that shows an earlier one has no type and is no key frame.
    """
    if not data or data[0] >> 6 != _FRAME_MARKER:
        return False
    profile = data[0] >> 5 & 1 | (data[0] >> 4 & 1) << 1
    rest = data[0] << 1 if profile == _RESERVED_PROFILE else data[0]
    return rest & 0b1100 == 0
