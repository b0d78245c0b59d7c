"""HPKE under ML-KEM-768 and X25519: sealed to one key and one use."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto.people import seeded
from entrenous.crypto.hybrid import SEAL_OVERHEAD, SEED_BYTES, HybridPrivateKey, seal_to
from entrenous.errors import LocalProtocolError, VerificationError

DRAW = seeded("hybrid")
KEY, OTHER = HybridPrivateKey(DRAW(SEED_BYTES)), HybridPrivateKey(DRAW(SEED_BYTES))


def test_what_is_sealed_opens_with_its_key_and_use_only() -> None:
    body = seal_to(KEY.public_bytes, b"a secret", b"use")
    assert len(body) == len(b"a secret") + SEAL_OVERHEAD
    assert KEY.open(body, b"use") == b"a secret"
    with pytest.raises(VerificationError):
        KEY.open(body, b"another use")
    with pytest.raises(VerificationError):
        OTHER.open(body, b"use")


@pytest.mark.parametrize("part", ["ML-KEM", "X25519"])
def test_both_halves_of_the_key_are_needed(part: str) -> None:
    seed, half = DRAW(SEED_BYTES), DRAW(SEED_BYTES)
    wrong = half[:64] + seed[64:] if part == "ML-KEM" else seed[:64] + half[64:]
    body = seal_to(HybridPrivateKey(seed).public_bytes, b"a secret", b"use")
    with pytest.raises(VerificationError):
        HybridPrivateKey(wrong).open(body, b"use")
    assert HybridPrivateKey(seed).open(body, b"use") == b"a secret"


def test_the_same_seed_gives_the_same_key_and_another_length_none() -> None:
    seed = DRAW(SEED_BYTES)
    assert HybridPrivateKey(seed).public_bytes == HybridPrivateKey(seed).public_bytes
    with pytest.raises(LocalProtocolError):
        HybridPrivateKey(seed[1:])
    assert repr(KEY) == "<HybridPrivateKey>"


@pytest.mark.parametrize("key", [b"", bytes(1215), b"\xff" * 1216, KEY.public_bytes[:-32] + bytes(32)])
def test_a_key_that_is_none_is_refused(key: bytes) -> None:
    with pytest.raises(VerificationError):
        seal_to(key, b"a secret", b"use")


@given(st.binary(max_size=1400))
def test_any_bytes_are_refused(body: bytes) -> None:
    with pytest.raises(VerificationError):
        KEY.open(body, b"use")
