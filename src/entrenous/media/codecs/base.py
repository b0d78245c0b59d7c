"""The one small interface that every codec has, so that senders and receivers know no codec by name.

Sound is 48 kHz mono in blocks of exactly 20 ms: `numpy.int16` arrays of shape (960,). Pictures are
`av.VideoFrame` in yuv420p. What a codec takes and gives are whole encoded frames; packets are the
business of `payload` formats and senders.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import av
import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE = 48_000
"""Samples a second of everything that is played or captured."""

BLOCK_SAMPLES = 960
"""Samples of one block: 20 ms."""

BLOCK_SECONDS = 0.020
"""Length of one block."""

Samples = NDArray[np.int16]
"""One block of sound, shape (960,)."""


@dataclass(frozen=True, slots=True)
class EncodedPicture:
    """One encoded frame of a video codec.

    Args:
        data: the bytes of the whole frame.
        key_frame: whether it decodes without any earlier frame.
    """

    data: bytes
    key_frame: bool


class AudioEncoder(Protocol):
    """Encodes one block after the other."""

    def encode(self, block: Samples) -> bytes:
        """Encode 20 ms; raises CodecError when the block has another shape or type."""

    def close(self) -> None:
        """Give the codec's memory back; further calls raise."""


class AudioDecoder(Protocol):
    """Decodes packets and conceals missing ones; every call yields exactly one block of 20 ms."""

    def decode(self, packet: bytes) -> Samples:
        """Decode one packet; raises CodecError when it is malformed or not 20 ms long."""

    def recover(self, next_packet: bytes) -> Samples:
        """The lost block from the in-band FEC of the packet after it (concealment where it has none)."""

    def conceal(self) -> Samples:
        """A plausible block in place of a lost one (PLC)."""

    def close(self) -> None:
        """Give the codec's memory back; further calls raise."""


class VideoEncoder(Protocol):
    """Encodes pictures in real time with no look-ahead: one picture in, one encoded frame out."""

    def encode(self, picture: av.VideoFrame, *, key_frame: bool = False) -> EncodedPicture:
        """Encode one picture; `key_frame` forces one that stands alone. Never changes the caller's frame."""

    def close(self) -> None:
        """Give the codec's memory back; further calls raise."""


class VideoDecoder(Protocol):
    """Decodes whole encoded frames."""

    def decode(self, data: bytes) -> av.VideoFrame | None:
        """The picture of this frame, None when the codec shows nothing for it; raises CodecError when malformed."""

    def close(self) -> None:
        """Give the codec's memory back; further calls raise."""
