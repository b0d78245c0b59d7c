"""The libx264 that every wheel of PyAV carries, bound with ctypes.

PyAV opens the same encoder and passes a new bit rate on, but not the buffer that goes with it: a lower rate is reached
after seconds, and a higher one never. Settings are given by name; of the large structure that holds them only the
beginning is known here, which is compared with the documented defaults before it is used.

API: https://code.videolan.org/videolan/x264, `x264.h` (builds 164 and 165).
"""

from __future__ import annotations

import ctypes
import functools
from ctypes import c_char_p, c_double, c_int, c_int64, c_uint32, c_void_p
from dataclasses import dataclass

from ...errors import CodecError
from .bundled import candidates, first_fitting

BUILDS = (165, 164)
"""Builds of the interface whose structures are those below; a library exports one of them by name."""

PRESET = b"superfast"
TUNE = b"zerolatency"
PROFILE = b"baseline"

COLOURS_I420 = 2
PICTURE_AUTO = 0
PICTURE_IDR = 1
NAL_SEI = 6


class Parameters(ctypes.Structure):
    """The beginning of `x264_param_t`, and more room than the rest of it takes."""

    _fields_ = (
        ("cpu", c_uint32),
        ("threads", c_int),
        ("lookahead_threads", c_int),
        ("sliced_threads", c_int),
        ("deterministic", c_int),
        ("cpu_independent", c_int),
        ("sync_lookahead", c_int),
        ("width", c_int),
        ("height", c_int),
        ("colours", c_int),
        ("bit_depth", c_int),
        ("level", c_int),
        ("frame_total", c_int),
        ("rest", c_int64 * 1024),
    )


class Image(ctypes.Structure):
    """`x264_image_t`: planes in memory, which x264 copies."""

    _fields_ = (("colours", c_int), ("plane_count", c_int), ("strides", c_int * 4), ("planes", c_void_p * 4))


class Picture(ctypes.Structure):
    """`x264_picture_t`: one picture in, or what became of one."""

    _fields_ = (
        ("type", c_int),
        ("quantizer", c_int),
        ("structure", c_int),
        ("key_frame", c_int),
        ("pts", c_int64),
        ("dts", c_int64),
        ("parameters", c_void_p),
        ("image", Image),
        ("properties_in", c_void_p * 4),
        ("properties_out", c_double * 6),
        ("hrd_timing", c_double * 4),
        ("extra_sei_count", c_int),
        ("extra_sei", c_void_p * 2),
        ("opaque", c_void_p),
        ("rest", c_int64 * 32),
    )


class NalUnit(ctypes.Structure):
    """`x264_nal_t`: one unit of an encoded frame, in memory of x264 until the next picture."""

    _fields_ = (
        ("ref_idc", c_int),
        ("type", c_int),
        ("long_start_code", c_int),
        ("first_macroblock", c_int),
        ("last_macroblock", c_int),
        ("size", c_int),
        ("payload", c_void_p),
        ("padding", c_int),
    )


@dataclass(frozen=True, slots=True)
class Library:
    """A libx264 whose structures are known to be ours.

    Args:
        functions: the loaded library, every signature declared.
        open: `x264_encoder_open` of its build.
    """

    functions: ctypes.CDLL
    open: ctypes._NamedFuncPointer

    def parameters(self) -> Parameters:
        """What an encoder without delay is opened with, before any setting of ours."""
        parameters = Parameters()
        if self.functions.x264_param_default_preset(ctypes.byref(parameters), PRESET, TUNE):
            raise CodecError("libx264 does not know its preset")
        return parameters

    def set(self, parameters: Parameters, name: str, value: object) -> None:
        """Set one parameter by its name.

        Raises:
            CodecError: there is no such parameter, or it does not take the value.
        """
        if self.functions.x264_param_parse(ctypes.byref(parameters), name.encode(), str(value).encode()):
            raise CodecError(f"libx264 refuses {value} for setting {name}")


@functools.cache
def load() -> Library:
    """The library, proven to fit, loaded once per process.

    Raises:
        CodecError: there is no libx264 beside PyAV nor on the system, or only ones with other structures.
    """
    return first_fitting(
        candidates("x264"),
        _bind,
        absent="libx264 was not found: install PyAV from its wheel (pip install av)",
        misfit="libx264 has another interface than builds 164 and 165: install PyAV from its wheel",
    )


def _bind(path: str) -> Library | None:
    library = _library(ctypes.CDLL(path))
    return library if library is not None and _layout_fits(library) else None


def _library(functions: ctypes.CDLL) -> Library | None:
    """Give each function its C signature: without one, ctypes would cut pointers to 32 bits."""
    parameters, picture = ctypes.POINTER(Parameters), ctypes.POINTER(Picture)
    units = ctypes.POINTER(ctypes.POINTER(NalUnit))
    signatures = {
        "x264_param_default_preset": (c_int, [parameters, c_char_p, c_char_p]),
        "x264_param_apply_profile": (c_int, [parameters, c_char_p]),
        "x264_param_parse": (c_int, [parameters, c_char_p, c_char_p]),
        "x264_picture_init": (None, [picture]),
        "x264_encoder_reconfig": (c_int, [c_void_p, parameters]),
        "x264_encoder_encode": (c_int, [c_void_p, units, ctypes.POINTER(c_int), picture, picture]),
        "x264_encoder_close": (None, [c_void_p]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(functions, name)
        function.restype = result
        function.argtypes = arguments
    for build in BUILDS:
        opening = getattr(functions, f"x264_encoder_open_{build}", None)
        if opening is not None:
            opening.restype, opening.argtypes = c_void_p, [parameters]
            return Library(functions, opening)
    return None


def _layout_fits(library: Library) -> bool:
    """Whether the documented defaults stand where our structure has them."""
    parameters = library.parameters()
    return (
        parameters.sliced_threads,
        parameters.sync_lookahead,
        parameters.width,
        parameters.height,
        parameters.colours,
        parameters.bit_depth,
        parameters.level,
        parameters.frame_total,
    ) == (1, 0, 0, 0, COLOURS_I420, 8, -1, 0)
