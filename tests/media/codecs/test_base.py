"""Every codec fits the interface that senders and receivers know it by."""

from __future__ import annotations

import inspect

import pytest

from entrenous.media.codecs import base
from entrenous.media.codecs.h264 import H264Encoder
from entrenous.media.codecs.opus import OpusDecoder, OpusEncoder
from entrenous.media.codecs.picture_decoder import PictureDecoder
from entrenous.media.codecs.vpx import VpxEncoder

AUDIO_ENCODER: type[base.AudioEncoder] = OpusEncoder
AUDIO_DECODER: type[base.AudioDecoder] = OpusDecoder
VIDEO_ENCODERS: tuple[type[base.VideoEncoder], ...] = (VpxEncoder, H264Encoder)
VIDEO_DECODER: type[base.VideoDecoder] = PictureDecoder


@pytest.mark.parametrize(
    ("codec", "protocol"),
    [
        (AUDIO_ENCODER, base.AudioEncoder),
        (AUDIO_DECODER, base.AudioDecoder),
        *((encoder, base.VideoEncoder) for encoder in VIDEO_ENCODERS),
        (VIDEO_DECODER, base.VideoDecoder),
    ],
    ids=lambda value: value.__name__,
)
def test_a_codec_has_the_calls_of_its_interface(codec: type, protocol: type) -> None:
    for name, member in vars(protocol).items():
        if not name.startswith("_"):
            assert inspect.signature(getattr(codec, name)) == inspect.signature(member), name


def test_a_block_is_20_ms() -> None:
    assert base.BLOCK_SAMPLES / base.SAMPLE_RATE == base.BLOCK_SECONDS == 0.020
