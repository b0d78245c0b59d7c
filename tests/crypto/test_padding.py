"""Padding: seven lengths, and one layout only."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenous.crypto.padding import check_body_size, pad, unpad
from entrenous.errors import LocalProtocolError, VerificationError
from entrenous_wire.limits import BODY_SIZES


@given(st.binary(max_size=5000), st.integers(0, 1200), st.sampled_from((0, *BODY_SIZES)))
def test_what_is_padded_comes_back_and_has_one_of_the_lengths(plaintext: bytes, overhead: int, minimum: int) -> None:
    padded = pad(plaintext, overhead, minimum)
    assert len(padded) + overhead in BODY_SIZES
    assert len(padded) + overhead >= minimum
    assert unpad(padded) == plaintext


@pytest.mark.parametrize("size", BODY_SIZES)
def test_the_next_length_is_taken_one_byte_later(size: int) -> None:
    assert len(pad(bytes(size - 28), 24)) + 24 == size
    if size == BODY_SIZES[-1]:
        with pytest.raises(LocalProtocolError):
            pad(bytes(size - 27), 24)
    else:
        assert len(pad(bytes(size - 27), 24)) + 24 == BODY_SIZES[BODY_SIZES.index(size) + 1]


def test_every_changed_padding_byte_is_refused() -> None:
    padded = pad(b"message", 0)
    for at in range(4 + len(b"message"), len(padded)):
        changed = padded[:at] + bytes((padded[at] ^ 0x80,)) + padded[at + 1 :]
        with pytest.raises(VerificationError):
            unpad(changed)


@given(st.binary(max_size=40))
def test_any_bytes_are_padding_or_refused(data: bytes) -> None:
    try:
        plaintext = unpad(data)
    except VerificationError:
        return
    assert data == len(plaintext).to_bytes(4, "big") + plaintext + bytes(len(data) - 4 - len(plaintext))


def test_other_lengths_are_no_bodies() -> None:
    for size in BODY_SIZES:
        check_body_size(bytes(size))
        for other in (size - 1, size + 1):
            with pytest.raises(VerificationError):
                check_body_size(bytes(other))
