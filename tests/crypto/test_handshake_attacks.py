"""The call handshake under attack: whoever changes, swaps or invents anything gets nowhere, and changes nothing."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto.people import (
    CALL_ID,
    NOW,
    OFFER,
    Handshake,
    device_of,
    profile,
    refuse_every_change,
    seeded,
)
from entrenous.crypto.handshake import (
    CalleeHandshake,
    CallerHandshake,
    MediaKinds,
    Refused,
    RingGuard,
    Ringing,
    open_ring,
)
from entrenous.crypto.handshake_messages import RingingFields
from entrenous.crypto.hybrid import HybridPrivateKey, seal_to
from entrenous.crypto.identity import CERTIFICATE_SECONDS, VerifiedDevice
from entrenous.crypto.messages import Accept, Candidate, End
from entrenous.crypto.padding import pad
from entrenous.crypto.profile import Credentials, Profile
from entrenous.errors import RemoteProtocolError, VerificationError
from entrenous_wire.certificate import SignedPrekey
from entrenous_wire.limits import BODY_SIZES

EVE = profile("eve")


# --- every byte of every message ---


def test_every_byte_of_ringing_counts_and_a_refusal_changes_nothing() -> None:
    handshake = Handshake()
    callee = handshake.rung()
    ringing = callee.answer(OFFER)
    refuse_every_change(ringing, lambda body: handshake.caller.receive(body, NOW))
    assert not handshake.caller.ringing
    assert handshake.caller.receive(ringing, NOW) == Ringing(OFFER)


def test_every_byte_of_a_refusal_counts_and_a_refused_one_changes_nothing() -> None:
    handshake = Handshake()
    refusal = handshake.rung().end(End("busy"))
    refuse_every_change(refusal, lambda body: handshake.caller.receive(body, NOW))
    assert handshake.caller.receive(refusal, NOW) == Refused("busy")


def test_a_refusal_says_where_and_why_it_failed() -> None:
    handshake = Handshake()
    refusal = handshake.rung().end(End("failed", stage="path", cause="no-relay"))
    assert handshake.caller.receive(refusal, NOW) == Refused("failed", "path", "no-relay")


def test_every_byte_of_an_early_end_counts_and_a_refusal_changes_nothing() -> None:
    handshake = Handshake()
    callee = handshake.rung()
    end = handshake.caller.end(End("cancelled"))
    refuse_every_change(end, callee.receive)
    assert callee.receive(end) == End("cancelled")


def test_every_byte_of_the_reveal_counts_and_a_refusal_changes_nothing() -> None:
    handshake = Handshake()
    callee = handshake.until_ringing()
    reveal = handshake.caller.secrets.reveal()
    refuse_every_change(reveal, callee.receive)
    assert callee.secrets.words is None
    callee.receive(reveal)
    assert callee.secrets.words == handshake.caller.secrets.words


@pytest.mark.parametrize("message", [Accept(), Accept(OFFER), End("declined"), OFFER, Candidate(0, None)])
def test_every_byte_of_a_sealed_message_counts_and_a_refusal_changes_nothing(message: Accept | End) -> None:
    handshake = Handshake()
    callee = handshake.done()
    body = callee.secrets.seal(message)
    refuse_every_change(body, lambda changed: handshake.caller.receive(changed, NOW))
    assert handshake.caller.receive(body, NOW) == message


# --- the wrong people ---


def answer_as(credentials: Credentials, handshake: Handshake) -> bytes:
    """A ringing by someone who has Bob's prekey but signs as somebody else."""
    ring = handshake.open()
    return CalleeHandshake(credentials, ring, os.urandom).answer(OFFER)


