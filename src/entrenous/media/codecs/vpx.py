"""Encoders of VP8 (RFC 6386) and VP9 in real time, through libvpx with settings of our own.

The bit rate and the frame rate follow the network in place, without a key frame. A key frame is made when one is asked
for and never otherwise, and takes no more than `KEY_FRAME_SECONDS` of the rate. No picture is ever dropped in here:
what is not worth sending is not given to the encoder.
"""

from __future__ import annotations

import ctypes
import math
import weakref

import av

from ...errors import CodecError
from ..pictures import PictureConverter
from . import libvpx
from .base import Content, EncodedPicture, VideoCodec

TICKS = 90_000
"""Ticks a second of the time that the encoder knows: fine enough for any frame rate."""

KEY_FRAME_SECONDS = 0.3
"""Seconds of the bit rate that a key frame may take, if it can be made so small."""

LEAST_KEY_FRAME = 3.0
"""Times the mean frame that a key frame may take however low the frame rate: below, it is a smear."""

_FINEST_QUANTIZER, _COARSEST_QUANTIZER = 2, 63
"""Of 0 to 63. The coarsest is let in: a stream that keeps above the rate of the network is worse than an ugly one."""

_COARSER_QUANTIZERS = (36, 48, 56, _COARSEST_QUANTIZER)
"""What the first picture of VP9 is tried with until it is small enough; each step takes off about a half."""

_STATIC_THRESHOLD = {Content.CAMERA: 1, Content.SCREEN: 100}
"""Change below which a block counts as unchanged: screens stand still but for what really changes."""


