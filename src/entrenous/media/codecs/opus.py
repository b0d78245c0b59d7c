"""Opus (RFC 6716) for speech: mono, 48 kHz, packets of 20, 40 or 60 ms whose sizes the caller sets.

Constant bit rate without silence suppression, so that the size and the cadence of encrypted packets say nothing
about what is spoken or whether anything is (Wright et al. 2007, 2008). The size may change from packet to packet
without a click, and with it the bit rate: libopus smooths the change of its modes itself.
"""

from __future__ import annotations

import ctypes
import weakref

import numpy as np
from numpy.typing import NDArray

from ...errors import CodecError
from . import libopus
from .base import BLOCK_SAMPLES, MAX_PACKET_BLOCKS, SAMPLE_RATE, Samples

_COMPLEXITIES = ((40_000, 6), (32_000, 7), (0, 8))
"""How hard libopus searches (0 to 10) from a bit rate upwards: the least that costs no more than 0.02 of PESQ-WB.

Measured with libopus 1.6.1 on 24 s of speech of two people: PESQ-WB, and microseconds to encode 20 ms on one core of a
shared machine (the least of two means over 5 s)::

    complexity        0         3         5         6         7         8         10
    16 kbit/s    3.42 108  3.37 167  3.60 254  3.69 247  3.75 271  3.75 302  3.75 310
    24 kbit/s    3.60 125  3.90 225  4.00 288  4.11 291  4.13 365  4.17 373  4.17 360
    32 kbit/s    3.93 100  4.11 185  4.23 233  4.27 228  4.28 274  4.30 351  4.30 374
    40 kbit/s    4.14 112  4.26 177  4.35 207  4.36 205  4.37 241  4.37 308  4.37 270
    48 kbit/s    4.27  90  4.32 165  4.39 203  4.40 205  4.39 231  4.41 244  4.41 264
    64 kbit/s    4.36  93  4.41 176  4.44 216  4.44 205  4.45 225  4.45 247  4.45 245

That 6 costs no more than 5 is no error: of the three paths that its search follows, libopus computes all at once where
there is AVX2, and of the two of 5 one after the other. FEC doubles the time. CELT alone takes 170 to 200 at 48 kbit/s
and scores a quarter to half a point less.
"""

MAXIMUM_FRAME = 1275
"""Bytes of the longest Opus frame (RFC 6716, section 3.2.1); no packet of ours is longer."""

MAXIMUM_CONCEALED = 5760
"""Samples that may be concealed at once: 120 ms."""

_LONGEST = MAX_PACKET_BLOCKS * BLOCK_SAMPLES
_SILK_20_MS = frozenset((1, 5, 9, 13, 15))
"""Configurations of 20 ms with a SILK layer, alone or under CELT (RFC 6716, table 2)."""

_FRAME_SAMPLES = (480, 960, 1920, 2880) * 3 + (480, 960) * 2 + (120, 240, 480, 960) * 4
"""The length of one Opus frame by configuration (RFC 6716, table 2): SILK, both layers, CELT."""

_PLC_STEP = 120
"""Concealed sound comes in multiples of 2.5 ms."""


def packet_bytes(bitrate: int, frame_ms: int) -> int:
    """The size of a packet of `frame_ms` milliseconds at `bitrate` bits a second, to the nearest byte."""
    return (bitrate * frame_ms + 4000) // 8000


