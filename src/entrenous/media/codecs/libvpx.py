"""The libvpx that every wheel of PyAV carries, bound with ctypes: its encoders of VP8 and VP9.

PyAV opens the same encoders but cannot change their bit rate afterwards, nor bound their key frames; the library
beneath does both. Its configuration is one large structure whose layout belongs to a version of the interface, so a
library is taken only when the layout below is proven to be its own.

API: https://chromium.googlesource.com/webm/libvpx, `vpx/vpx_encoder.h`, `vpx/vpx_image.h`, `vpx/vp8cx.h` (v1.14-1.16).
"""

from __future__ import annotations

import ctypes
import functools
from ctypes import c_char_p, c_int, c_int64, c_long, c_size_t, c_uint, c_uint32, c_ulong, c_void_p
from dataclasses import dataclass

from ...errors import CodecError
from .bundled import candidates, first_fitting

ABI_VERSIONS = (39, 38, 37, 36)
"""Versions of the encoder interface whose structures are those below (27, and what its unused rate control adds)."""

IMAGE_FORMAT_I420 = 0x102
RATE_CONTROL_CBR = 1
KEY_FRAMES_ON_REQUEST = 0
DEADLINE_REALTIME = 1
FORCE_KEY_FRAME = 1
PACKET_IS_FRAME = 0
FRAME_IS_KEY = 1

SET_CPU_USED = 13
SET_NOISE_SENSITIVITY = 15
SET_STATIC_THRESHOLD = 17
SET_TOKEN_PARTITIONS = 18
SET_MAX_INTRA_BITRATE_PERCENT = 26
VP8_SET_SCREEN_CONTENT_MODE = 31
VP9_SET_TILE_COLUMNS = 33
VP9_SET_FRAME_PARALLEL_DECODING = 35
VP9_SET_ADAPTIVE_QUANTIZATION = 36
VP9_SET_NOISE_SENSITIVITY = 38
VP9_SET_TUNE_CONTENT = 43


class Rational(ctypes.Structure):
    """`vpx_rational`."""

    _fields_ = (("num", c_int), ("den", c_int))


class FixedBuffer(ctypes.Structure):
    """`vpx_fixed_buf`."""

    _fields_ = (("buf", c_void_p), ("sz", c_size_t))


class Configuration(ctypes.Structure):
    """`vpx_codec_enc_cfg`: what an encoder is opened with, and set to later."""

    _fields_ = (
        ("g_usage", c_uint),
        ("g_threads", c_uint),
        ("g_profile", c_uint),
        ("g_w", c_uint),
        ("g_h", c_uint),
        ("g_bit_depth", c_int),
        ("g_input_bit_depth", c_uint),
        ("g_timebase", Rational),
        ("g_error_resilient", c_uint32),
        ("g_pass", c_int),
        ("g_lag_in_frames", c_uint),
        ("rc_dropframe_thresh", c_uint),
        ("rc_resize_allowed", c_uint),
        ("rc_scaled_width", c_uint),
        ("rc_scaled_height", c_uint),
        ("rc_resize_up_thresh", c_uint),
        ("rc_resize_down_thresh", c_uint),
        ("rc_end_usage", c_int),
        ("rc_twopass_stats_in", FixedBuffer),
        ("rc_firstpass_mb_stats_in", FixedBuffer),
        ("rc_target_bitrate", c_uint),
        ("rc_min_quantizer", c_uint),
        ("rc_max_quantizer", c_uint),
        ("rc_undershoot_pct", c_uint),
        ("rc_overshoot_pct", c_uint),
        ("rc_buf_sz", c_uint),
        ("rc_buf_initial_sz", c_uint),
        ("rc_buf_optimal_sz", c_uint),
        ("rc_2pass_vbr_bias_pct", c_uint),
        ("rc_2pass_vbr_minsection_pct", c_uint),
        ("rc_2pass_vbr_maxsection_pct", c_uint),
        ("rc_2pass_vbr_corpus_complexity", c_uint),
        ("kf_mode", c_int),
        ("kf_min_dist", c_uint),
        ("kf_max_dist", c_uint),
        ("ss_number_layers", c_uint),
        ("ss_enable_auto_alt_ref", c_int * 5),
        ("ss_target_bitrate", c_uint * 5),
        ("ts_number_layers", c_uint),
        ("ts_target_bitrate", c_uint * 5),
        ("ts_rate_decimator", c_uint * 5),
        ("ts_periodicity", c_uint),
        ("ts_layer_id", c_uint * 16),
        ("layer_target_bitrate", c_uint * 12),
        ("temporal_layering_mode", c_int),
        ("use_vizier_rc_params", c_int),
        ("vizier_factors", Rational * 15),
    )


class Context(ctypes.Structure):
    """`vpx_codec_ctx`: one open encoder."""

    _fields_ = (
        ("name", c_char_p),
        ("iface", c_void_p),
        ("err", c_int),
        ("err_detail", c_char_p),
        ("init_flags", c_long),
        ("config", c_void_p),
        ("priv", c_void_p),
    )


class Image(ctypes.Structure):
    """`vpx_image`: one picture in memory, described to the encoder and never owned by it."""

    _fields_ = (
        ("fmt", c_int),
        ("cs", c_int),
        ("range", c_int),
        ("w", c_uint),
        ("h", c_uint),
        ("bit_depth", c_uint),
        ("d_w", c_uint),
        ("d_h", c_uint),
        ("r_w", c_uint),
        ("r_h", c_uint),
        ("x_chroma_shift", c_uint),
        ("y_chroma_shift", c_uint),
        ("planes", c_void_p * 4),
        ("stride", c_int * 4),
        ("bps", c_int),
        ("user_priv", c_void_p),
        ("img_data", c_void_p),
        ("img_data_owner", c_int),
        ("self_allocd", c_int),
        ("fb_priv", c_void_p),
    )


