"""SFrame's header, its five cipher suites and the cipher of one key: RFC 9605 without any state.

A sealed frame is ``header ‖ ciphertext ‖ tag``. The header (RFC 9605 §4.3) takes 1 to 17 bytes::

      0 1 2 3 4 5 6 7
     +-+-+-+-+-+-+-+-+------------------+------------------+
     |X|  K  |Y|  C  |  KID (X=1: K+1)  |  CTR (Y=1: C+1)  |
     +-+-+-+-+-+-+-+-+------------------+------------------+

     X = 0: K is the key id itself, 0..7, and no KID bytes follow; X = 1: K + 1 bytes of KID, big endian
     Y = 0: C is the counter itself, 0..7;                          Y = 1: C + 1 bytes of CTR, big endian
"""

from __future__ import annotations

import hmac
from enum import Enum, IntEnum
from hashlib import sha256
from typing import Final, NamedTuple, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand

from entrenous.errors import LocalProtocolError, VerificationError

MAX_VALUE: Final = 2**64 - 1
"""The largest key id and the largest counter (RFC 9605 §4.3)."""

_NONCE_BYTES: Final = 12


class Suite(IntEnum):
    """The cipher suites of RFC 9605 §4.5; the tag length in bits ends the name."""

    AES_128_CTR_HMAC_SHA256_80 = 1
    AES_128_CTR_HMAC_SHA256_64 = 2
    AES_128_CTR_HMAC_SHA256_32 = 3
    AES_128_GCM_SHA256_128 = 4
    AES_256_GCM_SHA512_128 = 5


DEFAULT_SUITE: Final = Suite.AES_256_GCM_SHA512_128


class RejectReason(Enum):
    """Why a frame was refused; the counters in the statistics carry these names."""

    NO_KEY = "no key"
    MALFORMED = "malformed"
    UNKNOWN_EPOCH = "unknown epoch"
    REPEATED = "repeated"
    TOO_OLD = "too old"
    FORGED = "forged"


class FrameRejected(VerificationError):  # noqa: N818 - names the event that a receiver counts
    """A sealed frame was refused: drop it, never pass it on.

    Args:
        reason: why, for the statistics.
    """

    def __init__(self, reason: RejectReason) -> None:
        super().__init__(f"A sealed frame was refused: {reason.value}.")
        self.reason = reason


class Header(NamedTuple):
    """A decoded SFrame header: `kid` and `ctr` in 0..2**64-1, `length` in bytes."""

    kid: int
    ctr: int
    length: int


def encode_header(kid: int, ctr: int) -> bytes:
    """Encode an SFrame header in the fewest bytes (RFC 9605 §4.3).

    Raises:
        LocalProtocolError: a value is outside 0..2**64-1.
    """
    if not (0 <= kid <= MAX_VALUE and 0 <= ctr <= MAX_VALUE):
        raise LocalProtocolError("An SFrame key id or counter does not fit into 64 bits.")
    config = 0
    tail = b""
    if kid < 8:
        config |= kid << 4
    else:
        size = (kid.bit_length() + 7) // 8
        config |= 0x80 | (size - 1) << 4
        tail = kid.to_bytes(size, "big")
    if ctr < 8:
        config |= ctr
    else:
        size = (ctr.bit_length() + 7) // 8
        config |= 0x08 | (size - 1)
        tail += ctr.to_bytes(size, "big")
    return bytes((config,)) + tail


def decode_header(data: bytes) -> Header:
    """Decode the SFrame header at the start of `data`.

    Raises:
        FrameRejected: `data` ends inside the header (`MALFORMED`).
    """
    if not data:
        raise FrameRejected(RejectReason.MALFORMED)
    config = data[0]
    kid, ctr, at = (config >> 4) & 7, config & 7, 1
    if config & 0x80:
        end = at + kid + 1
        kid, at = int.from_bytes(data[at:end], "big"), end
    if config & 0x08:
        end = at + ctr + 1
        ctr, at = int.from_bytes(data[at:end], "big"), end
    if at > len(data):
        raise FrameRejected(RejectReason.MALFORMED)
    return Header(kid, ctr, at)


class Aead(Protocol):
    """What a cipher suite does with one key; `nonce` is 12 bytes, the tag stands at the end."""

    def encrypt(self, nonce: bytes, data: bytes, associated_data: bytes, /) -> bytes:
        """Return ciphertext ‖ tag."""

    def decrypt(self, nonce: bytes, data: bytes, associated_data: bytes, /) -> bytes:
        """Return the plaintext; raises `cryptography.exceptions.InvalidTag`."""