class OpusEncoder:
    """Encodes speech into packets of the sizes asked for.

    Args:
        bitrate: for which it is tuned at the start. See `tune`.

    Raises:
        CodecError: libopus is missing, or refuses a setting.
    """

    def __init__(self, *, bitrate: int = 0) -> None:
        self._library = libopus.load()
        error = ctypes.c_int()
        self._handle: int | None = self._library.opus_encoder_create(
            SAMPLE_RATE, 1, libopus.APPLICATION_VOIP, ctypes.byref(error)
        )
        libopus.check(error.value, "the Opus encoder could not be opened")
        self._destroy = weakref.finalize(self, self._library.opus_encoder_destroy, self._handle)
        # Both stay where they are for good, so that no call has to ask numpy or ctypes for an address.
        self._sound: Samples = np.zeros(_LONGEST, np.int16)
        self._sound_at = self._sound.ctypes.data
        self._packet: NDArray[np.uint8] = np.zeros(MAXIMUM_FRAME, np.uint8)
        self._packet_at = self._packet.ctypes.data
        self._control(libopus.SET_BITRATE, libopus.BITRATE_MAX)
        self._control(libopus.SET_VBR, 0)
        self._control(libopus.SET_DTX, 0)
        self._control(libopus.SET_SIGNAL, libopus.SIGNAL_VOICE)
        self.tune(bitrate)
        self.arm_fec(0)

    def tune(self, bitrate: int) -> None:
        """Search as hard as pays at this bit rate, which the sizes asked for have from now on.

        Raises:
            CodecError: the encoder is closed.
        """
        self._control(libopus.SET_COMPLEXITY, next(level for least, level in _COMPLEXITIES if bitrate >= least))

    def arm_fec(self, expected_loss_percent: int) -> None:
        """Let each packet of 20 ms carry a coarse copy of the sound before it, for a path that loses packets.

        The copy lives in the SILK layer, so the band is held at wideband (8 kHz of sound) while it is armed; a
        clean path sounds better without. The size of packets stays the same.

        Args:
            expected_loss_percent: 0 switches FEC off and opens the full band; 10 suits any lossy path.

        Raises:
            CodecError: outside 0 to 100, or the encoder is closed.
        """
        armed = expected_loss_percent > 0
        self._control(libopus.SET_PACKET_LOSS_PERC, expected_loss_percent)
        self._control(libopus.SET_INBAND_FEC, int(armed))
        self._control(libopus.SET_MAX_BANDWIDTH, libopus.BANDWIDTH_WIDEBAND if armed else libopus.BANDWIDTH_FULLBAND)

    def encode(self, samples: Samples, size: int) -> bytes:
        """Encode the sound of one packet.

        Args:
            samples: int16, shape (960,), (1920,) or (2880,): 20, 40 or 60 ms at 48 kHz.
            size: bytes of the packet, 2 to 1275; see `packet_bytes` for the size at a bit rate.

        Returns:
            One packet of exactly `size` bytes.

        Raises:
            CodecError: another shape, type or size, or the encoder is closed.
        """
        count = len(samples)
        if samples.dtype != np.int16 or samples.ndim != 1 or count % BLOCK_SAMPLES or not 0 < count <= _LONGEST:
            raise CodecError(
                f"Opus encodes 1 to {MAX_PACKET_BLOCKS} blocks of {BLOCK_SAMPLES} int16 samples, "
                f"not {samples.dtype}{samples.shape}"
            )
        if not 2 <= size <= MAXIMUM_FRAME:
            raise CodecError(f"an Opus packet of ours has 2 to {MAXIMUM_FRAME} bytes, not {size}")
        self._sound[:count] = samples
        written = libopus.check(
            self._library.opus_encode(self._open_handle(), self._sound_at, count, self._packet_at, size),
            "sound could not be encoded",
        )
        if written != size:
            raise CodecError(f"libopus wrote {written} bytes where {size} were asked for")
        return self._packet[:size].tobytes()

    def close(self) -> None:
        """Give the encoder's memory back; harmless when repeated."""
        self._handle = None
        self._destroy()

    def _open_handle(self) -> int:
        if self._handle is None:
            raise CodecError("this Opus encoder is closed")
        return self._handle

    def _control(self, request: int, value: int) -> None:
        libopus.check(
            self._library.opus_encoder_ctl(self._open_handle(), request, ctypes.c_int32(value)),
            f"Opus refuses {value} for setting {request}",
        )


