"""Makes of frames of sound what is sealed: Opus packets, alone or with an earlier one, of the size that is planned."""

from __future__ import annotations

from collections import deque

from .audio_plan import FEC_ARMED_FOR, HEADER_ROOM, AudioPlan
from .codecs.base import AudioEncoder, Samples
from .codecs.opus import pad_packet
from .identities import AudioFormat
from .red import EARLIER_HEADER, MAX_OFFSET, PRIMARY_HEADER, write_red

_TIMESTAMPS = 1 << 32


class AudioPacker:
    """Encodes and bundles by one plan at a time.

    Args:
        encoder: of this stream alone.
        plan: the first one.
    """

    def __init__(self, encoder: AudioEncoder, plan: AudioPlan) -> None:
        self._encoder = encoder
        self._earlier: deque[tuple[int, bytes]] = deque()
        self.use(plan)

    def use(self, plan: AudioPlan) -> None:
        """Pack by another plan from the next frame on.

        Earlier packets have the size of the plan before: they are not sent again.
        """
        self.plan = plan
        self._room = plan.plain_bytes + HEADER_ROOM
        self._opus_bytes = plan.opus_bytes
        self._earlier = deque(maxlen=plan.duplicate_distance)
        self._encoder.tune(plan.bitrate)
        self._encoder.arm_fec(FEC_ARMED_FOR if plan.fec else 0)

    def pack(
        self, samples: Samples, timestamp: int, header_length: int, opus_type: int, *, bundles: bool = True
    ) -> tuple[AudioFormat, bytes]:
        """Encode one frame.

        Args:
            samples: as long as the plan says.
            timestamp: its RTP timestamp, 32 bits.
            header_length: bytes that the frame layer will put in front: they are part of the constant size.
            opus_type: the RTP payload type of Opus, which bundles name.
            bundles: whether the peer takes bundles; without, the size stays and the copies are left out.

        Returns:
            The format, and `plan.plain_bytes + HEADER_ROOM - header_length` bytes.

        Raises:
            CodecError: the encoder is closed, or the samples are none of its kind.
        """
        size = self._room - header_length
        if self.plan.duplicate_distance == 0:
            # What the header leaves free of its room goes into the sound.
            return AudioFormat.OPUS, self._encoder.encode(samples, size)
        packet = self._encoder.encode(samples, self._opus_bytes - max(0, header_length - HEADER_ROOM))
        if not bundles:
            return AudioFormat.OPUS, pad_packet(packet, size)
        earlier = self._due_again(timestamp)
        taken = PRIMARY_HEADER + sum(EARLIER_HEADER + len(each) for _, each in earlier)
        self._earlier.append((timestamp, packet))
        return AudioFormat.RED, write_red(opus_type, earlier, pad_packet(packet, size - taken))

    def _due_again(self, timestamp: int) -> list[tuple[int, bytes]]:
        """The packet whose turn it is to be sent again, and the samples that it is behind; nothing at first."""
        if len(self._earlier) < self.plan.duplicate_distance:
            return []
        sent_at, packet = self._earlier[0]
        behind = (timestamp - sent_at) % _TIMESTAMPS
        return [(behind, packet)] if 0 < behind <= MAX_OFFSET else []
