"""What nodes say is sealed: known answers, every change of a byte, repeats, other secrets and subjects."""

from __future__ import annotations

import hashlib
import hmac
import random

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from entrenous_signaling.cluster.bus import ClusterError
from entrenous_signaling.cluster.seal import SALT_BYTES, SECRET_BYTES, SENDERS, WINDOW, Seal

SECRET = bytes(range(32))
SUBJECT = "entrenous.0011223344556677"
PAYLOAD = b"alice@calls.example.org wants bob"


def seal_of(number: int, secret: bytes = SECRET) -> Seal:
    return Seal(secret, number.to_bytes(SALT_BYTES, "big"))


def test_the_key_derivation_is_that_of_rfc_5869() -> None:
    """Test case 1 of its appendix A.1."""
    ikm, salt, info = b"\x0b" * 22, bytes(range(13)), bytes(range(0xF0, 0xFA))
    okm = "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"
    assert HKDF(SHA256(), 42, salt, info).derive(ikm).hex() == okm


def test_the_cipher_is_aes_256_gcm() -> None:
    """Test case 16 of McGrew and Viega, "The Galois/Counter Mode of Operation"."""
    key = bytes.fromhex("feffe9928665731c6d6a8f9467308308" * 2)
    nonce = bytes.fromhex("cafebabefacedbaddecaf888")
    plain = bytes.fromhex(
        "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
        "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"
    )
    also = bytes.fromhex("feedfacedeadbeeffeedfacedeadbeefabaddad2")
    sealed = (
        "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
        "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
        "76fc6ece0f4e1768cddf8853bb2d551b"
    )
    assert AESGCM(key).encrypt(nonce, plain, also).hex() == sealed


def test_the_form_is_the_one_that_is_described() -> None:
    """Put together by hand: HMAC from the standard library, and the cipher that the test above has tested."""
    salt = bytes(range(100, 116))
    derived = hmac.digest(salt, SECRET, hashlib.sha256)
    key = hmac.digest(derived, b"entrenous cluster v1\x01", hashlib.sha256)
    for counter in range(2):
        sealed = b"\x01" + salt + counter.to_bytes(8, "big")
        sealed += AESGCM(key).encrypt(counter.to_bytes(12, "big"), PAYLOAD, b"\x01" + SUBJECT.encode())
        assert seal_of(1).open(SUBJECT, sealed) == PAYLOAD
    ours = Seal(SECRET, salt)
    ours.seal(SUBJECT, b"")
    assert ours.seal(SUBJECT, PAYLOAD) == sealed


def test_nothing_of_a_payload_is_in_clear_and_no_two_seals_are_alike() -> None:
    seal = seal_of(1)
    first, second = seal.seal(SUBJECT, PAYLOAD), seal.seal(SUBJECT, PAYLOAD)
    assert first != second
    assert not any(PAYLOAD[at : at + 4] in first + second for at in range(len(PAYLOAD) - 3))


@pytest.mark.parametrize("payload", [b"", PAYLOAD])
def test_a_change_of_any_byte_a_cut_and_an_addition_are_seen(payload: bytes) -> None:
    sealed = seal_of(1).seal(SUBJECT, payload)
    other = seal_of(2)
    for at in range(len(sealed)):
        for flip in (0x01, 0x80):
            changed = bytearray(sealed)
            changed[at] ^= flip
            with pytest.raises(ClusterError):
                other.open(SUBJECT, bytes(changed))
    for changed_length in (*(sealed[:end] for end in range(len(sealed))), sealed + b"\0"):
        with pytest.raises(ClusterError):
            other.open(SUBJECT, changed_length)
    assert other.open(SUBJECT, sealed) == payload


def test_another_secret_and_another_subject_open_nothing() -> None:
    sealed = seal_of(1).seal(SUBJECT, PAYLOAD)
    with pytest.raises(ClusterError):
        seal_of(2, bytes(32)).open(SUBJECT, sealed)
    with pytest.raises(ClusterError):
        seal_of(2).open("entrenous.all", sealed)


def test_what_comes_again_or_back_is_refused() -> None:
    one, two, three = seal_of(1), seal_of(2), seal_of(3)
    sealed = one.seal(SUBJECT, PAYLOAD)
    for receiver in (two, three):
        receiver.open(SUBJECT, sealed)
        with pytest.raises(ClusterError, match="come before"):
            receiver.open(SUBJECT, sealed)
    with pytest.raises(ClusterError, match="sealed here"):
        one.open(SUBJECT, sealed)


def test_parcels_may_overtake_each_other_within_a_window_each_once() -> None:
    one, two = seal_of(1), seal_of(2)
    said = [one.seal(SUBJECT, number.to_bytes(4, "big")) for number in range(3 * WINDOW)]
    shuffled = list(range(3 * WINDOW))
    chance = random.Random(7)
    for begin in range(0, len(shuffled), WINDOW // 2):
        part = shuffled[begin : begin + WINDOW // 2]
        chance.shuffle(part)
        shuffled[begin : begin + WINDOW // 2] = part
    for number in shuffled:
        assert int.from_bytes(two.open(SUBJECT, said[number]), "big") == number
    for number in shuffled:
        with pytest.raises(ClusterError):
            two.open(SUBJECT, said[number])


def test_what_is_older_than_the_window_is_refused_and_its_edges_are_exact() -> None:
    one, two = seal_of(1), seal_of(2)
    said = [one.seal(SUBJECT, b"") for _ in range(2 * WINDOW)]
    two.open(SUBJECT, said[WINDOW])
    two.open(SUBJECT, said[1])  # WINDOW - 1 behind
    with pytest.raises(ClusterError):
        two.open(SUBJECT, said[0])  # WINDOW behind
    two.open(SUBJECT, said[2 * WINDOW - 1])
    with pytest.raises(ClusterError):
        two.open(SUBJECT, said[WINDOW])
    two.open(SUBJECT, said[WINDOW + 1])


def test_forged_senders_push_nobody_out_and_silent_ones_make_room() -> None:
    receiver, known = seal_of(0), seal_of(1)
    first = known.seal(SUBJECT, b"1")
    receiver.open(SUBJECT, first)
    for number in range(2, 2 + 2 * SENDERS):
        forged = bytearray(known.seal(SUBJECT, b""))
        forged[1:17] = number.to_bytes(SALT_BYTES, "big")
        with pytest.raises(ClusterError, match="not sealed"):
            receiver.open(SUBJECT, bytes(forged))
    with pytest.raises(ClusterError, match="come before"):
        receiver.open(SUBJECT, first)
    for number in range(2, 2 + SENDERS):
        receiver.open(SUBJECT, seal_of(number).seal(SUBJECT, b""))
    assert receiver.open(SUBJECT, known.seal(SUBJECT, b"2")) == b"2"


def test_secrets_and_salts_have_their_length() -> None:
    for secret, salt in ((SECRET_BYTES - 1, SALT_BYTES), (SECRET_BYTES, SALT_BYTES + 1)):
        with pytest.raises(ValueError, match="bytes of secret"):
            Seal(bytes(secret), bytes(salt))
