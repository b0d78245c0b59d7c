"""Decoding of pictures in any of our codecs, by FFmpeg's own decoders through PyAV.

Measured at 720p they take 1.5 to 3 ms a picture, as much as those of libvpx or less.
"""

from __future__ import annotations

import av
from av.error import FFmpegError
from av.video.codeccontext import VideoCodecContext

from ...errors import CodecError
from . import h264, vp8, vp9
from .base import VideoCodec

MAXIMUM_PIXELS = 4096 * 2304
"""Pixels of the largest picture that is decoded: a header of ten bytes may otherwise ask for 400 MB."""

_IS_KEY_FRAME = {
    VideoCodec.VP8: vp8.is_key_frame,
    VideoCodec.H264: h264.is_key_frame,
    VideoCodec.VP9: vp9.is_key_frame,
}

_OPTIONS = {
    "max_pixels": str(MAXIMUM_PIXELS),
    # A damaged frame is an error and not a picture that was guessed; no picture waits for those after it.
    "err_detect": "explode",
    "flags": "+low_delay",
}


def is_key_frame(codec: VideoCodec, data: bytes) -> bool:
    """Whether an encoded frame decodes without any earlier one; False for what is no frame at all."""
    return _IS_KEY_FRAME[codec](data)


class PictureDecoder:
    """Decodes whole frames of one codec; the first must be a key frame.

    All calls come from one thread at a time.

    Args:
        codec: of the frames.
    """

    def __init__(self, codec: VideoCodec) -> None:
        self.codec = codec
        context = av.CodecContext.create(codec.value, "r")
        context.thread_count = 1
        context.options = _OPTIONS
        self._context: VideoCodecContext | None = context
        self._has_reference = False

    def decode(self, data: bytes) -> av.VideoFrame | None:
        """Decode one frame.

        Returns:
            The picture in yuv420p, or None for a frame that shows nothing.

        Raises:
            CodecError: damaged, larger than `MAXIMUM_PIXELS`, of another format, without the key frame it builds on,
                or the decoder is closed. After damage the next frame to succeed may have to be a key frame: ask for
                one.
        """
        if self._context is None:
            raise CodecError(f"this {self.codec} decoder is closed")
        if not data:
            raise CodecError("an empty frame")
        if not self._has_reference and not is_key_frame(self.codec, data):
            raise CodecError(f"a stream of {self.codec} must start with a key frame")
        try:
            pictures = self._context.decode(av.Packet(data))
        except FFmpegError as error:
            raise CodecError(f"a frame of {self.codec} is damaged: {error.strerror}") from error
        self._has_reference = True
        if not pictures:
            return None
        picture = pictures[-1]
        match picture.format.name:
            case "yuv420p":
                return picture
            case "yuvj420p":  # the same with all 256 levels, as a remote may encode
                return picture.reformat(format="yuv420p")
            case other:
                raise CodecError(f"pictures of {self.codec} must be yuv420p, not {other}")

    def close(self) -> None:
        """Give the decoder's memory back; harmless when repeated."""
        self._context = None
