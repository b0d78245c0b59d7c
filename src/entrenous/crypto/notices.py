"""What a caller leaves for a device that it could not ring: a notice of the missed call, sealed and signed.

It is padded (`padding`) and sealed with HPKE (`hybrid`) to the prekey that the device last published, and stored by
the server until the device comes: whoever sent it stands inside alone. Numbers are big endian; `sized` fields are led
by their length in two bytes. The device key of the caller signs it under ``entrenous missed call v1``::

       0      1  version, 1
       1     16  id of the message that carries it: under another it is a replay
      17     16  call id
      33      8  started at, milliseconds since 1970
      41      1  media kinds, as in a ring
      42     32  identity key of the account that was called
      74      8  device that could not be rung
            …    address that was called, sized
            …    certificate of the calling device, sized: the caller's address and identity key are in it
             64  signature
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from entrenous.crypto.fields import FieldReader, sized
from entrenous.crypto.handshake_messages import MediaKinds, parse_address, parse_kinds
from entrenous.crypto.hybrid import SEAL_OVERHEAD, seal_to
from entrenous.crypto.identity import VerifiedDevice, check_signature, verify_certificate
from entrenous.crypto.padding import check_body_size, pad, unpad
from entrenous.crypto.prekeys import open_letter
from entrenous.crypto.profile import Credentials
from entrenous.crypto.ring import CLOCK_SKEW_SECONDS
from entrenous.errors import RemoteProtocolError, VerificationError
from entrenous_wire.addresses import MAX_ADDRESS_LENGTH, Address
from entrenous_wire.certificate import DEVICE_ID_BYTES, ED25519_KEY_BYTES, SIGNATURE_BYTES
from entrenous_wire.limits import CALL_ID_BYTES, MAX_CERTIFICATE_BYTES, MAX_LETTER_DAYS, MESSAGE_ID_BYTES

STALE_SECONDS: Final = MAX_LETTER_DAYS * 86_400.0
"""Age beyond which a notice tells nobody anything: a server that keeps to the protocol has deleted it."""

_INFO: Final = b"entrenous missed call v1"
_LABEL: Final = b"entrenous missed call v1"
_VERSION: Final = 1


@dataclass(frozen=True, slots=True, repr=False)
class MissedCallNotice:
    """A verified notice: this device and account are meant, and the device that signed it is certified.

    As with a ring, whether the caller's identity key is the right one for the address is for the contact list to say.

    Args:
        caller: the caller's address.
        caller_identity: the identity key that certified the calling device, 32 bytes.
        call_id: of the call that was missed, 16 bytes.
        kinds: what the caller would have liked to exchange.
        started_at: Unix seconds by the caller's clock.
    """

    caller: Address
    caller_identity: bytes
    call_id: bytes
    kinds: MediaKinds
    started_at: float

    def __repr__(self) -> str:
        return "<MissedCallNotice>"


def seal_notice(
    credentials: Credentials,
    callee: VerifiedDevice,
    message_id: bytes,
    call_id: bytes,
    kinds: MediaKinds,
    started_at: float,
) -> bytes:
    """Make a notice for a device that was not rung.

    Args:
        credentials: of this device.
        callee: the device that is told, verified against the pinned identity key; its prekey may have expired.
        message_id: 16 random bytes, under which the body is handed to the server.
        call_id: 16 bytes.
        kinds: what the call was to exchange.
        started_at: Unix seconds.

    Returns:
        The sealed body.

    Raises:
        VerificationError: the prekey of the device is unusable.
    """
    certificate = callee.certificate
    message = b"".join(
        (
            bytes((_VERSION,)),
            message_id,
            call_id,
            int(started_at * 1000).to_bytes(8, "big"),
            bytes((kinds,)),
            certificate.identity_key,
            bytes.fromhex(certificate.device_id),
            sized(str(certificate.address).encode("ascii")),
            sized(credentials.certificate.raw),
        )
    )
    signed = message + credentials.device.sign(_LABEL, message)
    return seal_to(callee.prekey.public_key, pad(signed, SEAL_OVERHEAD), _INFO)


def open_notice(credentials: Credentials, body: bytes, message_id: bytes, now: float) -> MissedCallNotice:
    """Open and verify what was stored for this device.

    Args:
        credentials: of this device, expired prekeys among them.
        body: as the server said it.
        message_id: under which the server said it.
        now: Unix seconds.

    Raises:
        VerificationError: it is not sealed to a prekey of ours, not signed by a certified device, meant for another
            device or message, older than `STALE_SECONDS`, or from the future.
        RemoteProtocolError: it is malformed.
    """
    check_body_size(body)
    message = unpad(open_letter(credentials.prekeys, body, _INFO))
    reader = FieldReader(message)
    if reader.number(1) != _VERSION:
        raise RemoteProtocolError("A notice has an unknown version.")
    named_id, call_id = reader.take(MESSAGE_ID_BYTES), reader.take(CALL_ID_BYTES)
    started_at, kinds = reader.number(8) / 1000, parse_kinds(reader.number(1))
    callee_identity, callee_device = reader.take(ED25519_KEY_BYTES), reader.take(DEVICE_ID_BYTES).hex()
    callee = parse_address(reader.text(MAX_ADDRESS_LENGTH))
    certificate = verify_certificate(reader.sized(MAX_CERTIFICATE_BYTES), now)
    signature = reader.take(SIGNATURE_BYTES)
    reader.end()
    check_signature(certificate.device_key, _LABEL, message[:-SIGNATURE_BYTES], signature)
    if not credentials.are_meant_by(callee, callee_device, callee_identity) or message_id != named_id:
        raise VerificationError("A notice is meant for another account, device, identity key or message.")
    if not -CLOCK_SKEW_SECONDS <= now - started_at <= STALE_SECONDS:
        raise VerificationError("A notice is too old, or from the future.")
    return MissedCallNotice(certificate.address, certificate.identity_key, call_id, kinds, started_at)
