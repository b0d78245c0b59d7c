"""The libopus that every wheel of PyAV carries, bound with ctypes.

PyAV's own Opus codec can neither conceal a lost packet nor read in-band FEC, and changes nothing once it is open;
the library beneath it does all of that.

API: https://opus-codec.org/docs/opus_api-1.5/ (`opus_encoder.h`, `opus_decoder.h`, `opus_defines.h`).
"""

from __future__ import annotations

import ctypes
import functools

from ...errors import CodecError
from .bundled import candidates, first_fitting

APPLICATION_VOIP = 2048
SIGNAL_VOICE = 3001
BANDWIDTH_WIDEBAND = 1103
BANDWIDTH_FULLBAND = 1105
BITRATE_MAX = -1
"""As many bits as the room given to each call of `opus_encode` holds: in constant bit rate the room is the size."""

SET_BITRATE = 4002
SET_MAX_BANDWIDTH = 4004
SET_VBR = 4006
SET_COMPLEXITY = 4010
SET_INBAND_FEC = 4012
SET_PACKET_LOSS_PERC = 4014
SET_DTX = 4016
SET_SIGNAL = 4024


@functools.cache
def load() -> ctypes.PyDLL:
    """The library with every signature declared, loaded once per process.

    Its calls keep the interpreter's lock: they are shorter than the time after which a thread that gave the lock up
    for one gets it back from a busy other one (`sys.getswitchinterval`, 5 ms).

    Raises:
        CodecError: there is no libopus beside PyAV nor on the system.
    """
    return first_fitting(
        candidates("opus"),
        _bind,
        absent="libopus was not found: install PyAV from its wheel (pip install av), or the system's libopus0",
    )


def _bind(path: str) -> ctypes.PyDLL:
    library = ctypes.PyDLL(path)
    _declare(library)
    return library


def _declare(library: ctypes.PyDLL) -> None:
    """Give each function its C signature: without one, ctypes would cut pointers to 32 bits."""
    integer, handle = ctypes.c_int, ctypes.c_void_p
    octets, samples = ctypes.c_char_p, ctypes.c_void_p
    signatures = {
        "opus_encoder_create": (handle, [ctypes.c_int32, integer, integer, ctypes.POINTER(integer)]),
        "opus_encoder_destroy": (None, [handle]),
        "opus_encode": (ctypes.c_int32, [handle, samples, integer, samples, ctypes.c_int32]),
        "opus_decoder_create": (handle, [ctypes.c_int32, integer, ctypes.POINTER(integer)]),
        "opus_decoder_get_size": (integer, [integer]),
        "opus_decoder_destroy": (None, [handle]),
        "opus_decode": (integer, [handle, octets, ctypes.c_int32, samples, integer, integer]),
        "opus_packet_pad": (integer, [octets, ctypes.c_int32, ctypes.c_int32]),
        "opus_strerror": (octets, [integer]),
        # Variadic. Only the fixed arguments are declared: that is how ctypes learns where the variable ones begin,
        # which arm64 macOS passes on the stack instead of in registers.
        "opus_encoder_ctl": (integer, [handle, integer]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(library, name)
        function.restype = result
        function.argtypes = arguments


def check(code: int, what: str) -> int:
    """Pass a non-negative return value of libopus on.

    Raises:
        CodecError: `code` is one of libopus' (negative) errors.
    """
    if code < 0:
        reason: bytes = load().opus_strerror(code)
        raise CodecError(f"{what}: {reason.decode('ascii')}")
    return code