@pytest.mark.parametrize("who", ["eve", "eve as bob", "another device of bob", "another id of the device", "expired"])
def test_an_answer_by_another_device_is_refused(who: str) -> None:
    handshake = Handshake()
    bob, now = handshake.bob.credentials(), NOW
    match who:
        case "eve":
            credentials = EVE.credentials()
        case "eve as bob":
            credentials = Credentials(bob.certificate, EVE.device, bob.prekeys)
        case "another device of bob":
            second = handshake.bob.identity.certify(bob.certificate.address, "ff" * 8, EVE.device.public_key, NOW)
            credentials = Credentials(second, EVE.device, bob.prekeys)
        case "another id of the device":
            key = handshake.bob.device.public_key
            renamed = handshake.bob.identity.certify(bob.certificate.address, "ff" * 8, key, NOW)
            credentials = Credentials(renamed, handshake.bob.device, bob.prekeys)
        case _:
            credentials, now = bob, NOW + CERTIFICATE_SECONDS
    body = answer_as(credentials, handshake)
    with pytest.raises(VerificationError):
        handshake.caller.receive(body, now)
    genuine = CalleeHandshake(bob, open_ring(bob, handshake.caller.ring, CALL_ID, NOW, RingGuard()), os.urandom)
    assert handshake.caller.receive(genuine.answer(OFFER), NOW) == Ringing(OFFER)


def test_a_renewed_certificate_of_the_same_device_is_fine() -> None:
    handshake = Handshake()
    bob = handshake.bob
    renewed = bob.identity.certify(bob.credentials().certificate.address, bob.device_id, bob.device.public_key, NOW + 9)
    body = answer_as(Credentials(renewed, bob.device, bob.prekeys), handshake)
    assert handshake.caller.receive(body, NOW) == Ringing(OFFER)


def test_an_answer_to_another_ring_is_refused() -> None:
    """Bob's honest signature over another ring of the same caller, sealed again by who read it, is no answer."""
    handshake = Handshake()
    bob = handshake.bob
    key = HybridPrivateKey(caller_key_seed())
    other = RingingFields(b"h" * 32, b"s" * 32, b"n" * 32, bob.certificate, OFFER).signed(bob.device)
    body = seal_to(key.public_bytes, pad(other, 1136), b"entrenous answer v1")
    with pytest.raises(VerificationError, match="another ring"):
        handshake.caller.receive(body, NOW)


def caller_key_seed() -> bytes:
    draw = seeded("caller")
    draw(32)
    draw(32)
    return draw(96)


def test_swapped_roles_get_nowhere() -> None:
    """A message does not open at the side that sent it, and a ring is no answer nor the other way round."""
    handshake = Handshake()
    callee = handshake.done()
    with pytest.raises(VerificationError):
        handshake.caller.receive(handshake.caller.secrets.seal(Accept()), NOW)
    with pytest.raises(VerificationError):
        callee.receive(callee.secrets.seal(Accept()))
    fresh = Handshake()
    with pytest.raises(VerificationError):
        fresh.caller.receive(fresh.caller.ring, NOW)
    with pytest.raises(VerificationError):
        fresh.open(fresh.rung().answer(OFFER))


def test_who_knows_only_one_secret_knows_no_key() -> None:
    """Two callees under one ring get different keys: secret b counts."""
    handshake = Handshake()
    bob = handshake.bob.credentials()
    one, other = (
        CalleeHandshake(bob, open_ring(bob, handshake.caller.ring, CALL_ID, NOW, RingGuard()), os.urandom)
        for _ in range(2)
    )
    handshake.caller.receive(one.answer(OFFER), NOW)
    other.answer(OFFER)
    with pytest.raises(VerificationError):
        other.receive(handshake.caller.secrets.reveal())


def connect(caller: Profile, callee: Profile, believed: VerifiedDevice) -> tuple[CallerHandshake, CalleeHandshake]:
    a = CallerHandshake(caller.credentials(), believed, CALL_ID, MediaKinds.AUDIO, NOW, os.urandom)
    ring = open_ring(callee.credentials(), a.ring, CALL_ID, NOW, RingGuard())
    b = CalleeHandshake(callee.credentials(), ring, os.urandom)
    a.receive(b.answer(OFFER), NOW)
    b.receive(a.secrets.reveal())
    return a, b


