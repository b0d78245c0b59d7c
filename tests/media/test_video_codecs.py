"""Every codec: good pictures, key frames exactly when asked for, a rate that follows, the caller's frame untouched."""

from __future__ import annotations

import gc

import av
import numpy as np
import psutil
import pytest
from av.video.frame import PictureType

from entrenous.errors import CodecError
from entrenous.media import video_codecs
from entrenous.media.codecs.base import Content, VideoCodec, VideoEncoder
from entrenous.media.sources.testcard import read_frame_number
from entrenous.media.video_codecs import (
    best_codecs,
    cheaper_codec,
    choose_codec,
    is_key_frame,
    make_decoder,
    make_encoder,
)
from lab.pictures import moving_texture, numbered_cards
from lab.recordings import psnr

CODECS = list(VideoCodec)


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize(("width", "height", "bitrate", "count"), [(640, 360, 500_000, 15), (320, 240, 250_000, 40)])
async def test_a_moving_card_arrives_in_good_quality(
    codec: VideoCodec, width: int, height: int, bitrate: int, count: int
) -> None:
    encoder, decoder = make_encoder(codec, width, height, bitrate, 30), make_decoder(codec)
    ratios, size = [], 0
    for number, picture in enumerate(await numbered_cards(width, height, count)):
        encoded = encoder.encode(picture)
        size += len(encoded.data)
        shown = decoder.decode(encoded.data)
        assert shown is not None
        assert (shown.width, shown.height, shown.format.name) == (width, height, "yuv420p")
        assert read_frame_number(shown) == number
        ratios.append(psnr(picture, shown))
    assert np.mean(ratios) >= 30
    assert min(ratios[5:]) >= 27
    assert size * 8 * 30 / count < 1.3 * bitrate


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("content", Content)
def test_the_rate_follows_in_place_without_a_key_frame(codec: VideoCodec, content: Content) -> None:
    pictures = moving_texture(160, 128, 120)
    encoder, decoder = make_encoder(codec, 160, 128, 300_000, 30, content), make_decoder(codec)
    sizes, keys = [], []
    for number, picture in enumerate(pictures):
        if number in (30, 75):
            encoder.set_rate(100_000 if number == 30 else 300_000, 30)
        encoded = encoder.encode(picture)
        assert decoder.decode(encoded.data) is not None
        sizes.append(len(encoded.data))
        keys.append(encoded.key_frame)
    assert keys == [True] + [False] * 119

    def rate(first: int, last: int) -> float:
        return sum(sizes[first:last]) * 8 * 30 / (last - first)

    assert 0.75 * 300_000 < rate(10, 30) < 1.3 * 300_000
    assert rate(45, 75) < 1.3 * 100_000, "half a second after the step down"
    assert rate(60, 75) > 0.6 * 100_000
    assert rate(90, 120) > 1.5 * 100_000, "half a second after the step up"


@pytest.mark.parametrize("codec", CODECS)
def test_fewer_pictures_get_larger_for_the_same_rate(codec: VideoCodec) -> None:
    pictures = moving_texture(160, 128, 90)
    encoder = make_encoder(codec, 160, 128, 150_000, 30)
    sizes = []
    for number, picture in enumerate(pictures):
        if number == 30:
            encoder.set_rate(150_000, 10)
        sizes.append(len(encoder.encode(picture).data))
    usual, slow = np.mean(sizes[15:30]), np.mean(sizes[60:])
    assert 2.2 * usual < slow < 3.8 * usual


@pytest.mark.parametrize("codec", CODECS)
async def test_a_key_frame_is_made_once_for_each_request(codec: VideoCodec) -> None:
    encoder = make_encoder(codec, 320, 240, 300_000, 30)
    pictures = await numbered_cards(320, 240, 40)
    frames = [encoder.encode(picture, key_frame=number in (10, 25)) for number, picture in enumerate(pictures)]
    assert [number for number, frame in enumerate(frames) if frame.key_frame] == [0, 10, 25]
    assert [is_key_frame(codec, frame.data) for frame in frames] == [frame.key_frame for frame in frames]
    decoder = make_decoder(codec)
    assert [read_frame_number(shown) for frame in frames[25:] if (shown := decoder.decode(frame.data))] == [
        *range(25, 40)
    ]


@pytest.mark.parametrize("codec", CODECS)
def test_a_change_of_scene_makes_no_key_frame(codec: VideoCodec) -> None:
    encoder = make_encoder(codec, 320, 240, 500_000, 30)
    texture = moving_texture(320, 240, 20)
    dark = av.VideoFrame(320, 240, "yuv420p")
    for plane in dark.planes:
        plane.update(bytes([40]) * plane.buffer_size)
    scenes = [*texture[:10], *[dark] * 5, *texture[10:]]
    assert [encoder.encode(picture).key_frame for picture in scenes] == [True] + [False] * 24


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("size", [(320, 240), (640, 480)], ids=["same size", "other size"])
async def test_marks_on_a_frame_are_neither_heeded_nor_changed(codec: VideoCodec, size: tuple[int, int]) -> None:
    encoder = make_encoder(codec, 320, 240, 500_000, 30)
    (picture,) = await numbered_cards(*size, 1)
    picture.pts, picture.pict_type = 1234, PictureType.I
    before = (picture.pts, picture.time_base, picture.pict_type, picture.to_ndarray().tobytes())
    assert [encoder.encode(picture, key_frame=number == 2).key_frame for number in range(5)] == [1, 0, 1, 0, 0]
    assert (picture.pts, picture.time_base, picture.pict_type, picture.to_ndarray().tobytes()) == before


