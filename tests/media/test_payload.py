"""VP8 payload descriptors (RFC 7741) around sealed frames."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenous.errors import RemoteProtocolError
from entrenous.media.payload import MAX_PAYLOAD, Piece, packetise, read_piece


@given(st.binary(min_size=1, max_size=20_000), st.integers(0, 0x7FFF))
def test_pieces_put_together_are_the_frame(frame: bytes, picture_id: int) -> None:
    payloads = packetise(frame, picture_id)
    pieces = [read_piece(payload) for payload in payloads]
    assert b"".join(piece.data for piece in pieces) == frame
    assert [piece.start for piece in pieces] == [True] + [False] * (len(pieces) - 1)
    assert {piece.picture_id for piece in pieces} == {picture_id}
    assert all(len(payload) <= MAX_PAYLOAD for payload in payloads)


def test_pieces_are_nearly_equal() -> None:
    sizes = [len(payload) for payload in packetise(bytes(MAX_PAYLOAD), 1)]
    assert len(sizes) == 2
    assert max(sizes) - min(sizes) <= 1


@given(st.binary(max_size=30))
def test_reading_anything_yields_a_piece_or_a_remote_error(data: bytes) -> None:
    try:
        piece = read_piece(data)
    except RemoteProtocolError:
        return
    assert data.endswith(piece.data)
    assert piece.data


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b"\x10x", Piece(True, None, b"x")),
        (b"\x00x", Piece(False, None, b"x")),
        (b"\x11x", Piece(False, None, b"x")),  # a later partition begins: not the frame
        (b"\x90\x80\x05x", Piece(True, 5, b"x")),
        (b"\x90\x80\x81\x05x", Piece(True, 0x105, b"x")),
        (b"\x90\xf0\x81\x05\x09\x20x", Piece(True, 0x105, b"x")),
    ],
)
def test_every_optional_field_is_passed_over(payload: bytes, expected: Piece) -> None:
    assert read_piece(payload) == expected
