"""VP8 (RFC 6386) in real time, through libvpx in PyAV with settings of our own.

Settings measured at 720p30 and 1 Mbit/s on one thread: speed 6 without noise suppression takes 7-10 ms a picture
where the common `noise-sensitivity=4` takes 11-19, within 0.3 dB.
"""

from __future__ import annotations

from fractions import Fraction

import av
from av.error import FFmpegError
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType

from ...errors import CodecError
from ..pictures import own_copy
from .base import EncodedPicture

MAXIMUM_PIXELS = 4096 * 2304
"""Pixels of the largest picture that is decoded: a header of ten bytes may otherwise ask for 400 MB."""

LONGEST_KEY_FRAME_INTERVAL = 3000
"""Pictures between key frames nobody asked for: 100 s at 30 a second. Repair is by request, not by the clock."""

_KEY_FRAME_START = b"\x9d\x01\x2a"


class Vp8Encoder:
    """Encodes pictures of one size at one rate, one encoded frame for each, without look-ahead.

    Args:
        width: pixels; even.
        height: pixels; even.
        bitrate: bits a second on average.
        fps: pictures a second that the bit rate is shared by.

    Raises:
        CodecError: libvpx does not open with these numbers.
    """

    def __init__(self, width: int, height: int, *, bitrate: int = 1_000_000, fps: int = 30) -> None:
        if width <= 0 or height <= 0 or width % 2 or height % 2 or bitrate <= 0 or fps <= 0:
            raise CodecError(
                f"VP8 needs an even size, a bit rate and a frame rate, not {width}x{height}, {bitrate}, {fps}"
            )
        self.width, self.height, self.bitrate, self.fps = width, height, bitrate, fps
        self._next_pts = 0
        context = av.CodecContext.create("libvpx", "w")
        context.width, context.height, context.pix_fmt = width, height, "yuv420p"
        context.bit_rate = bitrate
        context.time_base = Fraction(1, fps)
        context.framerate = Fraction(fps)
        context.gop_size = LONGEST_KEY_FRAME_INTERVAL
        context.qmin, context.qmax = 2, 56
        # Threads of libvpx wait for each other in busy loops: two of them took twice the processor time at 720p for no
        # gain on idle cores (9 ms a picture against 6), and up to 250 ms a picture on busy ones.
        context.thread_count = 1
        context.options = {
            "deadline": "realtime",
            "cpu-used": "-6",
            "lag-in-frames": "0",
            "auto-alt-ref": "0",
            "error-resilient": "default",
            "noise-sensitivity": "0",
            "static-thresh": "1",
            # Constant bit rate: the same floor and ceiling, over one second of buffer.
            "minrate": str(bitrate),
            "maxrate": str(bitrate),
            "bufsize": str(bitrate),
            "undershoot-pct": "100",
            "overshoot-pct": "15",
        }
        try:
            context.open()
        except FFmpegError as error:
            raise CodecError(f"the VP8 encoder could not be opened: {error.strerror}") from error
        self._context: VideoCodecContext | None = context

    def encode(self, picture: av.VideoFrame, *, key_frame: bool = False) -> EncodedPicture:
        """Encode one picture.

        Args:
            picture: any size and format; converted where it is not ours. It is never changed.
            key_frame: make this frame, and only this one, decodable without any other.

        Raises:
            CodecError: libvpx refuses the picture, or the encoder is closed.
        """
        if self._context is None:
            raise CodecError("this VP8 encoder is closed")
        own = own_copy(picture, self.width, self.height)
        own.pts = self._next_pts
        own.time_base = self._context.time_base
        own.pict_type = PictureType.I if key_frame else PictureType.NONE
        self._next_pts += 1
        try:
            packets = self._context.encode(own)
        except FFmpegError as error:
            raise CodecError(f"a picture could not be encoded: {error.strerror}") from error
        data = b"".join(bytes(packet) for packet in packets)
        if not data:
            raise CodecError("the VP8 encoder gave no frame for a picture")
        return EncodedPicture(data, key_frame=is_key_frame(data))

    def close(self) -> None:
        """Give the encoder's memory back; harmless when repeated."""
        self._context = None


class Vp8Decoder:
    """Decodes whole VP8 frames; the first must be a key frame.

    Raises:
        CodecError: the decoder does not open.
    """

    def __init__(self) -> None:
        context = av.CodecContext.create("libvpx", "r")
        context.thread_count = 1
        self._context: VideoCodecContext | None = context
        self._has_reference = False

    def decode(self, data: bytes) -> av.VideoFrame | None:
        """Decode one frame; 1-4 ms at 720p.

        Returns:
            The picture in yuv420p, or None for a frame that is marked as not to be shown.

        Raises:
            CodecError: damaged, larger than `MAXIMUM_PIXELS`, without the key frame it builds on, or the decoder is
                closed. After damage the next frame to succeed may have to be a key frame: ask for one.
        """
        if self._context is None:
            raise CodecError("this VP8 decoder is closed")
        if len(data) < 3:
            raise CodecError("a VP8 frame has at least three bytes")
        if is_key_frame(data):
            width, height = key_frame_size(data)
            if width * height > MAXIMUM_PIXELS or not width or not height:
                raise CodecError(f"a VP8 picture of {width}x{height} is not accepted")
        elif not self._has_reference:
            raise CodecError("a VP8 stream must start with a key frame")
        try:
            pictures = self._context.decode(av.Packet(data))
        except FFmpegError as error:
            raise CodecError(f"a VP8 frame is damaged: {error.strerror}") from error
        self._has_reference = True
        return pictures[-1] if pictures else None

    def close(self) -> None:
        """Give the decoder's memory back; harmless when repeated."""
        self._context = None


def is_key_frame(data: bytes) -> bool:
    """Whether a VP8 frame decodes without any earlier one (RFC 6386, section 9.1: the lowest bit is clear)."""
    return bool(data) and data[0] & 1 == 0


def key_frame_size(data: bytes) -> tuple[int, int]:
    """Width and height that a key frame announces (RFC 6386, section 9.1).

    ::

        0        3          6        8        10
        | tag    | 9d 01 2a | width  | height | ...      14 bits each, little-endian; the upper two are a scale

    Raises:
        CodecError: too short, or without the start code.
    """
    if len(data) < 10 or data[3:6] != _KEY_FRAME_START:
        raise CodecError("a VP8 key frame without its start code")
    return int.from_bytes(data[6:8], "little") & 0x3FFF, int.from_bytes(data[8:10], "little") & 0x3FFF
