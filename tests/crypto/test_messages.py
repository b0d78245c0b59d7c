"""Inner messages: typed, bounded, and refused as a whole when anything is odd."""

from __future__ import annotations

import contextlib
from typing import get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenous.crypto.messages import (
    MAX_DESCRIPTION,
    Accept,
    Candidate,
    End,
    InnerMessage,
    LegAnswer,
    LegOffer,
    MediaState,
    PleaseRestart,
    RekeyAnswer,
    RekeyDone,
    RekeyOffer,
    Reveal,
    decode,
    encode,
)
from entrenous.errors import LocalProtocolError, RemoteProtocolError

GOOD: list[InnerMessage] = [
    Reveal(b"n" * 32),
    Accept(),
    Accept(LegOffer(1, "v=0")),
    End("cancelled"),
    End("elsewhere", device="00112233445566ff"),
    End("failed", stage="path"),
    End("failed", stage="path", cause="no-relay"),
    LegOffer(0, "v=0"),
    LegAnswer(2**31, "v" * MAX_DESCRIPTION),
    Candidate(3, "candidate:1 1 udp 1 192.0.2.1 9 typ host"),
    Candidate(3, None),
    PleaseRestart(4, stalled=True),
    MediaState(0, audio_muted=True, video_muted=False, camera_on=True, screen_on=False, held=False),
    RekeyOffer(1, bytes(1216)),
    RekeyAnswer(1, bytes(1168)),
    RekeyDone(1),
]

BAD: list[InnerMessage] = [
    MediaState(-1, audio_muted=True, video_muted=False, camera_on=True, screen_on=False, held=False),
    Reveal(b"n" * 31),
    End("Not A Token"),
    End(""),
    End("x" * 33),
    End("failed", cause="No relay"),
    End("ended\n"),
    End("elsewhere", device="somebody"),
    LegOffer(-1, "v=0"),
    LegOffer(2**31 + 1, "v=0"),
    LegOffer(0, ""),
    LegAnswer(0, "v" * (MAX_DESCRIPTION + 1)),
    Candidate(0, "c" * 1025),
    RekeyOffer(0, bytes(1216)),
    RekeyOffer(1, bytes(1215)),
    RekeyAnswer(1, bytes(1169)),
    RekeyDone(0),
]


def test_every_type_is_tried() -> None:
    assert {type(message) for message in GOOD} == set(get_args(InnerMessage))


@pytest.mark.parametrize("message", GOOD, ids=lambda message: type(message).__name__)
def test_messages_are_read_back(message: InnerMessage) -> None:
    assert decode(encode(message)) == message


@pytest.mark.parametrize("message", BAD, ids=lambda message: type(message).__name__)
def test_what_is_out_of_bounds_is_neither_sent_nor_taken(message: InnerMessage) -> None:
    with pytest.raises(LocalProtocolError):
        encode(message)
    with pytest.raises(RemoteProtocolError):
        decode(msgspec.msgpack.encode(message))


@pytest.mark.parametrize(
    "shape",
    [
        {"type": "unheard-of"},
        {"type": "rekey-done"},
        {"type": "rekey-done", "epoch": 1, "more": 1},
        {"type": "rekey-done", "epoch": "1"},
        {"type": "rekey-done", "epoch": True},
        {"type": "media-state", "audio_muted": 1, "video_muted": False, "held": False},
        {"epoch": 1},
        ["rekey-done", 1],
        None,
        7,
    ],
)
def test_another_shape_is_refused(shape: object) -> None:
    with pytest.raises(RemoteProtocolError):
        decode(msgspec.msgpack.encode(shape))


def test_bytes_after_a_message_are_refused() -> None:
    with pytest.raises(RemoteProtocolError):
        decode(encode(Accept()) + b"\0")


def test_deep_nesting_is_refused() -> None:
    with pytest.raises(RemoteProtocolError):
        decode(b"\x91" * 40_000)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_refused(data: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        decode(data)


@given(st.sampled_from(GOOD), st.data())
def test_a_changed_byte_is_another_message_or_refused(message: InnerMessage, data: st.DataObject) -> None:
    encoded = bytearray(encode(message))
    encoded[data.draw(st.integers(0, len(encoded) - 1))] ^= data.draw(st.integers(1, 255))
    with contextlib.suppress(RemoteProtocolError):
        assert isinstance(decode(bytes(encoded)), get_args(InnerMessage))


def test_a_nonce_is_not_shown() -> None:
    assert "nnn" not in repr(Reveal(b"n" * 32))
