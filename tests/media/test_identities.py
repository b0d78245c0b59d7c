"""Stream numbers."""

from __future__ import annotations

import pytest

from entrenous.errors import RemoteProtocolError
from entrenous.media.codecs.base import VideoCodec
from entrenous.media.identities import AudioFormat, StreamIdentity, new_streams
from entrenous.media.streams import StreamKind


def test_numbers_differ_within_a_call_and_between_calls() -> None:
    numbers = []
    for _ in range(50):
        streams = new_streams().by_kind
        assert streams[StreamKind.AUDIO].rtx_ssrc is None
        for stream in streams.values():
            numbers += [number for number in (stream.ssrc, stream.rtx_ssrc) if number is not None]
    assert len(set(numbers)) == len(numbers)
    assert len(numbers) == 50 * 5
    assert all(0 < number < 1 << 32 for number in numbers)


def test_payload_types_tell_formats_and_repairs() -> None:
    video = new_streams((VideoCodec.VP9, VideoCodec.VP8)).by_kind[StreamKind.VIDEO]
    assert list(video.payload_types) == [VideoCodec.VP9, VideoCodec.VP8]
    for codec, number in video.payload_types.items():
        assert 96 <= number <= 127
        assert video.format_of(number) is codec
        assert video.repaired_type(video.rtx_payload_types[codec]) == number
    with pytest.raises(RemoteProtocolError):
        video.format_of(video.rtx_payload_types[VideoCodec.VP8])
    with pytest.raises(RemoteProtocolError):
        video.repaired_type(video.payload_types[VideoCodec.VP8])


def test_an_answer_keeps_what_both_know_under_the_numbers_of_the_offer() -> None:
    own = new_streams((VideoCodec.VP8, VideoCodec.H264)).by_kind[StreamKind.SCREEN]
    offer = StreamIdentity(7, {VideoCodec.VP9: 120, VideoCodec.H264: 121}, 8, {VideoCodec.VP9: 122})
    assert own.answering(offer) == StreamIdentity(own.ssrc, {VideoCodec.H264: 121})
    repaired = StreamIdentity(7, {VideoCodec.H264: 121}, 8, {VideoCodec.H264: 122})
    assert own.answering(repaired) == StreamIdentity(
        own.ssrc, {VideoCodec.H264: 121}, own.rtx_ssrc, {VideoCodec.H264: 122}
    )
    with pytest.raises(RemoteProtocolError):
        own.answering(StreamIdentity(7, {AudioFormat.OPUS: 111}))
