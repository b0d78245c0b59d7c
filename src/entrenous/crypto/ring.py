"""Taking a ring: opened, verified, fresh, meant for this device, and each call once.

The bytes are drawn in `handshake_messages`, the handshake that a ring begins in `handshake`.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from entrenous.crypto.handshake_messages import MediaKinds, RingFields, check_ring_signature
from entrenous.crypto.identity import verify_certificate
from entrenous.crypto.padding import check_body_size, unpad
from entrenous.crypto.prekeys import open_with_any
from entrenous.crypto.profile import Credentials
from entrenous.errors import RemoteProtocolError, Replayed, VerificationError
from entrenous_wire.addresses import Address

RING_SECONDS: Final = 60.0
"""How long a ring is fresh."""

CLOCK_SKEW_SECONDS: Final = 30.0
"""How far two clocks may be apart, in either direction."""

RING_INFO: Final = b"entrenous ring v1"
"""The HPKE `info` under which a ring is sealed to a prekey."""


class RingGuard:
    """Takes each call id once; remembers them as long as a ring that names them could still be fresh.

    Args:
        capacity: how many are remembered; when it is full of fresh ones further rings are refused.
    """

    __slots__ = ("_capacity", "_expiry")

    def __init__(self, capacity: int = 1024) -> None:
        self._capacity = capacity
        self._expiry: dict[bytes, float] = {}

    def check(self, call_id: bytes, now: float) -> None:
        """See whether a call id may still be taken; `now` in Unix seconds.

        Raises:
            Replayed: it was taken before.
            RemoteProtocolError: too many rings at once.
        """
        if call_id in self._expiry:
            raise Replayed("A ring came a second time.")
        if len(self._expiry) >= self._capacity:
            self._expiry = {known: expiry for known, expiry in self._expiry.items() if now < expiry}
            if len(self._expiry) >= self._capacity:
                raise RemoteProtocolError("There are too many rings at once.")

    def commit(self, call_id: bytes, sent_at: float) -> None:
        """Take a call id, after its ring was verified; `sent_at` in Unix seconds."""
        self._expiry[call_id] = sent_at + RING_SECONDS + CLOCK_SKEW_SECONDS


@dataclass(frozen=True, slots=True, repr=False)
class IncomingRing:
    """A verified ring: this device and account are meant, and the device that signed it is certified.

    Whether the caller's identity key is the right one for the address is for the contact list to say
    (`contacts.check_identity`), before anything else is done with the ring.

    Args:
        caller: the caller's address.
        caller_identity: the identity key that certified the calling device, 32 bytes.
        caller_device: the calling device, 16 hexadecimal digits.
        call_id: 16 bytes.
        kinds: what the caller would like to exchange.
        sent_at: Unix seconds by the caller's clock.
    """

    caller: Address
    caller_identity: bytes
    caller_device: str
    call_id: bytes
    kinds: MediaKinds
    sent_at: float
    fields: RingFields
    message: bytes
    body_hash: bytes

    def __repr__(self) -> str:
        return "<IncomingRing>"


def open_ring(credentials: Credentials, body: bytes, call_id: bytes, now: float, guard: RingGuard) -> IncomingRing:
    """Open and verify a ring.

    Args:
        credentials: of this device.
        body: the sealed ring as the server delivered it.
        call_id: the call id under which it was delivered.
        now: Unix seconds.
        guard: takes the call id when everything holds.

    Raises:
        Replayed: this call id was taken before.
        VerificationError: it is not sealed to a prekey of ours, not signed by a certified device, stale, or
            not meant for this device.
        RemoteProtocolError: it is malformed, or there are too many rings.
    """
    check_body_size(body)
    message = unpad(open_with_any(credentials.prekeys, body, RING_INFO, now))
    fields = RingFields.parse(message)
    certificate = verify_certificate(fields.certificate, now)
    check_ring_signature(message, certificate.device_key)
    meant = credentials.are_meant_by(fields.callee, fields.callee_device, fields.callee_identity)
    if not meant or call_id != fields.call_id:
        raise VerificationError("A ring is meant for another account, device, identity key or call.")
    sent_at = fields.sent_at_ms / 1000
    if not -CLOCK_SKEW_SECONDS <= now - sent_at <= RING_SECONDS + CLOCK_SKEW_SECONDS:
        raise VerificationError("A ring is not fresh, or a clock is wrong.")
    guard.check(fields.call_id, now)
    guard.commit(fields.call_id, sent_at)
    return IncomingRing(
        caller=certificate.address,
        caller_identity=certificate.identity_key,
        caller_device=certificate.device_id,
        call_id=fields.call_id,
        kinds=fields.kinds,
        sent_at=sent_at,
        fields=fields,
        message=message,
        body_hash=sha256(body).digest(),
    )