class OpusDecoder:
    """Decodes packets of 20, 40 or 60 ms, and stands in for those that are missing.

    Calls follow the order of the sound, for the decoder's state runs through them. Each returns a new array.

    Raises:
        CodecError: libopus is missing.
    """

    def __init__(self) -> None:
        self._library = libopus.load()
        error = ctypes.c_int()
        self._handle: int | None = self._library.opus_decoder_create(SAMPLE_RATE, 1, ctypes.byref(error))
        libopus.check(error.value, "the Opus decoder could not be opened")
        self._destroy = weakref.finalize(self, self._library.opus_decoder_destroy, self._handle)
        self._size: int = self._library.opus_decoder_get_size(1)
        self._sound: Samples = np.zeros(MAXIMUM_CONCEALED, np.int16)
        self._sound_at = self._sound.ctypes.data

    def decode(self, packet: bytes) -> Samples:
        """Decode one packet.

        Returns:
            int16, shape (960,), (1920,) or (2880,).

        Raises:
            CodecError: malformed, not 20, 40 or 60 ms long, or the decoder is closed. The decoder's state is
                untouched by a packet that is refused for its length.
        """
        return self._run(packet, packet_samples(packet), from_fec=False)

    def recover(self, next_packet: bytes) -> Samples:
        """The lost 20 ms before a packet, from its in-band FEC; concealed where it carries none (`carries_fec`).

        `next_packet` is still to be decoded afterwards, for its own sound.

        Returns:
            int16, shape (960,).

        Raises:
            CodecError: as `decode`.
        """
        packet_samples(next_packet)
        return self._run(next_packet, BLOCK_SAMPLES, from_fec=True)

    def conceal(self, samples: int = BLOCK_SAMPLES) -> Samples:
        """Sound in place of a lost one: the voice goes on and fades.

        Args:
            samples: how much; a multiple of 120 (2.5 ms), at most 5760.

        Returns:
            int16, shape (samples,).

        Raises:
            CodecError: an impossible length, or the decoder is closed.
        """
        if samples % _PLC_STEP or not 0 < samples <= MAXIMUM_CONCEALED:
            raise CodecError(f"Opus conceals multiples of {_PLC_STEP} samples up to {MAXIMUM_CONCEALED}, not {samples}")
        return self._run(None, samples, from_fec=False)

    def save(self) -> bytes:
        """All that the decoder remembers of the sound so far, for `restore`.

        The state of libopus is one piece of memory, made to be copied (see `opus_decoder_get_size`).

        Raises:
            CodecError: the decoder is closed.
        """
        return ctypes.string_at(self._open_handle(), self._size)

    def restore(self, memory: bytes) -> None:
        """Go back to what was saved from this decoder.

        Args:
            memory: what `save` returned.

        Raises:
            CodecError: it is no memory of this decoder, or the decoder is closed.
        """
        if len(memory) != self._size:
            raise CodecError(f"the memory of an Opus decoder has {self._size} bytes, not {len(memory)}")
        ctypes.memmove(self._open_handle(), memory, self._size)

    def close(self) -> None:
        """Give the decoder's memory back; harmless when repeated."""
        self._handle = None
        self._destroy()

    def _open_handle(self) -> int:
        if self._handle is None:
            raise CodecError("this Opus decoder is closed")
        return self._handle

    def _run(self, packet: bytes | None, samples: int, *, from_fec: bool) -> Samples:
        handle = self._open_handle()
        size = 0 if packet is None else len(packet)
        libopus.check(
            self._library.opus_decode(handle, packet, size, self._sound_at, samples, int(from_fec)),
            "a packet could not be decoded",
        )
        return self._sound[:samples].copy()


def packet_samples(packet: bytes) -> int:
    """How long a packet sounds: 960, 1920 or 2880 samples.

    Raises:
        CodecError: it is no Opus packet, or of another length.
    """
    # An empty packet means "lost" to libopus, which would hide a remote's mistake as a concealment.
    if not 0 < len(packet) <= MAXIMUM_FRAME:
        raise CodecError(f"an Opus packet of ours has 1 to {MAXIMUM_FRAME} bytes, not {len(packet)}")
    samples = _FRAME_SAMPLES[packet[0] >> 3] * _frame_count(packet)
    if samples % BLOCK_SAMPLES or not 0 < samples <= _LONGEST:
        raise CodecError(f"an Opus packet must be 20, 40 or 60 ms long, not {samples * 1000 / SAMPLE_RATE:g} ms")
    return samples


def _frame_count(packet: bytes) -> int:
    """How many frames a packet holds (RFC 6716, section 3.2); 0 where it ends before it says so."""
    match packet[0] & 3:
        case 0:
            return 1
        case 3:
            return packet[1] & 0x3F if len(packet) > 1 else 0
        case _:
            return 2


def pad_packet(packet: bytes, size: int) -> bytes:
    """The same packet with `size` bytes, which decodes to the same sound (RFC 6716, section 3.2.5).

    Raises:
        CodecError: it is longer than that already, or no Opus packet.
    """
    if len(packet) == size:
        return packet
    if len(packet) > size:
        raise CodecError(f"a packet of {len(packet)} bytes cannot be padded to {size}")
    padded = ctypes.create_string_buffer(packet, size)
    libopus.check(libopus.load().opus_packet_pad(padded, len(packet), size), "a packet could not be padded")
    return padded.raw


def carries_fec(packet: bytes) -> bool:
    """Whether a packet carries a copy of the sound before it, so that `OpusDecoder.recover` does better than PLC.

    The flag stands right behind the voice-activity flag of the SILK frame (RFC 6716, sections 4.2.3 and 4.2.4).
    Packets longer than 20 ms, of several Opus frames or without a SILK layer count as carrying none.
    """
    if len(packet) < 2 or packet[0] >> 3 not in _SILK_20_MS:
        return False
    match packet[0] & 3:
        case 0:
            begin = 1
        case 3:
            begin = _only_frame(packet)
        case _:
            return False
    return begin < len(packet) and bool(packet[begin] & 0x40)


def _only_frame(packet: bytes) -> int:
    """Where the frame of a code 3 packet begins that holds a single one (RFC 6716, section 3.2.5), else its end."""
    if packet[1] & 0x3F != 1:
        return len(packet)
    begin = 2
    if packet[1] & 0x40:
        while begin < len(packet) and packet[begin] == 255:
            begin += 1
        begin += 1
    return begin
