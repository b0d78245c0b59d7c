"""VP8: good pictures, key frames exactly when asked for, the caller's frame untouched, bad bytes refused."""

from __future__ import annotations

import av
import numpy as np
import pytest
from av.video.frame import PictureType
from hypothesis import given, settings
from hypothesis import strategies as st

from entrenous.errors import CodecError
from entrenous.media.codecs.vp8 import Vp8Decoder, Vp8Encoder, is_key_frame, key_frame_size
from entrenous.media.sources.testcard import TestCardSource, read_frame_number
from lab.recordings import psnr
from world.media_clock import SimulatedClock


async def card(width: int, height: int, count: int, fps: int = 30) -> list[av.VideoFrame]:
    source = TestCardSource(width, height, fps, clock=SimulatedClock())
    await source.start()
    assert source.video is not None
    pictures = [await source.video.read() for _ in range(count)]
    return [picture.frame for picture in pictures if picture is not None]


@pytest.mark.parametrize(("width", "height", "bitrate", "count"), [(1280, 720, 1_000_000, 45), (320, 240, 250_000, 60)])
async def test_a_moving_card_arrives_in_good_quality(width: int, height: int, bitrate: int, count: int) -> None:
    encoder, decoder = Vp8Encoder(width, height, bitrate=bitrate), Vp8Decoder()
    pictures = await card(width, height, count)
    ratios, size = [], 0
    for number, picture in enumerate(pictures):
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


async def test_a_key_frame_is_made_once_for_each_request() -> None:
    encoder = Vp8Encoder(320, 240, bitrate=300_000)
    pictures = await card(320, 240, 40)
    keys = [
        number
        for number, picture in enumerate(pictures)
        if encoder.encode(picture, key_frame=number in (10, 25)).key_frame
    ]
    assert keys == [0, 10, 25]


async def test_one_frame_object_encoded_again_makes_no_further_key_frames() -> None:
    encoder = Vp8Encoder(320, 240)
    (picture,) = await card(320, 240, 1)
    flags = [encoder.encode(picture, key_frame=number == 2).key_frame for number in range(6)]
    assert flags == [True, False, True, False, False, False]


@pytest.mark.parametrize("size", [(320, 240), (640, 480)], ids=["same size", "other size"])
async def test_a_frame_that_was_a_key_frame_elsewhere_is_none_here(size: tuple[int, int]) -> None:
    encoder = Vp8Encoder(320, 240)
    pictures = await card(*size, 4)
    for picture in pictures:
        picture.pict_type = PictureType.I
    assert [encoder.encode(picture).key_frame for picture in pictures] == [True, False, False, False]


@pytest.mark.parametrize("size", [(320, 240), (640, 480)], ids=["same size", "other size"])
async def test_the_frame_of_the_caller_is_not_changed(size: tuple[int, int]) -> None:
    encoder = Vp8Encoder(320, 240)
    (picture,) = await card(*size, 1)
    picture.pts = 1234
    before = (picture.pts, picture.time_base, picture.pict_type, picture.key_frame, picture.to_ndarray().tobytes())
    for key_frame in (True, False):
        encoder.encode(picture, key_frame=key_frame)
    after = (picture.pts, picture.time_base, picture.pict_type, picture.key_frame, picture.to_ndarray().tobytes())
    assert before == after


async def test_other_sizes_and_formats_are_converted() -> None:
    encoder, decoder = Vp8Encoder(320, 240), Vp8Decoder()
    (picture,) = await card(640, 360, 1)
    for frame in (picture, picture.reformat(format="rgb24")):
        shown = decoder.decode(encoder.encode(frame).data)
        assert shown is not None
        assert (shown.width, shown.height) == (320, 240)
        assert read_frame_number(shown) == 0


@pytest.mark.parametrize("arguments", [(321, 240, 1, 1), (320, 0, 1, 1), (320, 240, 0, 1), (320, 240, 1, 0)])
def test_an_impossible_encoder_is_refused(arguments: tuple[int, int, int, int]) -> None:
    width, height, bitrate, fps = arguments
    with pytest.raises(CodecError):
        Vp8Encoder(width, height, bitrate=bitrate, fps=fps)


async def test_a_stream_must_start_with_a_key_frame() -> None:
    encoder, decoder = Vp8Encoder(320, 240), Vp8Decoder()
    first, second = (encoder.encode(picture).data for picture in await card(320, 240, 2))
    with pytest.raises(CodecError, match="key frame"):
        decoder.decode(second)
    assert decoder.decode(first) is not None
    assert decoder.decode(second) is not None


async def test_the_decoder_goes_on_after_damage_with_the_next_key_frame() -> None:
    encoder, decoder = Vp8Encoder(320, 240), Vp8Decoder()
    pictures = await card(320, 240, 4)
    first = encoder.encode(pictures[0]).data
    decoder.decode(first)
    with pytest.raises(CodecError, match="damaged"):
        decoder.decode(encoder.encode(pictures[1]).data[:8])
    shown = decoder.decode(encoder.encode(pictures[2], key_frame=True).data)
    assert shown is not None
    assert read_frame_number(shown) == 2


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x10\x02",
        b"\x10\x02\x00\x9d\x01\x2b\x40\x01\xf0\x00",
    ],
    ids=["empty", "short", "no start code"],
)
def test_malformed_frames_are_refused(data: bytes) -> None:
    with pytest.raises(CodecError):
        Vp8Decoder().decode(data)


@pytest.mark.parametrize("size", [b"\xff\x3f\xff\x3f", b"\x00\x10\x01\x09", b"\x00\x00\xf0\x00", b"\xf0\x00\x00\x00"])
def test_a_picture_of_no_acceptable_size_never_reaches_the_decoder(size: bytes) -> None:
    with pytest.raises(CodecError, match="not accepted"):
        Vp8Decoder().decode(b"\x10\x02\x00\x9d\x01\x2a" + size + bytes(50))


_encoder = Vp8Encoder(64, 48)
_key = _encoder.encode(av.VideoFrame(64, 48, "yuv420p"), key_frame=True).data
_survivor = Vp8Decoder()


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.binary(max_size=300), st.binary(max_size=200).map(lambda tail: _key[:10] + tail)))
def test_arbitrary_bytes_give_a_picture_or_a_codec_error(data: bytes) -> None:
    try:
        shown = _survivor.decode(data)
    except CodecError:
        return
    assert shown is None or shown.format.name == "yuv420p"


def test_the_header_of_a_key_frame_is_read() -> None:
    assert is_key_frame(_key)
    assert key_frame_size(_key) == (64, 48)
    assert not is_key_frame(b"")
    assert not is_key_frame(b"\x01")


def test_closed_codecs_refuse_and_close_again() -> None:
    encoder, decoder = Vp8Encoder(64, 48), Vp8Decoder()
    for codec in (encoder, decoder):
        codec.close()
        codec.close()
    with pytest.raises(CodecError, match="closed"):
        encoder.encode(av.VideoFrame(64, 48, "yuv420p"))
    with pytest.raises(CodecError, match="closed"):
        decoder.decode(_key)
