"""The numbers that name the streams of a call in RTP (RFC 3550 §8) and in session descriptions."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from entrenous.errors import RemoteProtocolError

from .codecs.base import VideoCodec
from .streams import StreamKind


class AudioFormat(StrEnum):
    """What the payload of a sound packet is once it is opened."""

    OPUS = "opus"
    """One Opus packet (RFC 7587)."""

    RED = "red"
    """An earlier Opus packet and the current one (RFC 2198)."""


Format = AudioFormat | VideoCodec
"""What a payload type stands for."""

PAYLOAD_TYPES: Mapping[Format, int] = {
    AudioFormat.OPUS: 111,
    AudioFormat.RED: 112,
    VideoCodec.VP8: 96,
    VideoCodec.H264: 98,
    VideoCodec.VP9: 100,
}
"""What we offer, for camera and screen alike; in an answer the numbers of the offer stand."""

RTX_PAYLOAD_TYPES: Mapping[Format, int] = {VideoCodec.VP8: 97, VideoCodec.H264: 99, VideoCodec.VP9: 101}
"""The same for retransmissions of a codec's packets (RFC 4588)."""


@dataclass(frozen=True, slots=True)
class StreamIdentity:
    """One stream of one sender.

    Args:
        ssrc: of its RTP packets.
        payload_types: by format, what its owner wants to receive first.
        rtx_ssrc: of retransmissions (RFC 4588), None when it has none.
        rtx_payload_types: of retransmissions, by the format of what is sent again.
    """

    ssrc: int
    payload_types: Mapping[Format, int]
    rtx_ssrc: int | None = None
    rtx_payload_types: Mapping[Format, int] = field(default_factory=dict)

    def answering(self, offer: StreamIdentity) -> StreamIdentity:
        """This stream under the payload types of an offer, as far as it knows their formats.

        Raises:
            RemoteProtocolError: it knows none of them.
        """
        payload_types = {each: number for each, number in offer.payload_types.items() if each in self.payload_types}
        repairs = {each: number for each, number in offer.rtx_payload_types.items() if each in payload_types}
        if not payload_types:
            raise RemoteProtocolError("The offer has no codec that both ends know.")
        return StreamIdentity(self.ssrc, payload_types, self.rtx_ssrc if repairs else None, repairs)

    def format_of(self, payload_type: int) -> Format:
        """What a payload type stands for; raises RemoteProtocolError when it belongs to no format of this stream."""
        for format_, number in self.payload_types.items():
            if number == payload_type:
                return format_
        raise RemoteProtocolError("An RTP packet has a payload type that its stream does not have.")

    def repaired_type(self, rtx_payload_type: int) -> int:
        """The payload type of what comes again in a retransmission; raises RemoteProtocolError when it is no such."""
        for format_, number in self.rtx_payload_types.items():
            if number == rtx_payload_type:
                return self.payload_types[format_]
        raise RemoteProtocolError("A retransmission has a payload type that its stream does not have.")


@dataclass(frozen=True, slots=True)
class LocalStreams:
    """What one side of a call sends, constant across its legs."""

    by_kind: Mapping[StreamKind, StreamIdentity]


@dataclass(frozen=True, slots=True)
class RemoteStreams:
    """What the peer sends, as one leg's description has it; every kind is there."""

    by_kind: Mapping[StreamKind, StreamIdentity]


def new_streams(codecs: Sequence[VideoCodec] = tuple(VideoCodec)) -> LocalStreams:
    """Draw the stream numbers of one call: sound, camera and screen, the pictures with their retransmissions.

    Args:
        codecs: of pictures, that this end can decode, the best first.
    """
    audio, video, video_rtx, screen, screen_rtx = _distinct_ssrcs(5)
    pictures: dict[Format, int] = {codec: PAYLOAD_TYPES[codec] for codec in codecs}
    repairs: dict[Format, int] = {codec: RTX_PAYLOAD_TYPES[codec] for codec in codecs}
    return LocalStreams(
        {
            StreamKind.AUDIO: StreamIdentity(audio, {format_: PAYLOAD_TYPES[format_] for format_ in AudioFormat}),
            StreamKind.VIDEO: StreamIdentity(video, pictures, video_rtx, repairs),
            StreamKind.SCREEN: StreamIdentity(screen, pictures, screen_rtx, repairs),
        }
    )


def _distinct_ssrcs(count: int) -> list[int]:
    drawn: set[int] = set()
    while len(drawn) < count:
        drawn.add(secrets.randbelow(0xFFFF_FFFF) + 1)
    return list(drawn)
