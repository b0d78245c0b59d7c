"""The three messages that exist before the sealed channel does: ring, ringing and refusal. Bytes, no state.

Each is padded (`padding`) and sealed with HPKE (`hybrid`). Numbers are big endian; `sized` fields are led by
their length in two bytes. The signature covers a label of its own and everything before it.

Ring, sealed to a prekey of device b, signed by device a under ``entrenous ring v1``::

       0      1  version, 1
       1     16  call id
      17      8  sent at, milliseconds since 1970
      25      1  media kinds: 1 audio, 2 video, 4 screen; at least one
      26     32  secret a
      58     32  commitment: SHA-256("entrenous commitment v1" ‖ nonce a)
      90   1216  eph a, the hybrid public key for the answer
    1306     32  identity key of the account that is called
    1338      8  device b
            …    address that is called, sized
            …    certificate of device a, sized: the caller's address and identity key are in it
             64  signature

Ringing, sealed to eph a, signed by device b under ``entrenous ringing v1``::

       0      1  version and kind, 1
       1     32  SHA-256 of the sealed ring, as it travelled
      33     32  secret b
      65     32  nonce b
            …    certificate of device b, sized
            …    leg offer, sized: a MessagePack LegOffer, or nothing
             64  signature

Refusal, sealed to eph a, signed by device b under ``entrenous refusal v1``::

       0      1  version and kind, 2
       1     32  SHA-256 of the sealed ring, as it travelled
            …    reason, sized: lower-case ASCII, 1 to 32 characters
            …    stage, sized: the same, or nothing
            …    cause, sized: the same, or nothing
            …    certificate of device b, sized
             64  signature
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntFlag
from hashlib import sha256
from typing import Final

from entrenous.crypto import messages
from entrenous.crypto.fields import FieldReader, sized
from entrenous.crypto.identity import DeviceIdentity, check_signature
from entrenous.crypto.messages import MAX_DESCRIPTION, LegOffer
from entrenous.errors import LocalProtocolError, RemoteProtocolError
from entrenous_wire.addresses import MAX_ADDRESS_LENGTH, Address
from entrenous_wire.certificate import HYBRID_KEY_BYTES, SIGNATURE_BYTES
from entrenous_wire.limits import CALL_ID_BYTES, MAX_CERTIFICATE_BYTES

SECRET_BYTES: Final = 32
HASH_BYTES: Final = 32

_RING_LABEL: Final = b"entrenous ring v1"
_RINGING_LABEL: Final = b"entrenous ringing v1"
_REFUSAL_LABEL: Final = b"entrenous refusal v1"
_COMMITMENT_LABEL: Final = b"entrenous commitment v1"
_RING_VERSION: Final = 1
_RINGING_KIND: Final = 1
_REFUSAL_KIND: Final = 2
_REASON: Final = re.compile(r"[a-z][a-z0-9-]{0,31}")
_MAX_OFFER: Final = MAX_DESCRIPTION + 256


class MediaKinds(IntFlag):
    """What a caller would like to exchange; for display and for preparing devices."""

    AUDIO = 1
    VIDEO = 2
    SCREEN = 4


_ALL_KINDS: Final = MediaKinds.AUDIO | MediaKinds.VIDEO | MediaKinds.SCREEN


def commitment(nonce: bytes) -> bytes:
    """What a caller says of its nonce before it shows it."""
    return sha256(_COMMITMENT_LABEL + nonce).digest()


@dataclass(frozen=True, slots=True, repr=False)
class RingFields:
    """A ring; see the drawing for the fields.

    Args:
        call_id: 16 bytes.
        sent_at_ms: milliseconds since 1970.
        kinds: media kinds.
        secret: secret a, 32 bytes.
        commitment: 32 bytes.
        answer_key: eph a, 1216 bytes.
        callee_identity: the identity key that the caller believes in, 32 bytes.
        callee_device: 16 hexadecimal digits.
        callee: the address that is called.
        certificate: of the calling device, not yet verified.
    """

    call_id: bytes
    sent_at_ms: int
    kinds: MediaKinds
    secret: bytes
    commitment: bytes
    answer_key: bytes
    callee_identity: bytes
    callee_device: str
    callee: Address
    certificate: bytes

    def __repr__(self) -> str:
        return "<RingFields>"

    def signed(self, device: DeviceIdentity) -> bytes:
        """The bytes of the ring, signed by the calling device."""
        body = b"".join(
            (
                bytes((_RING_VERSION,)),
                self.call_id,
                self.sent_at_ms.to_bytes(8, "big"),
                bytes((self.kinds,)),
                self.secret,
                self.commitment,
                self.answer_key,
                self.callee_identity,
                bytes.fromhex(self.callee_device),
                sized(str(self.callee).encode("ascii")),
                sized(self.certificate),
            )
        )
        return body + device.sign(_RING_LABEL, body)

    @classmethod
    def parse(cls, data: bytes) -> RingFields:
        """Read a ring; nothing is verified by that. Raises RemoteProtocolError."""
        reader = FieldReader(data)
        if reader.number(1) != _RING_VERSION:
            raise RemoteProtocolError("A ring has an unknown version.")
        call_id, sent_at_ms = reader.take(CALL_ID_BYTES), reader.number(8)
        fields = cls(
            call_id=call_id,
            sent_at_ms=sent_at_ms,
            kinds=parse_kinds(reader.number(1)),
            secret=reader.take(SECRET_BYTES),
            commitment=reader.take(HASH_BYTES),
            answer_key=reader.take(HYBRID_KEY_BYTES),
            callee_identity=reader.take(32),
            callee_device=reader.take(8).hex(),
            callee=parse_address(reader.text(MAX_ADDRESS_LENGTH)),
            certificate=reader.sized(MAX_CERTIFICATE_BYTES),
        )
        reader.take(SIGNATURE_BYTES)
        reader.end()
        return fields


def check_ring_signature(data: bytes, device_key: bytes) -> None:
    """Check who signed a ring that `RingFields.parse` has read; raises VerificationError."""
    check_signature(device_key, _RING_LABEL, data[:-SIGNATURE_BYTES], data[-SIGNATURE_BYTES:])


@dataclass(frozen=True, slots=True, repr=False)
class RingingFields:
    """A device rings; see the drawing for the fields."""

    ring_hash: bytes
    secret: bytes
    nonce: bytes
    certificate: bytes
    leg_offer: LegOffer | None

    def __repr__(self) -> str:
        return "<RingingFields>"

    def signed(self, device: DeviceIdentity) -> bytes:
        """The bytes of the message, signed by the called device.

        Raises:
            LocalProtocolError: the leg offer is too long.
        """
        offer = b"" if self.leg_offer is None else messages.encode(self.leg_offer)
        if len(offer) > _MAX_OFFER:
            raise LocalProtocolError("The leg offer is too long.")
        body = b"".join(
            (bytes((_RINGING_KIND,)), self.ring_hash, self.secret, self.nonce, sized(self.certificate), sized(offer))
        )
        return body + device.sign(_RINGING_LABEL, body)

    def check(self, data: bytes, device_key: bytes) -> None:
        """Check who signed the `data` that this was read from; raises VerificationError."""
        check_signature(device_key, _RINGING_LABEL, data[:-SIGNATURE_BYTES], data[-SIGNATURE_BYTES:])


@dataclass(frozen=True, slots=True)
class RefusalFields:
    """A device refuses a ring without ringing; see the drawing for the fields."""

    ring_hash: bytes
    reason: str
    certificate: bytes
    stage: str = ""
    cause: str = ""

    def signed(self, device: DeviceIdentity) -> bytes:
        """The bytes of the message, signed by the called device.

        Raises:
            LocalProtocolError: the reason, the stage or the cause has another form.
        """
        if not self.is_well_formed():
            raise LocalProtocolError("A reason and its details have 1 to 32 lower-case letters, digits and hyphens.")
        why = b"".join(sized(text.encode("ascii")) for text in (self.reason, self.stage, self.cause))
        body = bytes((_REFUSAL_KIND,)) + self.ring_hash + why + sized(self.certificate)
        return body + device.sign(_REFUSAL_LABEL, body)

    def is_well_formed(self) -> bool:
        """Whether reason, stage and cause are what the drawing allows."""
        details = all(text == "" or _REASON.fullmatch(text) for text in (self.stage, self.cause))
        return details and _REASON.fullmatch(self.reason) is not None

    def check(self, data: bytes, device_key: bytes) -> None:
        """Check who signed the `data` that this was read from; raises VerificationError."""
        check_signature(device_key, _REFUSAL_LABEL, data[:-SIGNATURE_BYTES], data[-SIGNATURE_BYTES:])


def parse_answer(data: bytes) -> RingingFields | RefusalFields:
    """Read a ringing or a refusal; nothing is verified by that. Raises RemoteProtocolError."""
    reader = FieldReader(data)
    kind = reader.number(1)
    fields: RingingFields | RefusalFields
    if kind == _RINGING_KIND:
        fields = RingingFields(
            ring_hash=reader.take(HASH_BYTES),
            secret=reader.take(SECRET_BYTES),
            nonce=reader.take(SECRET_BYTES),
            certificate=reader.sized(MAX_CERTIFICATE_BYTES),
            leg_offer=_leg_offer(reader.sized(_MAX_OFFER)),
        )
    elif kind == _REFUSAL_KIND:
        ring_hash = reader.take(HASH_BYTES)
        reason, stage, cause = (reader.text(32) for _ in range(3))
        fields = RefusalFields(ring_hash, reason, reader.sized(MAX_CERTIFICATE_BYTES), stage, cause)
        if not fields.is_well_formed():
            raise RemoteProtocolError("The reason of a refusal is malformed.")
    else:
        raise RemoteProtocolError("An answer to a ring is of an unknown kind.")
    reader.take(SIGNATURE_BYTES)
    reader.end()
    return fields


def _leg_offer(data: bytes) -> LegOffer | None:
    if not data:
        return None
    message = messages.decode(data)
    if not isinstance(message, LegOffer):
        raise RemoteProtocolError("A ringing carries something else than a leg offer.")
    return message


def parse_kinds(number: int) -> MediaKinds:
    """The media kinds in a signed message; raises RemoteProtocolError when one is unknown or there is none."""
    if not 0 < number <= _ALL_KINDS:
        raise RemoteProtocolError("A signed message names unknown media kinds, or none.")
    return MediaKinds(number)


def parse_address(text: str) -> Address:
    """The address in a signed message, in its one spelling; raises RemoteProtocolError."""
    try:
        address = Address.parse(text)
    except ValueError:
        raise RemoteProtocolError("The address in a signed message is none.") from None
    if str(address) != text:
        raise RemoteProtocolError("The address in a signed message is not written in its one spelling.")
    return address
