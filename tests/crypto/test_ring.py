"""Rings: opened by whom they are meant for, while fresh, once."""

from __future__ import annotations

import msgspec
import pytest

from crypto.people import CALL_ID, NOW, Handshake, device_of, profile, refuse_every_change, seeded
from entrenous.crypto.handshake import CallerHandshake, MediaKinds
from entrenous.crypto.identity import CERTIFICATE_SECONDS, VerifiedDevice
from entrenous.crypto.prekeys import ROTATE_SECONDS
from entrenous.crypto.profile import Credentials, Profile
from entrenous.crypto.ring import CLOCK_SKEW_SECONDS, RING_SECONDS, RingGuard, open_ring
from entrenous.errors import RemoteProtocolError, Replayed, VerificationError
from entrenous_wire.addresses import Address
from entrenous_wire.certificate import SignedPrekey
from entrenous_wire.limits import BODY_SIZES

EVE = profile("eve")


def ring_to(
    callee: VerifiedDevice, caller: Profile | None = None, now: float = NOW, credentials: Credentials | None = None
) -> bytes:
    credentials = credentials or (caller or profile("alice")).credentials()
    return CallerHandshake(credentials, callee, CALL_ID, MediaKinds.AUDIO, now, seeded("ring")).ring


def test_a_ring_says_who_calls() -> None:
    handshake = Handshake()
    assert len(handshake.caller.ring) in BODY_SIZES
    ring = handshake.open()
    assert str(ring.caller) == handshake.alice.address
    assert ring.caller_identity == handshake.alice.identity.public_key
    assert ring.caller_device == handshake.alice.device_id
    assert (ring.call_id, ring.kinds, ring.sent_at) == (CALL_ID, MediaKinds.AUDIO | MediaKinds.VIDEO, NOW)
    assert repr(ring) == "<IncomingRing>"


def test_every_byte_counts_and_a_refusal_changes_nothing() -> None:
    handshake = Handshake()
    refuse_every_change(handshake.caller.ring, handshake.open)
    assert handshake.guard._expiry == {}
    handshake.open()


def test_a_ring_is_taken_once() -> None:
    handshake = Handshake()
    handshake.open()
    for later in (0.0, 10.0, RING_SECONDS):
        with pytest.raises(Replayed):
            handshake.open(now=NOW + later)


def test_a_call_id_is_taken_once_whoever_names_it() -> None:
    handshake = Handshake()
    handshake.open()
    with pytest.raises(Replayed):
        handshake.open(ring_to(device_of(handshake.bob), EVE))


@pytest.mark.parametrize(
    ("late", "fresh"),
    [
        (0, True),
        (RING_SECONDS + CLOCK_SKEW_SECONDS - 1, True),
        (RING_SECONDS + CLOCK_SKEW_SECONDS + 1, False),
        (1 - CLOCK_SKEW_SECONDS, True),
        (-1 - CLOCK_SKEW_SECONDS, False),
    ],
)
def test_a_ring_is_fresh_for_a_minute_give_or_take_the_clocks(late: float, fresh: bool) -> None:
    handshake = Handshake()
    if fresh:
        handshake.open(now=NOW + late)
    else:
        with pytest.raises(VerificationError, match="fresh"):
            handshake.open(now=NOW + late)


def test_a_ring_to_the_old_prekey_is_taken_while_it_is_kept() -> None:
    handshake = Handshake()
    later = NOW + ROTATE_SECONDS + 100
    old = device_of(handshake.bob)
    handshake.bob = handshake.bob.refreshed(later, seeded("rotation"))
    assert len(handshake.bob.prekeys) == 2
    handshake.open(ring_to(old, now=later), now=later)


def test_a_ring_to_somebody_elses_prekey_is_refused() -> None:
    handshake = Handshake()
    with pytest.raises(VerificationError):
        handshake.open(ring_to(device_of(EVE)))


def test_a_ring_under_another_call_id_than_the_wire_says_is_refused() -> None:
    handshake = Handshake()
    with pytest.raises(VerificationError, match="meant for another"):
        open_ring(handshake.bob.credentials(), handshake.caller.ring, b"another call id!", NOW, handshake.guard)


def meant_for(target: Profile, sealed_to: Profile) -> VerifiedDevice:
    """What a dishonest forwarder makes: the certificate of one device, the prekey of another."""
    return VerifiedDevice(target.credentials().certificate, SignedPrekey.parse(sealed_to.prekeys[0].signed))


@pytest.mark.parametrize("what", ["account", "device", "identity"])
def test_a_ring_meant_for_another_is_refused_though_it_is_sealed_to_us(what: str) -> None:
    handshake = Handshake()
    bob = handshake.bob
    match what:
        case "account":
            target = EVE
        case "device":
            certificate = bob.identity.certify(Address.parse(bob.address), "ff" * 8, bob.device.public_key, NOW)
            target = msgspec.structs.replace(bob, device_id="ff" * 8, certificate=certificate.raw)
        case _:
            certificate = EVE.identity.certify(Address.parse(bob.address), bob.device_id, bob.device.public_key, NOW)
            target = msgspec.structs.replace(bob, certificate=certificate.raw)
    with pytest.raises(VerificationError, match="meant for another"):
        handshake.open(ring_to(meant_for(target, bob)))
    handshake.open()


def test_a_ring_by_a_device_that_the_caller_did_not_certify_is_refused() -> None:
    """Eve's device signs, and shows Alice's certificate."""
    handshake = Handshake()
    alice = handshake.alice.credentials()
    stolen = Credentials(alice.certificate, EVE.device, alice.prekeys)
    with pytest.raises(VerificationError):
        handshake.open(ring_to(device_of(handshake.bob), credentials=stolen))


def test_a_ring_by_an_expired_device_is_refused() -> None:
    handshake = Handshake()
    late = NOW + CERTIFICATE_SECONDS
    bob = handshake.bob = profile("bob", late)
    with pytest.raises(VerificationError, match="expired"):
        handshake.open(ring_to(device_of(bob, late), now=late), now=late)


def test_a_guard_remembers_as_long_as_a_ring_may_be_fresh_and_no_longer() -> None:
    guard = RingGuard(capacity=2)
    guard.commit(b"one", NOW)
    guard.commit(b"two", NOW + 10)
    with pytest.raises(RemoteProtocolError, match="too many"):
        guard.check(b"three", NOW + RING_SECONDS)
    end = NOW + RING_SECONDS + CLOCK_SKEW_SECONDS
    guard.check(b"three", end)
    with pytest.raises(Replayed):
        guard.check(b"two", end)