class VpxEncoder:
    """Encodes pictures of one size, one encoded frame for each, without look-ahead, on the thread that calls.

    All calls, `close` too, come from one thread at a time; each lets the interpreter go on meanwhile.

    Args:
        codec: VP8 or VP9.
        width: pixels; even.
        height: pixels; even.
        bitrate: bits a second on average.
        fps: pictures a second that the bit rate is shared by.
        content: what the pictures show.

    Raises:
        CodecError: libvpx is missing or does not open with these numbers.
    """

    def __init__(
        self,
        codec: VideoCodec,
        width: int,
        height: int,
        *,
        bitrate: int = 1_000_000,
        fps: float = 30,
        content: Content = Content.CAMERA,
    ) -> None:
        if codec not in (VideoCodec.VP8, VideoCodec.VP9):
            raise CodecError(f"libvpx does not encode {codec}")
        if width <= 0 or height <= 0 or width % 2 or height % 2:
            raise CodecError(f"{codec} encodes pictures of an even size, not {width}x{height}")
        self.codec, self.width, self.height = codec, width, height
        self._library = libvpx.load()
        self._converter = PictureConverter()
        self._content = content
        self._configuration = self._library.defaults(self._library.interface(codec))
        self._configure()
        self._share(bitrate, fps)
        self._context: libvpx.Context | None
        self._open()
        self._image = libvpx.Image(
            fmt=libvpx.IMAGE_FORMAT_I420,
            w=width,
            h=height,
            bit_depth=8,
            d_w=width,
            d_h=height,
            x_chroma_shift=1,
            y_chroma_shift=1,
            bps=12,
        )

    def set_rate(self, bitrate: int, fps: float) -> None:
        """Encode at another bit rate and frame rate from the next picture on, without a key frame.

        Args:
            bitrate: bits a second on average.
            fps: pictures a second that are really encoded: the rate is shared by so many.

        Raises:
            CodecError: not positive, or the encoder is closed.
        """
        context = self._open_context()
        self._share(bitrate, fps)
        self._library.check(
            self._library.functions.vpx_codec_enc_config_set(ctypes.byref(context), ctypes.byref(self._configuration)),
            f"{self.codec} refuses {bitrate} bit/s",
        )
        self._bound_key_frames()

    def encode(self, picture: av.VideoFrame, *, key_frame: bool = False) -> EncodedPicture:
        """Encode one picture.

        Args:
            picture: any size and format; converted where it is not ours. It is only read, and not kept.
            key_frame: make this frame, and only this one, decodable without any other.

        Raises:
            CodecError: libvpx refuses the picture, or the encoder is closed.
        """
        context = self._open_context()
        readable = self._converter.readable(picture, self.width, self.height)
        for index, plane in enumerate(readable.planes):
            self._image.planes[index] = plane.buffer_ptr
            self._image.stride[index] = plane.line_size
        is_first = self._next_tick == 0.0
        encoded = self._encode(context, libvpx.FORCE_KEY_FRAME if key_frame else 0)
        if is_first and self.codec is VideoCodec.VP9 and len(encoded.data) > self._most_of_key_frame:
            return self._smaller_first()
        return encoded

    def close(self) -> None:
        """Give the encoder's memory back; harmless when repeated."""
        self._context = None
        self._destroy()

    def _open_context(self) -> libvpx.Context:
        if self._context is None:
            raise CodecError(f"this {self.codec} encoder is closed")
        return self._context

    def _smaller_first(self) -> EncodedPicture:
        """The first picture anew: VP9 guesses what one takes, and of a rough one takes up to four times its share."""
        for quantizer in _COARSER_QUANTIZERS:
            self._configuration.rc_min_quantizer = quantizer
            self.close()  # what does not open again is closed, and says so
            self._open()
            encoded = self._encode(self._open_context(), libvpx.FORCE_KEY_FRAME)
            if len(encoded.data) <= self._most_of_key_frame:
                break
        self._configuration.rc_min_quantizer = _FINEST_QUANTIZER
        self.set_rate(self.bitrate, self.fps)
        return encoded

    def _open(self) -> None:
        context = libvpx.Context()
        self._library.check(
            self._library.functions.vpx_codec_enc_init_ver(
                ctypes.byref(context),
                self._library.interface(self.codec),
                ctypes.byref(self._configuration),
                0,
                self._library.abi_version,
            ),
            f"the {self.codec} encoder could not be opened",
        )
        self._context = context
        self._destroy = weakref.finalize(self, self._library.functions.vpx_codec_destroy, context)
        self._next_tick = 0.0
        self._tune(self._content)
        self._bound_key_frames()

    @property
    def _most_of_key_frame(self) -> float:
        """Bytes that a key frame may take."""
        return self._mean_frames * self.bitrate / self.fps / 8

    @property
    def _mean_frames(self) -> float:
        """Times the mean frame that a key frame may take."""
        return max(LEAST_KEY_FRAME, KEY_FRAME_SECONDS * self.fps)

    def _encode(self, context: libvpx.Context, flags: int) -> EncodedPicture:
        """Encode the picture that `_image` describes as the next one."""
        begin, self._next_tick = self._next_tick, self._next_tick + TICKS / self.fps
        self._library.check(
            self._library.functions.vpx_codec_encode(
                ctypes.byref(context),
                ctypes.byref(self._image),
                round(begin),
                round(self._next_tick) - round(begin),
                flags,
                libvpx.DEADLINE_REALTIME,
            ),
            f"a picture could not be encoded as {self.codec}",
        )
        return self._encoded(context)

    def _encoded(self, context: libvpx.Context) -> EncodedPicture:
        """What libvpx has made of the last picture, copied out of its memory."""
        data, key_frame = b"", False
        iterator = ctypes.c_void_p()
        while packet := self._library.functions.vpx_codec_get_cx_data(ctypes.byref(context), ctypes.byref(iterator)):
            frame = packet.contents
            if frame.kind == libvpx.PACKET_IS_FRAME:
                data += ctypes.string_at(frame.buf, frame.sz)
                key_frame |= bool(frame.flags & libvpx.FRAME_IS_KEY)
        if not data:
            raise CodecError(f"the {self.codec} encoder gave no frame for a picture")
        return EncodedPicture(data, key_frame)

    def _configure(self) -> None:
        """What the encoder is opened with and keeps."""
        configuration = self._configuration
        configuration.g_w, configuration.g_h = self.width, self.height
        configuration.g_timebase.num, configuration.g_timebase.den = 1, TICKS
        # Threads of libvpx wait for each other in busy loops: two of them took twice the processor time at 720p for no
        # gain on idle cores (9 ms a picture against 6), and up to 250 ms a picture on busy ones.
        configuration.g_threads = 1
        configuration.g_lag_in_frames = 0
        # What error resilience gives up, the probabilities carried from frame to frame, it gives up for decoders that
        # go on without a frame. Ours do not: a frame is repaired, or a key frame asked for.
        configuration.g_error_resilient = 0
        configuration.rc_end_usage = libvpx.RATE_CONTROL_CBR
        configuration.rc_dropframe_thresh = 0
        configuration.rc_resize_allowed = 0
        configuration.rc_min_quantizer = _FINEST_QUANTIZER
        configuration.rc_max_quantizer = _COARSEST_QUANTIZER
        configuration.rc_undershoot_pct, configuration.rc_overshoot_pct = 100, 15
        # Milliseconds of the rate: how far the output may run ahead of the mean.
        configuration.rc_buf_sz = 1000
        configuration.rc_buf_initial_sz, configuration.rc_buf_optimal_sz = 500, 600
        configuration.kf_mode = libvpx.KEY_FRAMES_ON_REQUEST
        configuration.kf_min_dist, configuration.kf_max_dist = 0, 1 << 30

    def _share(self, bitrate: int, fps: float) -> None:
        if bitrate <= 0 or not 0 < fps <= TICKS:
            raise CodecError(f"{self.codec} needs a bit rate and a frame rate, not {bitrate} and {fps}")
        self.bitrate, self.fps = bitrate, fps
        self._configuration.rc_target_bitrate = max(1, round(bitrate / 1000))

    def _tune(self, content: Content) -> None:
        self._control(libvpx.SET_STATIC_THRESHOLD, _STATIC_THRESHOLD[content])
        match self.codec:
            case VideoCodec.VP8:
                self._control(libvpx.SET_CPU_USED, -8)
                self._control(libvpx.SET_NOISE_SENSITIVITY, 0)
                self._control(libvpx.SET_TOKEN_PARTITIONS, 0)
                self._control(libvpx.VP8_SET_SCREEN_CONTENT_MODE, int(content is Content.SCREEN))
            case _:
                self._control(libvpx.SET_CPU_USED, 9)
                self._control(libvpx.VP9_SET_NOISE_SENSITIVITY, 0)
                self._control(libvpx.VP9_SET_TILE_COLUMNS, 0)
                self._control(libvpx.VP9_SET_FRAME_PARALLEL_DECODING, 0)
                self._control(libvpx.VP9_SET_ADAPTIVE_QUANTIZATION, 3)
                self._control(libvpx.VP9_SET_TUNE_CONTENT, int(content is Content.SCREEN))

    def _bound_key_frames(self) -> None:
        self._control(libvpx.SET_MAX_INTRA_BITRATE_PERCENT, math.ceil(100 * self._mean_frames))

    def _control(self, request: int, value: int) -> None:
        self._library.check(
            self._library.functions.vpx_codec_control_(
                ctypes.byref(self._open_context()), request, ctypes.c_int(value)
            ),
            f"{self.codec} refuses {value} for setting {request}",
        )
