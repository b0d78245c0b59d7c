"""Two people with profiles, reproducible randomness, and what every tampering test does."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from entrenous.crypto.handshake import CalleeHandshake, CallerHandshake, IncomingRing, MediaKinds, RingGuard, open_ring
from entrenous.crypto.identity import Entropy, VerifiedDevice
from entrenous.crypto.messages import LegOffer
from entrenous.crypto.profile import Profile
from entrenous.errors import VerificationError
from entrenous_wire.addresses import Address

NOW = 1_800_000_000.0
CALL_ID = b"the call's id 16"
OFFER = LegOffer(0, "v=0\r\na=fingerprint:sha-256 00:11\r\n")


def seeded(seed: str) -> Entropy:
    """Random bytes that are the same in each run."""
    counter = iter(range(1_000_000))

    def draw(length: int) -> bytes:
        return hashlib.shake_256(f"{seed} {next(counter)}".encode()).digest(length)

    return draw


def profile(name: str, now: float = NOW) -> Profile:
    return Profile.create(Address.parse(f"{name}@calls.example.org"), now, seeded(name))


def device_of(owner: Profile, now: float = NOW, identity_key: bytes | None = None) -> VerifiedDevice:
    """What a caller knows of a device after it asked the server."""
    key = owner.identity.public_key if identity_key is None else identity_key
    return VerifiedDevice.verify(Address.parse(owner.address), key, owner.certificate, owner.prekeys[0].signed, now)


@dataclass
class Handshake:
    """Alice calls Bob, step by step."""

    alice: Profile = field(default_factory=lambda: profile("alice"))
    bob: Profile = field(default_factory=lambda: profile("bob"))
    guard: RingGuard = field(default_factory=RingGuard)

    def __post_init__(self) -> None:
        self.caller = CallerHandshake(
            self.alice.credentials(),
            device_of(self.bob),
            CALL_ID,
            MediaKinds.AUDIO | MediaKinds.VIDEO,
            NOW,
            seeded("caller"),
        )

    def open(self, body: bytes | None = None, now: float = NOW) -> IncomingRing:
        sealed = self.caller.ring if body is None else body
        return open_ring(self.bob.credentials(), sealed, CALL_ID, now, self.guard)

    def rung(self) -> CalleeHandshake:
        return CalleeHandshake(self.bob.credentials(), self.open(), seeded("callee"))

    def until_ringing(self) -> CalleeHandshake:
        """The keys stand at both ends; the nonce has not been shown."""
        callee = self.rung()
        self.caller.receive(callee.answer(OFFER), NOW)
        return callee

    def done(self) -> CalleeHandshake:
        """All of it."""
        callee = self.until_ringing()
        callee.receive(self.caller.secrets.reveal())
        return callee


def variants(body: bytes) -> Iterator[bytes]:
    """The body with one bit changed, once in every byte."""
    for at in range(len(body)):
        yield body[:at] + bytes((body[at] ^ 1 << at % 8,)) + body[at + 1 :]


def refuse_every_change(body: bytes, receive: Callable[[bytes], object]) -> None:
    """Every byte of `body` counts: with one bit changed anywhere it is refused as not authentic."""
    for changed in variants(body):
        with pytest.raises(VerificationError):
            receive(changed)
    for cut in (b"", body[:-1], body + b"\0", body[: len(body) // 2]):
        with pytest.raises(VerificationError):
            receive(cut)