class AesCtrHmac:
    """AES-128-CTR with a truncated HMAC-SHA-256 (RFC 9605 §4.5.1), encrypt then authenticate.

    Args:
        key: 48 bytes, 16 for AES and 32 for HMAC.
        tag_bytes: 10, 8 or 4.
    """

    __slots__ = ("_aes", "_hmac_key", "_tag_bytes")

    def __init__(self, key: bytes, tag_bytes: int) -> None:
        self._aes = AES(key[:16])
        self._hmac_key = key[16:]
        self._tag_bytes = tag_bytes

    def _tag(self, nonce: bytes, aad: bytes, ciphertext: bytes) -> bytes:
        lengths = (len(aad), len(ciphertext), self._tag_bytes)
        prefix = b"".join(n.to_bytes(8, "big") for n in lengths)
        return hmac.digest(self._hmac_key, prefix + nonce + aad + ciphertext, sha256)[: self._tag_bytes]

    def _keystream_xor(self, nonce: bytes, data: bytes) -> bytes:
        context = Cipher(self._aes, CTR(nonce + bytes(4))).encryptor()
        return context.update(data) + context.finalize()

    def encrypt(self, nonce: bytes, data: bytes, associated_data: bytes, /) -> bytes:
        """Return ciphertext ‖ tag."""
        ciphertext = self._keystream_xor(nonce, data)
        return ciphertext + self._tag(nonce, associated_data, ciphertext)

    def decrypt(self, nonce: bytes, data: bytes, associated_data: bytes, /) -> bytes:
        """Return the plaintext; raises `cryptography.exceptions.InvalidTag`."""
        if len(data) < self._tag_bytes:
            raise InvalidTag
        ciphertext, tag = data[: -self._tag_bytes], data[-self._tag_bytes :]
        if not hmac.compare_digest(tag, self._tag(nonce, associated_data, ciphertext)):
            raise InvalidTag
        return self._keystream_xor(nonce, ciphertext)


class _Parameters(NamedTuple):
    """One row of RFC 9605 table 1; lengths in bytes."""

    sha512: bool
    key: int
    tag: int
    gcm: bool


_PARAMETERS: Final = {
    Suite.AES_128_CTR_HMAC_SHA256_80: _Parameters(sha512=False, key=48, tag=10, gcm=False),
    Suite.AES_128_CTR_HMAC_SHA256_64: _Parameters(sha512=False, key=48, tag=8, gcm=False),
    Suite.AES_128_CTR_HMAC_SHA256_32: _Parameters(sha512=False, key=48, tag=4, gcm=False),
    Suite.AES_128_GCM_SHA256_128: _Parameters(sha512=False, key=16, tag=16, gcm=True),
    Suite.AES_256_GCM_SHA512_128: _Parameters(sha512=True, key=32, tag=16, gcm=True),
}


def tag_length(suite: Suite) -> int:
    """The number of bytes that the suite's tag adds to a frame, beside the header."""
    return _PARAMETERS[suite].tag


def derive_key_and_salt(suite: Suite, kid: int, base_key: bytes) -> tuple[bytes, bytes]:
    """Derive the key and the 12-byte salt of one key id (RFC 9605 §4.4.2)."""
    parameters = _PARAMETERS[suite]
    algorithm = hashes.SHA512() if parameters.sha512 else hashes.SHA256()
    secret = HKDF.extract(algorithm, None, base_key)
    label = kid.to_bytes(8, "big") + suite.to_bytes(2, "big")
    key = HKDFExpand(algorithm, parameters.key, b"SFrame 1.0 Secret key " + label).derive(secret)
    salt = HKDFExpand(algorithm, _NONCE_BYTES, b"SFrame 1.0 Secret salt " + label).derive(secret)
    return key, salt


class FrameCipher:
    """The cipher of one suite, key id and base key (RFC 9605 §4.4); counters are its caller's business.

    Args:
        suite: the cipher suite.
        kid: the key id, 0..2**64-1.
        base_key: the secret from which key and salt are derived, at least 16 bytes.

    Raises:
        LocalProtocolError: a base key too short to be one, or a key id that does not fit.
    """

    __slots__ = ("_aead", "_kid", "_salt", "_tag_bytes")

    def __init__(self, suite: Suite, kid: int, base_key: bytes) -> None:
        if len(base_key) < 16:
            raise LocalProtocolError("An SFrame base key needs at least 16 bytes.")
        if not 0 <= kid <= MAX_VALUE:
            raise LocalProtocolError("An SFrame key id does not fit into 64 bits.")
        parameters = _PARAMETERS[suite]
        key, salt = derive_key_and_salt(suite, kid, base_key)
        self._aead: Aead = AESGCM(key) if parameters.gcm else AesCtrHmac(key, parameters.tag)
        self._kid = kid
        self._salt = int.from_bytes(salt, "big")
        self._tag_bytes = parameters.tag

    def __repr__(self) -> str:
        return f"<FrameCipher of epoch {self._kid}>"

    def seal(self, ctr: int, frame: bytes, metadata: bytes) -> bytes:
        """Return header ‖ ciphertext ‖ tag; a counter must never be used twice."""
        header = encode_header(self._kid, ctr)
        nonce = (self._salt ^ ctr).to_bytes(_NONCE_BYTES, "big")
        return header + self._aead.encrypt(nonce, frame, header + metadata)

    def open(self, header: Header, sealed: bytes, metadata: bytes) -> bytes:
        """Return the frame; raises FrameRejected (`FORGED`, or `MALFORMED` when there is no room for a tag)."""
        if len(sealed) < header.length + self._tag_bytes:
            raise FrameRejected(RejectReason.MALFORMED)
        nonce = (self._salt ^ header.ctr).to_bytes(_NONCE_BYTES, "big")
        aad = sealed[: header.length] + metadata
        try:
            return self._aead.decrypt(nonce, sealed[header.length :], aad)
        except InvalidTag:
            raise FrameRejected(RejectReason.FORGED) from None
