"""Opus (RFC 6716) for speech: mono, 48 kHz, 20 ms, every packet of one size.

Constant bit rate without silence suppression, so that the size and the cadence of encrypted packets say nothing
about what is spoken or whether anything is (Wright et al. 2007, 2008).
"""

from __future__ import annotations

import ctypes
import weakref

import numpy as np

from ...errors import CodecError
from . import libopus
from .base import BLOCK_SAMPLES, SAMPLE_RATE, Samples

DEFAULT_BITRATE = 32_000
"""Bits a second of sound: 80 bytes a packet. Measured: in-band FEC ruins constant 24 kbit/s, and needs 32."""

DEFAULT_EXPECTED_LOSS = 10
"""Per cent of loss that FEC is armed for: more costs quality on a clean path and gains nothing on a bad one."""

MAXIMUM_PACKET = 1275
"""Bytes of the longest Opus frame (RFC 6716, section 3.2.1); a 20 ms packet of ours is never longer."""


class OpusEncoder:
    """Encodes speech into packets of one size.

    Args:
        bitrate: bits a second, 16,000 to 510,000; the size of each packet is `bitrate / 400` bytes.
        expected_loss_percent: what in-band FEC is armed for at the start; 0 is off. See `arm_fec`.

    Raises:
        CodecError: libopus is missing, or refuses the bit rate.
    """

    def __init__(self, bitrate: int = DEFAULT_BITRATE, *, expected_loss_percent: int = DEFAULT_EXPECTED_LOSS) -> None:
        self._library = libopus.load()
        error = ctypes.c_int()
        self._handle: int | None = self._library.opus_encoder_create(
            SAMPLE_RATE, 1, libopus.APPLICATION_VOIP, ctypes.byref(error)
        )
        libopus.check(error.value, "the Opus encoder could not be opened")
        self._destroy = weakref.finalize(self, self._library.opus_encoder_destroy, self._handle)
        self._packet = ctypes.create_string_buffer(MAXIMUM_PACKET)
        self._control(libopus.SET_BITRATE, bitrate)
        self._control(libopus.SET_VBR, 0)
        self._control(libopus.SET_DTX, 0)
        self._control(libopus.SET_SIGNAL, libopus.SIGNAL_VOICE)
        self._bitrate = bitrate
        self.arm_fec(expected_loss_percent)

    @property
    def packet_size(self) -> int:
        """Bytes of every packet: 20 ms at the bit rate, to the nearest byte."""
        return (self._bitrate + 200) // 400

    def arm_fec(self, expected_loss_percent: int) -> None:
        """Let each packet carry a coarse copy of the block before it, for a path that loses packets.

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

    def encode(self, block: Samples) -> bytes:
        """Encode one block.

        Args:
            block: int16, shape (960,): 20 ms at 48 kHz.

        Returns:
            One packet of `packet_size` bytes.

        Raises:
            CodecError: another shape or type, or the encoder is closed.
        """
        if block.dtype != np.int16 or block.shape != (BLOCK_SAMPLES,):
            raise CodecError(f"Opus encodes blocks of {BLOCK_SAMPLES} int16 samples, not {block.dtype}{block.shape}")
        block = np.ascontiguousarray(block)
        size = libopus.check(
            self._library.opus_encode(
                self._open_handle(), block.ctypes.data, BLOCK_SAMPLES, self._packet, MAXIMUM_PACKET
            ),
            "a block could not be encoded",
        )
        return self._packet.raw[:size]

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
    """Decodes packets of 20 ms, and stands in for those that are missing.

    Every call yields one block; calls follow the order of the blocks, for the decoder's state runs through them.

    Raises:
        CodecError: libopus is missing.
    """

    def __init__(self) -> None:
        self._library = libopus.load()
        error = ctypes.c_int()
        self._handle: int | None = self._library.opus_decoder_create(SAMPLE_RATE, 1, ctypes.byref(error))
        libopus.check(error.value, "the Opus decoder could not be opened")
        self._destroy = weakref.finalize(self, self._library.opus_decoder_destroy, self._handle)

    def decode(self, packet: bytes) -> Samples:
        """Decode one packet.

        Raises:
            CodecError: malformed, not 20 ms long, or the decoder is closed. The decoder's state is untouched by a
                packet that is refused for its length.
        """
        self._check_duration(packet)
        return self._run(packet, from_fec=False)

    def recover(self, next_packet: bytes) -> Samples:
        """The lost block, from the in-band FEC of the packet after it; concealed where that carries none.

        `next_packet` is still to be decoded afterwards, for its own block.

        Raises:
            CodecError: as `decode`.
        """
        self._check_duration(next_packet)
        return self._run(next_packet, from_fec=True)

    def conceal(self) -> Samples:
        """A block in place of a lost one: the voice goes on and fades.

        Raises:
            CodecError: the decoder is closed.
        """
        return self._run(None, from_fec=False)

    def close(self) -> None:
        """Give the decoder's memory back; harmless when repeated."""
        self._handle = None
        self._destroy()

    def _check_duration(self, packet: bytes) -> None:
        # An empty packet means "lost" to libopus, which would hide a remote's mistake as a concealment.
        if not 0 < len(packet) <= MAXIMUM_PACKET:
            raise CodecError(f"an Opus packet of 20 ms has 1 to {MAXIMUM_PACKET} bytes, not {len(packet)}")
        samples = libopus.check(
            self._library.opus_packet_get_nb_samples(packet, len(packet), SAMPLE_RATE), "not an Opus packet"
        )
        if samples != BLOCK_SAMPLES:
            raise CodecError(f"an Opus packet must be 20 ms long, not {samples * 1000 / SAMPLE_RATE:g} ms")

    def _run(self, packet: bytes | None, *, from_fec: bool) -> Samples:
        if self._handle is None:
            raise CodecError("this Opus decoder is closed")
        block: Samples = np.empty(BLOCK_SAMPLES, np.int16)
        libopus.check(
            self._library.opus_decode(
                self._handle,
                packet,
                0 if packet is None else len(packet),
                block.ctypes.data,
                BLOCK_SAMPLES,
                int(from_fec),
            ),
            "a packet could not be decoded",
        )
        return block
