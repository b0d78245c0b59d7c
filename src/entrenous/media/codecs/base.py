"""The one small interface that every codec has, so that senders and receivers know no codec by name.

Sound is 48 kHz mono in blocks of 20 ms: `numpy.int16` arrays of shape (960,); a packet carries one, two or three of
them. Pictures are `av.VideoFrame` in yuv420p. What a codec takes and gives are whole encoded frames; packets are the
business of `payload` formats and senders.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
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

MAX_PACKET_BLOCKS = 3
"""Blocks in the longest packet of sound: 60 ms."""

Samples = NDArray[np.int16]
"""Sound: one block, shape (960,), or as many as a packet carries, shape (960 to 2880,)."""


class VideoCodec(StrEnum):
    """What pictures are encoded with; the values are the names in `a=rtpmap`, in lower case."""

    VP8 = "vp8"
    H264 = "h264"
    VP9 = "vp9"


class Content(StrEnum):
    """What pictures show, which encoders and the picture ladder treat differently."""

    CAMERA = "camera"
    """People and places: smooth movement matters more than the last detail."""

    SCREEN = "screen"
    """A shared screen: text must be sharp, and may come late."""


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
    """Encodes the sound of one packet after the other."""

    def tune(self, bitrate: int) -> None:
        """Search as hard as pays at this bit rate."""

    def arm_fec(self, expected_loss_percent: int) -> None:
        """Let packets carry a copy of the sound before them, for a path that loses so many; 0: none."""

    def encode(self, samples: Samples, size: int) -> bytes:
        """Encode 20, 40 or 60 ms into exactly `size` bytes; raises CodecError for another shape, type or size."""

    def close(self) -> None:
        """Give the codec's memory back; further calls raise."""


class AudioDecoder(Protocol):
    """Decodes packets and conceals missing ones; each result is a new array."""

    def decode(self, packet: bytes) -> Samples:
        """The 20, 40 or 60 ms of one packet; raises CodecError when it is malformed or of another length."""

    def recover(self, next_packet: bytes) -> Samples:
        """The lost 20 ms before a packet, from its in-band FEC (concealment where it has none)."""

    def conceal(self, samples: int = BLOCK_SAMPLES) -> Samples:
        """A plausible sound in place of a lost one (PLC), `samples` long: a multiple of 120 up to 5760."""

    def save(self) -> bytes:
        """All that the decoder remembers of the sound so far, for `restore`."""

    def restore(self, memory: bytes) -> None:
        """Go back to what was saved from this decoder."""

    def close(self) -> None:
        """Give the codec's memory back; further calls raise."""


class VideoEncoder(Protocol):
    """Encodes pictures in real time with no look-ahead: one picture in, one encoded frame out.

    All calls come from one thread at a time. The first frame is a key frame; then only those that are asked for are.
    """

    def set_rate(self, bitrate: int, fps: float) -> None:
        """Encode at another bit rate (bits a second) and frame rate from the next picture on, without a key frame."""

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
