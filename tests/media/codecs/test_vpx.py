"""What is particular to the encoders of libvpx; what all encoders do is in test_video_codecs.py."""

from __future__ import annotations

from pathlib import Path

import av
import pytest

from entrenous.errors import CodecError
from entrenous.media.codecs import vpx
from entrenous.media.codecs.base import Content, VideoCodec
from entrenous.media.codecs.vpx import VpxEncoder
from entrenous.media.pictures import own_copy
from entrenous.media.video_codecs import make_encoder
from lab.pictures import moving_texture

CODECS = [VideoCodec.VP8, VideoCodec.VP9]


def test_h264_is_not_its_business() -> None:
    with pytest.raises(CodecError, match="does not encode h264"):
        VpxEncoder(VideoCodec.H264, 64, 48)


def requested_key_frame(codec: VideoCodec, fps: float) -> int:
    """Bytes of a key frame after many pictures of what does not move, when there is most room for it."""
    (picture,) = moving_texture(320, 240, 1)
    encoder = VpxEncoder(codec, 320, 240, bitrate=300_000)
    encoder.set_rate(300_000, fps)
    for _ in range(30):
        encoder.encode(picture)
    return len(encoder.encode(picture, key_frame=True).data)


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("fps", [30, 5])
def test_a_key_frame_keeps_within_its_share_of_the_rate(codec: VideoCodec, fps: float) -> None:
    bound = 300_000 / 8 * max(vpx.KEY_FRAME_SECONDS, vpx.LEAST_KEY_FRAME / fps)
    assert bound / 4 <= requested_key_frame(codec, fps) <= 1.1 * bound


def talking_person(width: int, height: int) -> av.VideoFrame:
    with av.open(str(Path(__file__).parents[2] / "bench" / "material" / "talking.mp4")) as clip:
        return own_copy(next(clip.decode(video=0)), width, height)


@pytest.mark.parametrize("codec", VideoCodec)
@pytest.mark.parametrize("bitrate", [300_000, 1_000_000])
def test_the_first_key_frame_of_a_call_keeps_within_it_too(codec: VideoCodec, bitrate: int) -> None:
    (rough,) = moving_texture(640, 360, 1)
    for picture in (talking_person(1280, 720), talking_person(640, 360), rough):
        encoder = make_encoder(codec, picture.width, picture.height, bitrate=bitrate, fps=30, content=Content.CAMERA)
        first = encoder.encode(picture)
        assert first.key_frame
        assert len(first.data) * 8 <= 1.1 * vpx.KEY_FRAME_SECONDS * bitrate
        assert not encoder.encode(picture).key_frame
        encoder.close()


def test_an_encoder_that_does_not_open_anew_for_a_smaller_first_picture_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (rough,) = moving_texture(640, 360, 1)
    encoder = VpxEncoder(VideoCodec.VP9, 640, 360, bitrate=300_000)

    def fail(_: VpxEncoder) -> None:
        raise CodecError("there is no memory")

    monkeypatch.setattr(VpxEncoder, "_open", fail)
    with pytest.raises(CodecError, match="no memory"):
        encoder.encode(rough)
    with pytest.raises(CodecError, match="closed"):
        encoder.encode(rough)


@pytest.mark.parametrize("codec", CODECS)
def test_its_share_is_what_bounds_a_key_frame(codec: VideoCodec, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = requested_key_frame(codec, 10)
    monkeypatch.setattr(vpx, "KEY_FRAME_SECONDS", 0.1)
    monkeypatch.setattr(vpx, "LEAST_KEY_FRAME", 1.0)
    assert requested_key_frame(codec, 10) < 0.8 * usual


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