class FramePacket(ctypes.Structure):
    """The beginning of `vpx_codec_cx_pkt` when it holds a frame; libvpx alone makes these."""

    _fields_ = (
        ("kind", c_int),
        ("buf", c_void_p),
        ("sz", c_size_t),
        ("pts", c_int64),
        ("duration", c_ulong),
        ("flags", c_uint32),
    )


@dataclass(frozen=True, slots=True)
class Library:
    """A libvpx whose structures are known to be ours.

    Args:
        functions: the loaded library, every signature declared.
        abi_version: what its encoders are opened with.
    """

    functions: ctypes.CDLL
    abi_version: int

    def interface(self, name: str) -> int:
        """The address of an encoder: "vp8" or "vp9"."""
        address: int | None = getattr(self.functions, f"vpx_codec_{name}_cx")()
        if address is None:
            raise CodecError(f"this libvpx has no encoder of {name}")
        return address

    def defaults(self, interface: int) -> Configuration:
        """The configuration that libvpx recommends for an encoder."""
        configuration = Configuration()
        self.check(
            self.functions.vpx_codec_enc_config_default(interface, ctypes.byref(configuration), 0),
            "libvpx gave no configuration",
        )
        return configuration

    def check(self, code: int, what: str) -> None:
        """Raise CodecError for any of libvpx' error codes but 0, which is success."""
        if code:
            reason: bytes = self.functions.vpx_codec_err_to_string(code)
            raise CodecError(f"{what}: {reason.decode('ascii')}")


@functools.cache
def load() -> Library:
    """The library, proven to fit, loaded once per process.

    Raises:
        CodecError: there is no libvpx beside PyAV nor on the system, or only ones with other structures.
    """
    return first_fitting(
        candidates("vpx"),
        _bind,
        absent="libvpx was not found: install PyAV from its wheel (pip install av)",
        misfit="libvpx has another interface than 1.14 to 1.16: install PyAV from its wheel (pip install av)",
    )


def _bind(path: str) -> Library | None:
    functions = ctypes.CDLL(path)
    _declare(functions)
    abi_version = _fitting_abi_version(functions)
    return None if abi_version is None else Library(functions, abi_version)


def _declare(functions: ctypes.CDLL) -> None:
    """Give each function its C signature: without one, ctypes would cut pointers to 32 bits."""
    context, configuration = ctypes.POINTER(Context), ctypes.POINTER(Configuration)
    signatures = {
        "vpx_codec_vp8_cx": (c_void_p, []),
        "vpx_codec_vp9_cx": (c_void_p, []),
        "vpx_codec_err_to_string": (c_char_p, [c_int]),
        "vpx_codec_enc_config_default": (c_int, [c_void_p, configuration, c_uint]),
        "vpx_codec_enc_init_ver": (c_int, [context, c_void_p, configuration, c_long, c_int]),
        "vpx_codec_enc_config_set": (c_int, [context, configuration]),
        "vpx_codec_encode": (c_int, [context, ctypes.POINTER(Image), c_int64, c_ulong, c_long, c_ulong]),
        "vpx_codec_get_cx_data": (ctypes.POINTER(FramePacket), [context, ctypes.POINTER(c_void_p)]),
        "vpx_codec_destroy": (c_int, [context]),
        # Variadic. Only the fixed arguments are declared: that is how ctypes learns where the variable ones begin,
        # which arm64 macOS passes on the stack instead of in registers.
        "vpx_codec_control_": (c_int, [context, c_int]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(functions, name)
        function.restype = result
        function.argtypes = arguments


def _fitting_abi_version(functions: ctypes.CDLL) -> int | None:
    """The version under which an encoder opens, if our structures are the library's; None where they are not."""
    interface = functions.vpx_codec_vp8_cx()
    if not _layout_fits(functions, interface):
        return None
    for version in ABI_VERSIONS:
        context, configuration = Context(), Configuration()
        functions.vpx_codec_enc_config_default(interface, ctypes.byref(configuration), 0)
        if functions.vpx_codec_enc_init_ver(ctypes.byref(context), interface, ctypes.byref(configuration), 0, version):
            continue
        functions.vpx_codec_destroy(ctypes.byref(context))
        return version
    return None


def _layout_fits(functions: ctypes.CDLL, interface: int) -> bool:
    """Whether the documented defaults of VP8 stand where our structure has them, and end where it ends."""
    size, untouched = ctypes.sizeof(Configuration), b"\xa5" * 256
    memory = ctypes.create_string_buffer(b"\xa5" * size + untouched, size + len(untouched))
    configuration = Configuration.from_buffer(memory)
    if functions.vpx_codec_enc_config_default(interface, ctypes.byref(configuration), 0):
        return False
    defaults = (
        (configuration.g_w, configuration.g_h, configuration.g_bit_depth, configuration.g_input_bit_depth),
        (configuration.g_timebase.num, configuration.g_timebase.den, configuration.rc_target_bitrate),
        (configuration.rc_max_quantizer, configuration.rc_buf_sz, configuration.rc_2pass_vbr_maxsection_pct),
        (configuration.kf_mode, configuration.kf_max_dist),
        (configuration.ss_number_layers, configuration.ts_number_layers, configuration.use_vizier_rc_params),
        tuple((factor.num, factor.den) for factor in configuration.vizier_factors),
    )
    expected = ((320, 240, 8, 8), (1, 30, 256), (63, 6000, 400), (1, 128), (1, 1, 0), ((1, 1),) * 15)
    return defaults == expected and memory.raw[size:] == untouched
