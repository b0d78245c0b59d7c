"""The one place that touches PortAudio, through `sounddevice`. Everything here blocks for some milliseconds.

`sounddevice` is imported when a device is first asked for: it loads PortAudio, which looks at every sound card, and
neither is there on a server. PortAudio knows the devices that were there when it was initialised; to see others it
has to be terminated and initialised again, which ends every stream of the process (`system` takes care of that).
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from ...errors import DeviceError
from ..codecs.base import SAMPLE_RATE
from .listing import Direction, SoundDevice

LATENCIES_MS: Final = (20, 40, 80)
"""Of sound between us and the sound card: the least at first, more where the system runs dry in spite of us. At 10
PulseAudio runs dry even on an idle machine."""

_PULSE_LATENCY: Final = "PULSE_LATENCY_MSEC"
"""What PulseAudio's and PipeWire's client reads when a stream is opened, and obeys before anything else."""

_PULSE_LATENCY_IS_GIVEN: Final = _PULSE_LATENCY in os.environ
"""Whether whoever started us has chosen; then that stays."""

Callback = Callable[[Any, int, Any, Any], None]
"""Called in a thread of PortAudio's with a buffer of int16 samples, its frames, their times and its status."""


_SAY_NOTHING: Final = ctypes.CFUNCTYPE(
    None, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p
)(lambda *_: None)
"""An error handler of ALSA (`snd_lib_error_handler_t`); kept here for as long as ALSA may call it."""


@dataclass(frozen=True, slots=True)
class OpenStream:
    """A running stream.

    Args:
        handle: `sounddevice`'s stream.
    """

    handle: Any

    @property
    def is_running(self) -> bool:
        """Whether PortAudio still calls back."""
        with contextlib.suppress(library().PortAudioError):
            return bool(self.handle.active)
        return False

    def close(self) -> None:
        """Stop at once; waits for a callback that is under way."""
        self.handle.close(ignore_errors=True)


def library() -> Any:
    """The `sounddevice` module.

    Raises:
        DeviceError: the PortAudio library that it needs is missing.
    """
    try:
        import sounddevice
    except (ImportError, OSError) as error:
        raise DeviceError(
            "PortAudio is missing, so there is no microphone and no speaker: "
            "install it (Debian and Ubuntu: apt install libportaudio2) or use files instead"
        ) from error
    _silence_alsa()
    return sounddevice


@functools.cache
def _silence_alsa() -> None:
    """Keep ALSA from writing what it thinks of every underrun into the terminal; we count them."""
    if sys.platform.startswith("linux"):
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL("libasound.so.2").snd_lib_error_set_handler(_SAY_NOTHING)


def devices() -> list[SoundDevice]:
    """Every device that was there when PortAudio was last initialised.

    Raises:
        DeviceError: PortAudio is not installed or does not work.
    """
    portaudio = library()
    try:
        default_input, default_output = portaudio.default.device
        return [
            SoundDevice(
                number=device["index"],
                name=device["name"],
                inputs=device["max_input_channels"],
                outputs=device["max_output_channels"],
                is_default_input=device["index"] == default_input,
                is_default_output=device["index"] == default_output,
                rate=round(device["default_samplerate"]),
            )
            for device in portaudio.query_devices()
        ]
    except portaudio.PortAudioError as error:
        raise DeviceError(f"the sound devices cannot be listed: {error}") from error


def initialise_again() -> None:
    """See the devices that are there now; no stream may be open.

    Raises:
        DeviceError: PortAudio is not installed or does not work.
    """
    portaudio = library()
    try:
        portaudio._terminate()
        portaudio._initialize()
    except portaudio.PortAudioError as error:
        raise DeviceError(f"the sound devices cannot be listed: {error}") from error


def open_stream(
    direction: Direction,
    device: SoundDevice,
    callback: Callback,
    configure: Callable[[int, int], None],
    ended: Callable[[], None],
    latency_ms: int = LATENCIES_MS[0],
) -> OpenStream:
    """Open and start a stream at 48 kHz mono, or else as the device wants it.

    Args:
        direction: whether to record or to play.
        device: which one.
        callback: called with every 10 ms.
        configure: told the rate and the channels of what is about to call back.
        ended: called when PortAudio stops calling back, for whatever reason, in its thread.
        latency_ms: how much sound to keep between us and the sound card.

    Raises:
        DeviceError: it does not open.
    """
    portaudio = library()
    channels = device.inputs if direction is Direction.MICROPHONE else device.outputs
    problem: Exception | None = None
    if not _PULSE_LATENCY_IS_GIVEN:
        os.environ[_PULSE_LATENCY] = str(latency_ms)
    for rate in dict.fromkeys((SAMPLE_RATE, device.rate)):
        for used in dict.fromkeys((1, min(2, channels))):
            configure(rate, used)
            try:
                handle = _started(direction, device.number, rate, used, latency_ms, callback, ended)
            except (portaudio.PortAudioError, ValueError) as error:
                problem = problem or error
            else:
                return OpenStream(handle)
    raise DeviceError(f"{problem}") from problem


def _started(
    direction: Direction,
    number: int,
    rate: int,
    channels: int,
    latency_ms: int,
    callback: Callback,
    ended: Callable[[], None],
) -> Any:
    portaudio = library()
    kind = portaudio.RawInputStream if direction is Direction.MICROPHONE else portaudio.RawOutputStream
    stream = kind(
        samplerate=rate,
        blocksize=rate // 100,
        device=number,
        channels=channels,
        dtype="int16",
        latency=latency_ms / 1000,
        callback=callback,
        finished_callback=ended,
    )
    try:
        stream.start()
    except portaudio.PortAudioError:
        stream.close(ignore_errors=True)
        raise
    return stream
