"""The call handshake: how two devices who know each other's identity key agree on the keys of one call.

::

    a → b  ring      HPKE(prekey b)   RingFields, signed by device a
    b → a  ringing   HPKE(eph a)      RingingFields, signed by device b      or   refusal, signed by device b
    both   th = SHA-256(label ‖ ring ‖ ringing), root 0 = HKDF-Extract(th, secret a ‖ secret b)
    a → b  reveal    sealed           nonce a, which b checks against the commitment in the ring
    a → b  early end AES-256-GCM      what the caller says to a device that has not answered yet

`ring` and `ringing` in the transcript are the signed messages without padding, each led by its length in four
bytes; both carry certificates, so identity keys, addresses, devices and call id are bound. The DTLS
fingerprints are in the leg descriptions, inside.

What goes beyond the plan and why:

* *Early end.* A caller who gives up, or whose call another device took, must reach devices that have not
  answered. The key is HKDF(salt = SHA-256(sealed ring), secret a) and is used for one message, counter 0, in
  the layout of `sealed`; whoever could read the ring accepts it until the caller has used the channel.
* *Refusal.* A busy device says so without making keys: signed, under eph a, and of the size of every end.

A caller makes one `CallerHandshake` for each device it rings, a callee one `CalleeHandshake` for each ring.
Both draw nothing themselves: `entropy` is passed in (HPKE's encapsulation has its own randomness). `now` is
in Unix seconds. Every refusal leaves the object as it was, so the genuine message still works afterwards.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from entrenous.crypto import messages
from entrenous.crypto.call_secrets import END_BODY, CallSecrets
from entrenous.crypto.handshake_messages import (
    SECRET_BYTES,
    MediaKinds,
    RefusalFields,
    RingFields,
    RingingFields,
    commitment,
    parse_answer,
)
from entrenous.crypto.hybrid import SEAL_OVERHEAD, SEED_BYTES, HybridPrivateKey, seal_to
from entrenous.crypto.identity import Entropy, VerifiedDevice, verify_certificate
from entrenous.crypto.key_schedule import Side, first_root
from entrenous.crypto.messages import End, InnerMessage, LegOffer
from entrenous.crypto.padding import check_body_size, pad, unpad
from entrenous.crypto.profile import Credentials
from entrenous.crypto.ring import RING_INFO, IncomingRing, RingGuard, open_ring
from entrenous.crypto.sealed import open_numbered, seal_numbered
from entrenous.errors import LocalProtocolError, RemoteProtocolError, Replayed, VerificationError
from entrenous_wire.certificate import DeviceCertificate
from entrenous_wire.limits import CALL_ID_BYTES

__all__ = [
    "CalleeHandshake",
    "CallerHandshake",
    "IncomingRing",
    "MediaKinds",
    "Refused",
    "RingGuard",
    "Ringing",
    "open_ring",
]

RINGING_BODY: Final = 4096
"""The least body of a ringing."""

_ANSWER_INFO: Final = b"entrenous answer v1"


@dataclass(frozen=True, slots=True)
class Ringing:
    """The device rings; the keys stand (`CallerHandshake.secrets`).

    Args:
        leg_offer: the leg that it prepares, None when it waits until it is accepted.
    """

    leg_offer: LegOffer | None


@dataclass(frozen=True, slots=True)
class Refused:
    """The device refuses without ringing.

    Args:
        reason: `entrenous.protocol.states.EndReason` by value, as the device sees it.
        stage, cause: as in `entrenous.crypto.messages.End`.
    """

    reason: str
    stage: str | None = None
    cause: str | None = None


def _transcript(ring: bytes, ringing: bytes) -> bytes:
    parts = (len(part).to_bytes(4, "big") + part for part in (ring, ringing))
    return sha256(b"entrenous transcript v1" + b"".join(parts)).digest()


def _early_key(body_hash: bytes, secret: bytes) -> AESGCM:
    key = HKDF(SHA256(), 32, body_hash, b"entrenous early end v1").derive(secret)
    return AESGCM(key)


class CallerHandshake:
    """The caller's half of a handshake with one device of the callee.

    Args:
        credentials: of this device.
        callee: the device that is rung, verified against the pinned identity key.
        call_id: 16 bytes, the same for all devices of the callee.
        kinds: what to exchange.
        now: Unix seconds.
        entropy: where secrets and keys come from.

    Raises:
        LocalProtocolError: the call id has another length, or no media kind is named.
        VerificationError: the prekey of the device has expired, or is unusable.
    """

    def __init__(
        self,
        credentials: Credentials,
        callee: VerifiedDevice,
        call_id: bytes,
        kinds: MediaKinds,
        now: float,
        entropy: Entropy,
    ) -> None:
        if len(call_id) != CALL_ID_BYTES or not kinds:
            raise LocalProtocolError("A call id has 16 bytes, and a call at least one media kind.")
        if not callee.can_ring(now):
            raise VerificationError("The prekey of the device has expired: no ring is sealed to it.")
        self.callee = callee
        self.call_id = call_id
        self._entropy = entropy
        self._secret = entropy(SECRET_BYTES)
        self._nonce = entropy(SECRET_BYTES)
        self._answer_key: HybridPrivateKey | None = HybridPrivateKey(entropy(SEED_BYTES))
        fields = RingFields(
            call_id=call_id,
            sent_at_ms=int(now * 1000),
            kinds=kinds,
            secret=self._secret,
            commitment=commitment(self._nonce),
            answer_key=self._answer_key.public_bytes,
            callee_identity=callee.certificate.identity_key,
            callee_device=callee.certificate.device_id,
            callee=callee.certificate.address,
            certificate=credentials.certificate.raw,
        )
        self._message = fields.signed(credentials.device)
        padded = pad(self._message, SEAL_OVERHEAD)
        self.ring: bytes = seal_to(callee.prekey.public_key, padded, RING_INFO)
        self._ring_hash = sha256(self.ring).digest()
        self._answered_by = b""
        self._early_end: bytes | None = None
        self._secrets: CallSecrets | None = None

    def __repr__(self) -> str:
        return f"<CallerHandshake answered={self._answer_key is None}>"

    @property
    def secrets(self) -> CallSecrets:
        """The keys of the call; raises LocalProtocolError before the device has rung."""
        if self._secrets is None:
            raise LocalProtocolError("The device has not answered the ring yet: there are no keys.")
        return self._secrets

    @property
    def ringing(self) -> bool:
        """Whether the device has rung, so that the keys stand."""
        return self._secrets is not None

    def receive(self, body: bytes, now: float) -> Ringing | Refused | InnerMessage:
        """Take a body from this device: its answer to the ring first, sealed messages after.

        Args:
            body: as the server or the data channel delivered it.
            now: Unix seconds.

        Raises:
            Replayed: it came before.
            VerificationError: it is not from this device, was changed, or answers another ring.
            RemoteProtocolError: it is malformed. In all cases nothing has changed.
        """
        if self._answer_key is None:
            if hmac.compare_digest(sha256(body).digest(), self._answered_by):
                raise Replayed("The answer to a ring came a second time.")
            if self._secrets is None:
                raise RemoteProtocolError("A device that refused the ring, or was given up, says something more.")
            return self._secrets.receive(body)
        check_body_size(body)
        message = unpad(self._answer_key.open(body, _ANSWER_INFO))
        fields = parse_answer(message)
        self._check_answerer(fields.certificate, now, lambda key: fields.check(message, key))
        if not hmac.compare_digest(fields.ring_hash, self._ring_hash):
            raise VerificationError("An answer is to another ring.")
        answer: Ringing | Refused
        if isinstance(fields, RingingFields):
            root = first_root(_transcript(self._message, message), self._secret, fields.secret)
            self._secrets = CallSecrets(Side.CALLER, self.call_id, root, self._nonce, fields.nonce, self._entropy)
            answer = Ringing(fields.leg_offer)
        else:
            answer = Refused(fields.reason, fields.stage or None, fields.cause or None)
        self._answered_by = sha256(body).digest()
        self._drop_handshake_keys()
        return answer

    def end(self, message: End) -> bytes:
        """Seal an end for this device: through the channel once it has rung, under the early key before.

        Raises:
            LocalProtocolError: another end was sealed for a device that has not rung, or the keys are gone.
        """
        if self._secrets is not None:
            return self._secrets.seal(message)
        if self._answer_key is None:
            raise LocalProtocolError("This device refused the ring, or was given up.")
        if self._early_end is not None:
            raise LocalProtocolError("An end was sealed for this device already.")
        key = _early_key(self._ring_hash, self._secret)
        self._early_end = seal_numbered(key, 0, messages.encode(message), END_BODY)
        return self._early_end

    def forget(self) -> None:
        """Drop every key: the device took no part in the call, or the call is over."""
        self._drop_handshake_keys()
        if self._secrets is not None:
            self._secrets.forget()

    def _drop_handshake_keys(self) -> None:
        """The ephemeral key has done its work: without it a prekey that is stolen later opens no past call."""
        self._answer_key = None
        self._secret = b""
        self._nonce = b""
        self._message = b""

    def _check_answerer(self, raw: bytes, now: float, check_signature: Callable[[bytes], None]) -> None:
        """Make sure that the device which answers is the one that was rung."""
        expected = self.callee.certificate
        found = verify_certificate(raw, now, expected.identity_key)
        if not _same_device(expected, found):
            raise VerificationError("A ring was answered by another device than was rung.")
        check_signature(expected.device_key)


def _same_device(expected: DeviceCertificate, found: DeviceCertificate) -> bool:
    """Whether two certificates are of one device; the later one may have been renewed."""
    return (found.address, found.device_id, found.device_key) == (
        expected.address,
        expected.device_id,
        expected.device_key,
    )


class CalleeHandshake:
    """The callee's half of a handshake, after `open_ring` and after the contact list had its say.

    Args:
        credentials: of this device.
        ring: the verified ring.
        entropy: where secrets come from.
    """

    def __init__(self, credentials: Credentials, ring: IncomingRing, entropy: Entropy) -> None:
        self.ring = ring
        self.call_id = ring.call_id
        self._credentials = credentials
        self._entropy = entropy
        self._early_key: AESGCM | None = _early_key(ring.body_hash, ring.fields.secret)
        self._ended_by = b""
        self._secrets: CallSecrets | None = None
        self._answered = False

    def __repr__(self) -> str:
        return f"<CalleeHandshake answered={self._answered}>"

    @property
    def secrets(self) -> CallSecrets:
        """The keys of the call; raises LocalProtocolError before `answer`."""
        if self._secrets is None:
            raise LocalProtocolError("The ring has not been answered yet: there are no keys.")
        return self._secrets

    @property
    def ringing(self) -> bool:
        """Whether the ring was answered, so that the keys stand."""
        return self._secrets is not None

    def answer(self, leg_offer: LegOffer | None) -> bytes:
        """Make the sealed `ringing`, once; the keys stand from here on.

        Args:
            leg_offer: the leg that this device prepares, None to wait until it is accepted.

        Raises:
            LocalProtocolError: the ring was answered or refused before, or the offer is too long.
            VerificationError: the caller's ephemeral key is unusable.
        """
        self._require_unanswered()
        fields = RingingFields(
            ring_hash=self.ring.body_hash,
            secret=self._entropy(SECRET_BYTES),
            nonce=self._entropy(SECRET_BYTES),
            certificate=self._credentials.certificate.raw,
            leg_offer=leg_offer,
        )
        message = fields.signed(self._credentials.device)
        body = self._seal_answer(message, RINGING_BODY)
        ring = self.ring.fields
        root = first_root(_transcript(self.ring.message, message), ring.secret, fields.secret)
        self._secrets = CallSecrets(Side.CALLEE, self.call_id, root, fields.nonce, ring.commitment, self._entropy)
        self._answered = True
        return body

    def end(self, message: End) -> bytes:
        """Seal an end for the caller: through the channel once the ring was answered, as a refusal before.

        Raises:
            LocalProtocolError: the ring was refused before, or the keys are gone.
            VerificationError: the caller's ephemeral key is unusable.
        """
        if self._secrets is not None:
            return self._secrets.seal(message)
        self._require_unanswered()
        certificate = self._credentials.certificate.raw
        details = (message.stage or "", message.cause or "")
        fields = RefusalFields(self.ring.body_hash, message.reason, certificate, *details)
        body = self._seal_answer(fields.signed(self._credentials.device), END_BODY)
        self._answered = True
        self._early_key = None
        return body

    def receive(self, body: bytes) -> InnerMessage:
        """Take a body from the caller: a sealed message, or an early end.

        Args:
            body: as the server or the data channel delivered it.

        Raises:
            Replayed: it came before.
            VerificationError: it is not from this caller or was changed.
            RemoteProtocolError: it is malformed. In all cases nothing has changed.
        """
        if hmac.compare_digest(sha256(body).digest(), self._ended_by):
            raise Replayed("The early end of a call came a second time.")
        if self._secrets is None:
            return self._open_early(body)
        try:
            message = self._secrets.receive(body)
        except Replayed:
            raise
        except VerificationError as refusal:
            try:
                return self._open_early(body)
            except VerificationError:
                raise refusal from None
        self._early_key = None  # the caller has the channel now and needs no other way
        return message

    def forget(self) -> None:
        """Drop every key: the call is over."""
        self._early_key = None
        self._answered = True
        if self._secrets is not None:
            self._secrets.forget()

    def _open_early(self, body: bytes) -> End:
        if self._early_key is None:
            raise VerificationError("A body is neither of the sealed channel nor of a caller who is still waited for.")
        opened = open_numbered(self._early_key, body)
        message = messages.decode(opened.plaintext)
        if opened.counter != 0 or not isinstance(message, End):
            raise RemoteProtocolError("Only an end may be said before the ring is answered.")
        self._early_key = None
        self._ended_by = sha256(body).digest()
        return message

    def _require_unanswered(self) -> None:
        if self._answered:
            raise LocalProtocolError("The ring was answered, refused or given up already.")

    def _seal_answer(self, message: bytes, minimum: int) -> bytes:
        return seal_to(self.ring.fields.answer_key, pad(message, SEAL_OVERHEAD, minimum), _ANSWER_INFO)