@pytest.mark.parametrize("codec", CODECS)
async def test_other_sizes_and_formats_are_converted(codec: VideoCodec) -> None:
    encoder, decoder = make_encoder(codec, 320, 240, 1_000_000, 30), make_decoder(codec)
    (picture,) = await numbered_cards(640, 360, 1)
    for frame in (picture, picture.reformat(format="rgb24"), picture.reformat(641, 361), picture.reformat(320, 240)):
        shown = decoder.decode(encoder.encode(frame).data)
        assert shown is not None
        assert (shown.width, shown.height) == (320, 240)
        assert read_frame_number(shown) == 0


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize(("width", "height"), [(2, 2), (18, 16), (66, 50), (144, 256), (318, 178)])
def test_any_even_size_goes_through(codec: VideoCodec, width: int, height: int) -> None:
    encoder, decoder = make_encoder(codec, width, height, 300_000, 30), make_decoder(codec)
    for picture in moving_texture(width, height, 3):
        shown = decoder.decode(encoder.encode(picture).data)
        assert shown is not None
        assert (shown.width, shown.height) == (width, height)


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize(
    "arguments",
    [(321, 240, 1, 1), (320, 241, 1, 1), (320, 0, 1, 1), (-2, 240, 1, 1), (320, 240, 0, 1), (320, 240, 1, 0)],
)
def test_an_impossible_encoder_is_refused(codec: VideoCodec, arguments: tuple[int, int, int, int]) -> None:
    with pytest.raises(CodecError):
        make_encoder(codec, *arguments)


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize(("bitrate", "fps"), [(0, 30), (-1, 30), (100_000, 0), (100_000, -5)])
async def test_an_impossible_rate_is_refused_and_changes_nothing(codec: VideoCodec, bitrate: int, fps: float) -> None:
    pictures = await numbered_cards(64, 48, 4)
    disturbed, undisturbed = (make_encoder(codec, 64, 48, 100_000, 30) for _ in range(2))
    for number, picture in enumerate(pictures):
        if number == 2:
            with pytest.raises(CodecError):
                disturbed.set_rate(bitrate, fps)
        assert disturbed.encode(picture) == undisturbed.encode(picture)


@pytest.mark.parametrize("codec", CODECS)
def test_closed_codecs_refuse_and_close_again(codec: VideoCodec) -> None:
    encoder, decoder = make_encoder(codec, 64, 48, 100_000, 30), make_decoder(codec)
    (picture,) = moving_texture(64, 48, 1)
    data = encoder.encode(picture).data
    encoder.close()
    encoder.close()
    decoder.close()
    decoder.close()
    with pytest.raises(CodecError, match="closed"):
        encoder.encode(picture)
    with pytest.raises(CodecError, match="closed"):
        encoder.set_rate(200_000, 30)
    with pytest.raises(CodecError, match="closed"):
        decoder.decode(data)


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("closes", [True, False], ids=["closed", "forgotten"])
def test_encoders_leave_no_memory_behind(codec: VideoCodec, closes: bool) -> None:
    (picture,) = moving_texture(640, 360, 1)

    def use() -> None:
        encoder: VideoEncoder = make_encoder(codec, 640, 360, 500_000, 30)
        encoder.encode(picture)
        if closes:
            encoder.close()

    for _ in range(5):
        use()
    gc.collect()
    before = psutil.Process().memory_info().rss
    for _ in range(20):
        use()
    gc.collect()
    # One of them takes 5 to 15 MB.
    assert psutil.Process().memory_info().rss - before < 30e6


def test_all_codecs_are_there_and_vp9_is_preferred() -> None:
    assert best_codecs() == (VideoCodec.VP9, VideoCodec.VP8, VideoCodec.H264)


def test_a_codec_whose_library_is_missing_is_not_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise CodecError("not found")

    monkeypatch.setattr(video_codecs.libx264, "load", missing)
    best_codecs.cache_clear()
    try:
        assert best_codecs() == (VideoCodec.VP9, VideoCodec.VP8)
    finally:
        best_codecs.cache_clear()


def test_the_sender_s_order_decides_among_what_both_have() -> None:
    vp9, vp8, h264 = VideoCodec.VP9, VideoCodec.VP8, VideoCodec.H264
    assert choose_codec((vp9, vp8, h264), [h264, vp8]) is vp8
    assert choose_codec((h264, vp8), [vp8, h264]) is h264
    assert choose_codec((vp9,), [vp8]) is None
    assert choose_codec((), [vp8]) is None


def test_an_encoder_in_need_changes_to_less_work_that_the_receiver_takes() -> None:
    vp9, vp8, h264 = VideoCodec.VP9, VideoCodec.VP8, VideoCodec.H264
    assert cheaper_codec(vp9, [vp9, vp8, h264]) is vp8
    assert cheaper_codec(vp9, [vp9, h264]) is h264
    assert cheaper_codec(vp9, [vp9]) is None
    assert cheaper_codec(vp8, [vp9, vp8, h264]) is None
