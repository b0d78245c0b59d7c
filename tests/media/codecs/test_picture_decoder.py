"""Bytes from outside give a picture or a codec error, and never more memory than a bounded picture takes."""

from __future__ import annotations

import functools
from fractions import Fraction

import av
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entrenous.errors import CodecError
from entrenous.media.codecs import picture_decoder
from entrenous.media.codecs.base import VideoCodec
from entrenous.media.codecs.picture_decoder import MAXIMUM_PIXELS, PictureDecoder, is_key_frame
from entrenous.media.sources.testcard import read_frame_number
from entrenous.media.video_codecs import make_encoder
from lab.pictures import moving_texture, numbered_cards

CODECS = list(VideoCodec)


@functools.cache
def frames(codec: VideoCodec, width: int = 64, height: int = 48, count: int = 4) -> tuple[bytes, ...]:
    encoder = make_encoder(codec, width, height, 500_000, 30)
    return tuple(encoder.encode(picture).data for picture in moving_texture(width, height, count))


@pytest.mark.parametrize("codec", CODECS)
def test_a_stream_must_start_with_a_key_frame(codec: VideoCodec) -> None:
    decoder = PictureDecoder(codec)
    first, second, *_ = frames(codec)
    with pytest.raises(CodecError, match="key frame"):
        decoder.decode(second)
    assert decoder.decode(first) is not None
    assert decoder.decode(second) is not None


@pytest.mark.parametrize("codec", CODECS)
async def test_the_decoder_goes_on_after_damage_with_the_next_key_frame(codec: VideoCodec) -> None:
    encoder, decoder = make_encoder(codec, 320, 240, 500_000, 30), PictureDecoder(codec)
    pictures = await numbered_cards(320, 240, 4)
    decoder.decode(encoder.encode(pictures[0]).data)
    with pytest.raises(CodecError, match="damaged"):
        decoder.decode(encoder.encode(pictures[1]).data[:8])
    shown = decoder.decode(encoder.encode(pictures[2], key_frame=True).data)
    assert shown is not None
    assert read_frame_number(shown) == 2


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("data", [b"", b"\x00", b"\x10\x02", b"\x82\x49", b"\x00\x00\x01\x65", b"\x00\x00\x01\x67"])
def test_malformed_first_frames_are_refused(codec: VideoCodec, data: bytes) -> None:
    with pytest.raises(CodecError):
        PictureDecoder(codec).decode(data)


def with_size(codec: VideoCodec, width: int, height: int) -> bytes:
    """A key frame that announces a size of its own choice."""
    key = frames(codec)[0]
    match codec:
        case VideoCodec.VP8:
            return key[:6] + width.to_bytes(2, "little") + height.to_bytes(2, "little") + key[10:]
        case VideoCodec.VP9:
            # Profile 0: 8 bits of header, 24 of sync code, 4 of colours; then both sizes less one in 16 bits each.
            bits = f"{int.from_bytes(key[:9]):072b}"
            changed = bits[:36] + f"{width - 1:016b}{height - 1:016b}" + bits[68:]
            return int(changed, 2).to_bytes(9) + key[9:]
        case VideoCodec.H264:
            raise NotImplementedError


@pytest.mark.parametrize("codec", [VideoCodec.VP8, VideoCodec.VP9])
@pytest.mark.parametrize(("width", "height"), [(16383, 16383), (4096, 2306), (2306, 4096)])
def test_a_header_that_asks_for_too_much_gets_nothing(codec: VideoCodec, width: int, height: int) -> None:
    with pytest.raises(CodecError):
        PictureDecoder(codec).decode(with_size(codec, width, height))


@pytest.mark.parametrize("codec", [VideoCodec.VP8, VideoCodec.VP9])
def test_the_size_in_the_header_is_what_is_checked(codec: VideoCodec) -> None:
    assert with_size(codec, 64, 48) == frames(codec)[0]


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize(("pixels", "accepted"), [(320 * 240, True), (320 * 240 - 1, False)])
def test_the_bound_is_on_the_pixels(
    codec: VideoCodec, pixels: int, accepted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert picture_decoder._OPTIONS["max_pixels"] == str(MAXIMUM_PIXELS)
    # FFmpeg keeps a margin for the lines it reads ahead: (width + 128) x (height + 128) must fit, in every decoder.
    allowance = (320 + 128) * (240 + 128) if accepted else pixels
    monkeypatch.setitem(picture_decoder._OPTIONS, "max_pixels", str(allowance))
    decoder = PictureDecoder(codec)
    (key,) = frames(codec, 320, 240, 1)
    if accepted:
        assert decoder.decode(key) is not None
    else:
        with pytest.raises(CodecError):
            decoder.decode(key)


@pytest.mark.parametrize("codec", CODECS)
def test_a_new_size_in_the_stream_is_shown(codec: VideoCodec) -> None:
    decoder = PictureDecoder(codec)
    for width, height in ((64, 48), (128, 96), (32, 32)):
        for data in frames(codec, width, height):
            shown = decoder.decode(data)
            assert shown is not None
            assert (shown.width, shown.height) == (width, height)


@pytest.mark.parametrize(("form", "accepted"), [("yuvj420p", True), ("yuv444p", False)])
def test_other_formats_become_ours_or_are_refused(form: str, accepted: bool) -> None:
    context = av.CodecContext.create("libx264", "w")
    context.width, context.height, context.pix_fmt, context.time_base = 64, 48, form, Fraction(1, 30)
    context.options = {"tune": "zerolatency"}
    (packet,) = context.encode(av.VideoFrame(64, 48, form))
    decoder = PictureDecoder(VideoCodec.H264)
    if accepted:
        shown = decoder.decode(bytes(packet))
        assert shown is not None
        assert shown.format.name == "yuv420p"
    else:
        with pytest.raises(CodecError, match="yuv444p"):
            decoder.decode(bytes(packet))


_survivors = {codec: PictureDecoder(codec) for codec in CODECS}


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(CODECS), st.binary(max_size=300), st.integers(0, 60))
def test_arbitrary_bytes_give_a_picture_or_a_codec_error(codec: VideoCodec, tail: bytes, kept: int) -> None:
    data = frames(codec)[0][:kept] + tail
    assert isinstance(is_key_frame(codec, data), bool)
    try:
        shown = _survivors[codec].decode(data)
    except CodecError:
        return
    assert shown is None or (shown.format.name == "yuv420p" and shown.width * shown.height <= MAXIMUM_PIXELS)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(CODECS), st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2000), st.integers(1, 255))))
def test_tampered_streams_give_pictures_or_codec_errors(codec: VideoCodec, flips: list[tuple[int, int, int]]) -> None:
    stream = [bytearray(data) for data in frames(codec)]
    for frame, at, mask in flips:
        stream[frame][at % len(stream[frame])] ^= mask
    decoder = PictureDecoder(codec)
    for data in stream:
        try:
            shown = decoder.decode(bytes(data))
        except CodecError:
            continue
        assert shown is None or shown.width * shown.height <= MAXIMUM_PIXELS
