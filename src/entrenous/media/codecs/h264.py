"""H264 (ITU-T H.264) in real time: constrained baseline through libx264, in byte-stream format (its annex B).

Every key frame carries the parameter sets it needs. The bit rate and the frame rate follow the network in place,
without a key frame; a key frame is made when one is asked for and never otherwise.
"""

from __future__ import annotations

import ctypes
import weakref

import av

from ...errors import CodecError
from ..pictures import PictureConverter
from . import libx264
from .base import EncodedPicture

NOMINAL_FPS = 30
"""Pictures a second that x264 believes in. It cannot be told another once it is open, and only shares the bit rate by
it: half of the pictures at the same rate are, to x264, all of them at twice the rate."""

BUFFER_SECONDS = 0.3
"""Seconds of the bit rate that the output may run ahead of the mean, as a key frame does most. x264 also forgets by it
how it used to share another rate: with a whole second it takes three to use a rate that has risen."""

_SETTINGS = (
    ("threads", 1),
    ("sliced-threads", 0),
    ("keyint", "infinite"),
    ("scenecut", 0),
    ("repeat-headers", 1),
    ("annexb", 1),
    ("force-cfr", 1),
    ("log", -1),
    ("me", "hex"),
    ("subme", 2),
    ("psy", 0),
    ("aq-mode", 0),
)
"""One thread and one slice a picture; key frames on request alone; nothing printed. A better search at the price of
what is meant to please the eye in films: half a decibel more at 1 Mbit/s for the same time."""

_SLICES = range(1, 6)
_IDR_SLICE = 5


class H264Encoder:
    """Encodes pictures of one size, one encoded frame for each, without look-ahead, on the thread that calls.

    All calls, `close` too, come from one thread at a time; each lets the interpreter go on meanwhile.

    Args:
        width: pixels; even.
        height: pixels; even.
        bitrate: bits a second on average.
        fps: pictures a second that the bit rate is shared by.

    Raises:
        CodecError: libx264 is missing or does not open with these numbers.
    """

    def __init__(self, width: int, height: int, *, bitrate: int = 1_000_000, fps: float = 30) -> None:
        if width <= 0 or height <= 0 or width % 2 or height % 2:
            raise CodecError(f"h264 encodes pictures of an even size, not {width}x{height}")
        self.width, self.height = width, height
        self._library = libx264.load()
        self._next_pts = 0
        self._converter = PictureConverter()
        self._parameters = self._library.parameters()
        self._parameters.width, self._parameters.height = width, height
        for name, value in _SETTINGS:
            self._library.set(self._parameters, name, value)
        self._library.set(self._parameters, "fps", NOMINAL_FPS)
        self._share(bitrate, fps)
        if self._library.functions.x264_param_apply_profile(ctypes.byref(self._parameters), libx264.PROFILE):
            raise CodecError("libx264 does not know its profile")
        handle: int | None = self._library.open(ctypes.byref(self._parameters))
        if handle is None:
            raise CodecError(f"the h264 encoder could not be opened for {width}x{height}")
        self._handle: int | None = handle
        self._close = weakref.finalize(self, self._library.functions.x264_encoder_close, handle)
        self._made = libx264.Picture()

    def set_rate(self, bitrate: int, fps: float) -> None:
        """Encode at another bit rate and frame rate from the next picture on, without a key frame.

        Args:
            bitrate: bits a second on average.
            fps: pictures a second that are really encoded: the rate is shared by so many.

        Raises:
            CodecError: not positive, or the encoder is closed.
        """
        handle = self._open_handle()
        self._share(bitrate, fps)
        if self._library.functions.x264_encoder_reconfig(handle, ctypes.byref(self._parameters)) < 0:
            raise CodecError(f"h264 refuses {bitrate} bit/s")

    def encode(self, picture: av.VideoFrame, *, key_frame: bool = False) -> EncodedPicture:
        """Encode one picture.

        Args:
            picture: any size and format; converted where it is not ours. It is only read, and not kept.
            key_frame: make this frame, and only this one, decodable without any other.

        Raises:
            CodecError: libx264 refuses the picture, or the encoder is closed.
        """
        handle = self._open_handle()
        readable = self._converter.readable(picture, self.width, self.height)
        given = libx264.Picture()
        self._library.functions.x264_picture_init(ctypes.byref(given))
        given.type = libx264.PICTURE_IDR if key_frame else libx264.PICTURE_AUTO
        given.pts = self._next_pts
        self._next_pts += 1
        given.image.colours, given.image.plane_count = libx264.COLOURS_I420, 3
        for index, plane in enumerate(readable.planes):
            given.image.planes[index] = plane.buffer_ptr
            given.image.strides[index] = plane.line_size
        units, count = ctypes.POINTER(libx264.NalUnit)(), ctypes.c_int()
        size = self._library.functions.x264_encoder_encode(
            handle, ctypes.byref(units), ctypes.byref(count), ctypes.byref(given), ctypes.byref(self._made)
        )
        if size <= 0:
            raise CodecError("a picture could not be encoded as h264")
        # The first frame brings a message with every setting of the encoder in words: nobody's business, and 700 bytes.
        data = b"".join(
            ctypes.string_at(unit.payload, unit.size) for unit in units[: count.value] if unit.type != libx264.NAL_SEI
        )
        return EncodedPicture(data, bool(self._made.key_frame))

    def close(self) -> None:
        """Give the encoder's memory back; harmless when repeated."""
        self._handle = None
        self._close()

    def _open_handle(self) -> int:
        if self._handle is None:
            raise CodecError("this h264 encoder is closed")
        return self._handle

    def _share(self, bitrate: int, fps: float) -> None:
        if bitrate <= 0 or not 0 < fps <= 1000:
            raise CodecError(f"h264 needs a bit rate and a frame rate, not {bitrate} and {fps}")
        self.bitrate, self.fps = bitrate, fps
        kilobits = max(1, round(bitrate * NOMINAL_FPS / fps / 1000))
        self._library.set(self._parameters, "bitrate", kilobits)
        self._library.set(self._parameters, "vbv-maxrate", kilobits)
        self._library.set(self._parameters, "vbv-bufsize", max(1, round(bitrate * BUFFER_SECONDS / 1000)))


def is_key_frame(data: bytes) -> bool:
    """Whether an H264 frame decodes without any earlier one: its first slice is one of an IDR picture.

    ITU-T H.264, section 7.3.1 and annex B: `00 00 01`, then a byte whose lower five bits are the type of the unit.
    """
    at = data.find(b"\x00\x00\x01")
    while 0 <= at < len(data) - 3:
        unit_type = data[at + 3] & 0x1F
        if unit_type in _SLICES:
            return unit_type == _IDR_SLICE
        at = data.find(b"\x00\x00\x01", at + 3)
    return False
