"""What is particular to H264; what all encoders do is in test_video_codecs.py."""

from __future__ import annotations

import pytest

from entrenous.media.codecs.h264 import H264Encoder, is_key_frame
from lab.pictures import moving_texture

START = b"\x00\x00\x00\x01"


def unit_types(data: bytes) -> list[int]:
    return [unit[0] & 0x1F for unit in data.split(b"\x00\x00\x01")[1:]]


def test_every_key_frame_brings_its_parameter_sets_and_nothing_brings_words() -> None:
    encoder = H264Encoder(64, 48)
    frames = [
        encoder.encode(picture, key_frame=number == 2) for number, picture in enumerate(moving_texture(64, 48, 4))
    ]
    assert [unit_types(frame.data) for frame in frames] == [[7, 8, 5], [1], [7, 8, 5], [1]]
    assert b"x264" not in b"".join(frame.data for frame in frames)


def test_it_is_constrained_baseline() -> None:
    parameter_set = H264Encoder(64, 48).encode(moving_texture(64, 48, 1)[0]).data.split(b"\x00\x00\x01")[1]
    profile, constraints = parameter_set[1], parameter_set[2]
    assert profile == 66
    assert constraints & 0x40


@pytest.mark.parametrize(
    ("data", "key_frame"),
    [
        (START + b"\x67\x42" + START + b"\x68\xce" + START + b"\x65\x88", True),
        (START + b"\x09\x10" + b"\x00\x00\x01\x65\x88", True),
        (START + b"\x41\x9a" + START + b"\x65\x88", False),
        (START + b"\x67\x42" + START + b"\x68\xce", False),
        (START + b"\x67\x42\x00\x00\x01", False),
        (b"\x65\x88", False),
        (START, False),
        (b"", False),
    ],
    ids=[
        "sets and IDR",
        "delimiter and IDR",
        "slice first",
        "sets only",
        "cut off",
        "no start code",
        "start only",
        "none",
    ],
)
def test_a_key_frame_is_told_by_its_first_slice(data: bytes, key_frame: bool) -> None:
    assert is_key_frame(data) is key_frame
