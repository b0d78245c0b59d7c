"""What is particular to the encoders of libvpx; what all encoders do is in test_video_codecs.py."""

from __future__ import annotations

import pytest

from entrenous.errors import CodecError
from entrenous.media.codecs.base import Content, VideoCodec
from entrenous.media.codecs.vpx import KEY_FRAME_SECONDS, VpxEncoder
from lab.pictures import moving_texture

CODECS = [VideoCodec.VP8, VideoCodec.VP9]


def test_h264_is_not_its_business() -> None:
    with pytest.raises(CodecError, match="does not encode h264"):
        VpxEncoder(VideoCodec.H264, 64, 48)


@pytest.mark.parametrize("codec", CODECS)
def test_a_key_frame_keeps_within_its_share_of_the_rate(codec: VideoCodec) -> None:
    pictures = moving_texture(320, 240, 12)
    encoder = VpxEncoder(codec, 320, 240, bitrate=600_000)
    sizes = [len(encoder.encode(picture, key_frame=number == 8).data) for number, picture in enumerate(pictures)]
    bound = 600_000 / 8 * KEY_FRAME_SECONDS
    assert bound / 10 <= sizes[8] <= 1.1 * bound
    assert sizes[0] <= 2 * bound, "the first is made without knowing how hard the pictures are"


@pytest.mark.parametrize("codec", CODECS)
def test_a_screen_is_encoded_with_other_settings(codec: VideoCodec) -> None:
    pictures = moving_texture(320, 240, 6)
    made = []
    for content in Content:
        encoder = VpxEncoder(codec, 320, 240, bitrate=300_000, content=content)
        made.append([encoder.encode(picture).data for picture in pictures])
    assert made[0] != made[1]


def test_a_rate_below_a_kilobit_is_one() -> None:
    encoder = VpxEncoder(VideoCodec.VP8, 64, 48)
    encoder.set_rate(1, 0.5)
    assert encoder.encode(moving_texture(64, 48, 1)[0]).data
