"""RFC 9605's own vectors: 289 headers, 3 of AES-CTR-HMAC, 5 of whole frames; and what is no header."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidTag
from hypothesis import given
from hypothesis import strategies as st

from entrenous.crypto.sframe_cipher import (
    MAX_VALUE,
    AesCtrHmac,
    FrameCipher,
    FrameRejected,
    RejectReason,
    Suite,
    decode_header,
    derive_key_and_salt,
    encode_header,
    tag_length,
)
from entrenous.errors import LocalProtocolError, VerificationError

VECTORS: dict[str, Any] = json.loads((Path(__file__).parents[1] / "data" / "sframe-test-vectors.json").read_text())
CTR_HMAC_SUITES = [suite for suite in Suite if "CTR" in suite.name]


def test_all_vectors_are_there() -> None:
    assert [len(VECTORS[name]) for name in ("header", "aes_ctr_hmac", "sframe")] == [289, 3, 5]
    assert {vector["cipher_suite"] for vector in VECTORS["sframe"]} == set(Suite)


@pytest.mark.parametrize("vector", VECTORS["header"], ids=lambda vector: vector["encoded"])
def test_header_vector(vector: dict[str, Any]) -> None:
    encoded = bytes.fromhex(vector["encoded"])
    assert encode_header(vector["kid"], vector["ctr"]) == encoded
    assert decode_header(encoded + b"rest") == (vector["kid"], vector["ctr"], len(encoded))


@pytest.mark.parametrize("vector", VECTORS["aes_ctr_hmac"], ids=lambda vector: f"suite {vector['cipher_suite']}")
def test_aes_ctr_hmac_vector(vector: dict[str, Any]) -> None:
    key, nonce, aad, plaintext, sealed = (bytes.fromhex(vector[name]) for name in ("key", "nonce", "aad", "pt", "ct"))
    assert key == bytes.fromhex(vector["enc_key"]) + bytes.fromhex(vector["auth_key"])
    cipher = AesCtrHmac(key, tag_length(Suite(vector["cipher_suite"])))
    assert cipher.encrypt(nonce, plaintext, aad) == sealed
    assert cipher.decrypt(nonce, sealed, aad) == plaintext


@pytest.mark.parametrize("vector", VECTORS["sframe"], ids=lambda vector: f"suite {vector['cipher_suite']}")
def test_sframe_vector(vector: dict[str, Any]) -> None:
    suite, kid, ctr = Suite(vector["cipher_suite"]), vector["kid"], vector["ctr"]
    base_key, metadata, plaintext, sealed = (
        bytes.fromhex(vector[name]) for name in ("base_key", "metadata", "pt", "ct")
    )
    key, salt = derive_key_and_salt(suite, kid, base_key)
    assert (key.hex(), salt.hex()) == (vector["sframe_key"], vector["sframe_salt"])
    cipher = FrameCipher(suite, kid, base_key)
    assert cipher.seal(ctr, plaintext, metadata) == sealed
    header = decode_header(sealed)
    assert (header.kid, header.ctr) == (kid, ctr)
    assert cipher.open(header, sealed, metadata) == plaintext


@pytest.mark.parametrize("suite", Suite)
def test_every_changed_byte_is_refused(suite: Suite) -> None:
    cipher = FrameCipher(suite, 300, b"k" * 32)
    sealed, metadata = cipher.seal(70_000, b"an encoded frame", b"in clear"), b"in clear"
    for at in range(len(sealed)):
        changed = sealed[:at] + bytes((sealed[at] ^ 1 << at % 8,)) + sealed[at + 1 :]
        with pytest.raises(FrameRejected):
            cipher.open(decode_header(changed), changed, metadata)
    for at in range(len(metadata)):
        changed = metadata[:at] + bytes((metadata[at] ^ 1,)) + metadata[at + 1 :]
        with pytest.raises(FrameRejected):
            cipher.open(decode_header(sealed), sealed, changed)
    assert cipher.open(decode_header(sealed), sealed, metadata) == b"an encoded frame"


@pytest.mark.parametrize("suite", Suite)
def test_a_frame_of_another_suite_or_key_id_is_refused(suite: Suite) -> None:
    sealed = FrameCipher(suite, 1, b"k" * 32).seal(0, b"frame", b"")
    for other in [*(FrameCipher(s, 1, b"k" * 32) for s in Suite if s is not suite), FrameCipher(suite, 2, b"k" * 32)]:
        with pytest.raises(FrameRejected):
            other.open(decode_header(sealed), sealed, b"")


@given(st.integers(0, MAX_VALUE), st.integers(0, MAX_VALUE), st.binary(max_size=20))
def test_headers_are_read_back(kid: int, ctr: int, tail: bytes) -> None:
    encoded = encode_header(kid, ctr)
    assert decode_header(encoded + tail) == (kid, ctr, len(encoded))


@given(st.binary(max_size=20))
def test_any_bytes_are_a_header_or_malformed(data: bytes) -> None:
    try:
        header = decode_header(data)
    except FrameRejected as rejection:
        assert rejection.reason is RejectReason.MALFORMED
    else:
        assert 1 <= header.length <= len(data)


@pytest.mark.parametrize(("kid", "ctr"), [(-1, 0), (0, -1), (2**64, 0), (0, 2**64)])
def test_what_does_not_fit_into_a_header_is_refused(kid: int, ctr: int) -> None:
    with pytest.raises(LocalProtocolError):
        encode_header(kid, ctr)


@pytest.mark.parametrize("suite", CTR_HMAC_SUITES)
def test_ctr_hmac_refuses_what_is_shorter_than_its_tag(suite: Suite) -> None:
    with pytest.raises(InvalidTag):
        AesCtrHmac(bytes(48), tag_length(suite)).decrypt(bytes(12), bytes(tag_length(suite) - 1), b"")


def test_a_frame_without_room_for_a_tag_is_malformed() -> None:
    cipher = FrameCipher(Suite.AES_256_GCM_SHA512_128, 0, bytes(32))
    with pytest.raises(FrameRejected) as caught:
        cipher.open(decode_header(b"\0"), b"\0" + bytes(15), b"")
    assert caught.value.reason is RejectReason.MALFORMED
    assert isinstance(caught.value, VerificationError)


def test_a_key_that_is_none_is_refused_and_none_is_shown() -> None:
    with pytest.raises(LocalProtocolError):
        FrameCipher(Suite.AES_128_GCM_SHA256_128, 0, b"short")
    with pytest.raises(LocalProtocolError):
        FrameCipher(Suite.AES_128_GCM_SHA256_128, 2**64, bytes(32))
    assert repr(FrameCipher(Suite.AES_128_GCM_SHA256_128, 3, b"k" * 32)) == "<FrameCipher of epoch 3>"
