"""The numbers that name the streams of a call in RTP (RFC 3550 §8) and in session descriptions."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from .streams import StreamKind

OPUS_PAYLOAD_TYPE = 111
VP8_PAYLOAD_TYPE = 96
RTX_PAYLOAD_TYPE = 97
"""What we offer; in an answer the numbers of the offer stand."""


@dataclass(frozen=True, slots=True)
class StreamIdentity:
    """One stream of one sender.

    Args:
        ssrc: of its RTP packets.
        payload_type: of its RTP packets, 0..127.
        rtx_ssrc: of retransmissions (RFC 4588), None when it has none.
        rtx_payload_type: of retransmissions, None when it has none.
    """

    ssrc: int
    payload_type: int
    rtx_ssrc: int | None = None
    rtx_payload_type: int | None = None


@dataclass(frozen=True, slots=True)
class LocalStreams:
    """What one side of a call sends, constant across its legs."""

    by_kind: Mapping[StreamKind, StreamIdentity]


@dataclass(frozen=True, slots=True)
class RemoteStreams:
    """What the peer sends, as one leg's description has it."""

    by_kind: Mapping[StreamKind, StreamIdentity]


def new_streams() -> LocalStreams:
    """Draw the stream numbers of one call: sound, and picture with its retransmissions."""
    audio, video, rtx = _distinct_ssrcs(3)
    return LocalStreams(
        {
            StreamKind.AUDIO: StreamIdentity(audio, OPUS_PAYLOAD_TYPE),
            StreamKind.VIDEO: StreamIdentity(video, VP8_PAYLOAD_TYPE, rtx, RTX_PAYLOAD_TYPE),
        }
    )


def _distinct_ssrcs(count: int) -> list[int]:
    drawn: set[int] = set()
    while len(drawn) < count:
        drawn.add(secrets.randbelow(0xFFFF_FFFF) + 1)
    return list(drawn)
