"""What the header of a VP8 frame says (RFC 6386, section 9.1)."""

from __future__ import annotations


def is_key_frame(data: bytes) -> bool:
    """Whether a VP8 frame decodes without any earlier one: the lowest bit of its first byte is clear."""
    return bool(data) and data[0] & 1 == 0
