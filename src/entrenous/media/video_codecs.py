"""Which codec a call's pictures use, and what encodes and decodes it.

Measured at 720p30 and 1 Mbit/s on one thread, a picture of a talking person: VP8 takes 6.7 ms to encode and 1.8 to
decode, H264 7.1 and 1.4, VP9 9.7 and 2.8; their SSIM is 0.978, 0.983 and 0.987. At 300 kbit/s only VP9 and H264 keep to
the rate, H264 by far the uglier. `codec_choice` weighs that from moment to moment.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Sequence

from ..errors import CodecError
from .codecs import libvpx, libx264
from .codecs.base import Content, VideoCodec, VideoDecoder, VideoEncoder
from .codecs.h264 import H264Encoder
from .codecs.picture_decoder import PictureDecoder, is_key_frame
from .codecs.vpx import VpxEncoder

__all__ = [
    "best_codecs",
    "cheaper_codec",
    "choose_codec",
    "is_key_frame",
    "make_decoder",
    "make_encoder",
]

_BY_QUALITY = (VideoCodec.VP9, VideoCodec.VP8, VideoCodec.H264)
"""Best picture for the rate first."""

_BY_EFFORT = (VideoCodec.VP8, VideoCodec.H264, VideoCodec.VP9)
"""Least work for the encoder first."""


@functools.cache
def best_codecs() -> tuple[VideoCodec, ...]:
    """The codecs that this machine encodes and decodes, the preferred one first; empty without any library."""
    return tuple(codec for codec in _BY_QUALITY if _is_there(codec))


def _is_there(codec: VideoCodec) -> bool:
    try:
        match codec:
            case VideoCodec.VP8 | VideoCodec.VP9:
                libvpx.load().interface(codec)
            case VideoCodec.H264:
                libx264.load()
    except CodecError:
        return False
    return True


def choose_codec(preferred: Sequence[VideoCodec], accepted: Collection[VideoCodec]) -> VideoCodec | None:
    """The codec that a sender uses: the first of its own that the receiver takes, None when there is none.

    Args:
        preferred: what the sender encodes, in its order.
        accepted: what the receiver decodes.
    """
    return next((codec for codec in preferred if codec in accepted), None)


def cheaper_codec(codec: VideoCodec, usable: Collection[VideoCodec]) -> VideoCodec | None:
    """What an encoder that cannot keep up may change to: the codec of least work, None when nothing takes less.

    Args:
        codec: in use.
        usable: what this end encodes and the other decodes.
    """
    return choose_codec(_BY_EFFORT[: _BY_EFFORT.index(codec)], usable)


def make_encoder(
    codec: VideoCodec, width: int, height: int, bitrate: int, fps: float, content: Content = Content.CAMERA
) -> VideoEncoder:
    """Open an encoder.

    Args:
        codec: to encode with.
        width: pixels, even; pictures of other sizes are scaled.
        height: pixels, even.
        bitrate: bits a second on average.
        fps: pictures a second.
        content: what the pictures show.

    Raises:
        CodecError: the codec's library is missing, or refuses these numbers.
    """
    match codec:
        case VideoCodec.VP8 | VideoCodec.VP9:
            return VpxEncoder(codec, width, height, bitrate=bitrate, fps=fps, content=content)
        case VideoCodec.H264:
            return H264Encoder(width, height, bitrate=bitrate, fps=fps)


def make_decoder(codec: VideoCodec) -> VideoDecoder:
    """Open a decoder, which bounds the size of what it decodes."""
    return PictureDecoder(codec)