def test_somebody_between_them_makes_the_words_differ() -> None:
    """On first contact the server passes off its own identities: Alice reaches Eve, Eve reaches Bob."""
    alice, bob = profile("alice"), profile("bob")
    eve_as_bob = Profile.create(bob.credentials().certificate.address, NOW, seeded("eve as bob"))
    eve_as_alice = Profile.create(alice.credentials().certificate.address, NOW, seeded("eve as alice"))
    a, eve_left = connect(alice, eve_as_bob, device_of(eve_as_bob))
    eve_right, b = connect(eve_as_alice, bob, device_of(bob))
    assert a.secrets.words == eve_left.secrets.words
    assert b.secrets.words == eve_right.secrets.words
    assert a.secrets.words != b.secrets.words


def test_a_pinned_identity_leaves_nobody_room_between_them() -> None:
    bob = profile("bob")
    eve_as_bob = Profile.create(bob.credentials().certificate.address, NOW, seeded("eve as bob"))
    with pytest.raises(VerificationError):
        device_of(eve_as_bob, identity_key=bob.identity.public_key)


def test_a_wrong_prekey_is_not_even_rung() -> None:
    """Eve replaces the prekey: Bob's device did not sign it."""
    handshake = Handshake()
    bob = handshake.bob
    with pytest.raises(VerificationError):
        VerifiedDevice.verify(
            bob.credentials().certificate.address,
            bob.identity.public_key,
            bob.certificate,
            EVE.prekeys[0].signed,
            NOW,
        )


def test_a_broken_prekey_is_refused_when_the_ring_is_made() -> None:
    handshake = Handshake()
    broken = handshake.bob.device.sign_prekey(0, int(NOW) + 9, b"\xff" * 1216)
    device = VerifiedDevice(handshake.bob.credentials().certificate, SignedPrekey.parse(broken.raw))
    with pytest.raises(VerificationError):
        CallerHandshake(handshake.alice.credentials(), device, CALL_ID, MediaKinds.AUDIO, NOW, os.urandom)


# --- any bytes ---


def receivers() -> list[Callable[[bytes], object]]:
    before, after, refused = Handshake(), Handshake(), Handshake()
    callee = after.done()
    return [
        before.open,
        before.rung().receive,
        lambda body: before.caller.receive(body, NOW),
        lambda body: after.caller.receive(body, NOW),
        callee.receive,
        refused.until_ringing().receive,
    ]


RECEIVERS = receivers()


@given(st.one_of(st.binary(max_size=64), st.tuples(st.binary(max_size=40), st.sampled_from(BODY_SIZES[:3])).map(
    lambda drawn: drawn[0].ljust(drawn[1], b"\0")
)))  # fmt: skip
def test_any_bytes_are_refused_everywhere(body: bytes) -> None:
    for receive in RECEIVERS:
        with pytest.raises(RemoteProtocolError):
            receive(body)


@given(st.binary(max_size=2000), st.sampled_from([b"entrenous answer v1", b"entrenous ring v1"]))
def test_any_bytes_that_somebody_sealed_are_refused(message: bytes, info: bytes) -> None:
    """Anybody can seal to a prekey or, with the ring in hand, to the ephemeral key."""
    handshake = SEALED_TO
    prekey = SignedPrekey.parse(handshake.bob.prekeys[0].signed).public_key
    with pytest.raises(RemoteProtocolError):
        handshake.open(seal_to(prekey, pad(message, 1136), info))
    key = HybridPrivateKey(caller_key_seed()).public_bytes
    with pytest.raises(RemoteProtocolError):
        handshake.caller.receive(seal_to(key, pad(message, 1136), info), NOW)


SEALED_TO = Handshake()
