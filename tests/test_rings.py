"""Rings: who may ring, under which key, and what is shown to them before anybody accepts."""

from __future__ import annotations

import os
import time

import pytest

from entrenous import IcePolicy, Profile, Strangers, VerificationError
from entrenous.crypto.handshake import CallerHandshake, MediaKinds
from entrenous.crypto.identity import VerifiedDevice
from entrenous.directory import Directory
from entrenous.errors import Replayed
from entrenous.protocol.inputs import EarlyLeg
from entrenous.rings import Rings
from entrenous_wire.addresses import Address
from entrenous_wire.messages import Deliver, Kind

HOST, CALL = "calls.example.org", b"c" * 16


@pytest.fixture
def alice() -> Profile:
    return Profile.create(None, None, Address("alice", HOST))


@pytest.fixture
def bob() -> Profile:
    return Profile.create(None, None, Address("bob", HOST))


def rings_of(profile: Profile, strangers: Strangers, policy: IcePolicy = IcePolicy.DIRECT) -> Rings:
    return Rings(profile, Directory(profile, lambda told: None), strangers, policy)


def ring(caller: Profile, callee: Profile, *, sender: Profile | None = None) -> Deliver:
    """A ring as the server delivers it; `sender` is who the server says it is from."""
    now, stored = time.time(), callee.stored
    prekey = stored.prekeys[0].signed
    device = VerifiedDevice.verify(callee.address, callee.identity_key, stored.certificate, prekey, now)
    handshake = CallerHandshake(caller.credentials(), device, CALL, MediaKinds.AUDIO, now, os.urandom)
    named = sender or caller
    return Deliver(
        seq=1,
        id=b"m" * 16,
        sender=str(named.address),
        device=named.device,
        call=CALL,
        kind=Kind.RING,
        body=handshake.ring,
    )


def test_a_contact_rings_and_a_leg_may_be_prepared(alice: Profile, bob: Profile) -> None:
    bob.contacts.add(str(alice.card))
    opened = rings_of(bob, Strangers.REFUSE).open(ring(alice, bob), lacks_relay=False)
    assert opened is not None
    assert opened.contact == bob.contacts.get(alice.address)
    assert opened.device == (str(alice.address), alice.device)
    assert (opened.ring.call_id, opened.early) == (CALL, EarlyLeg.DIRECT)
    assert abs(opened.age) < 60


def test_a_stranger_is_refused_unopened(alice: Profile, bob: Profile) -> None:
    rings = rings_of(bob, Strangers.REFUSE)
    assert rings.open(ring(alice, bob), lacks_relay=False) is None
    assert not rings._guard._expiry


@pytest.mark.parametrize(("lacks_relay", "early"), [(False, EarlyLeg.RELAY), (True, EarlyLeg.NONE)])
def test_a_stranger_who_may_ring_is_shown_no_address(
    lacks_relay: bool, early: EarlyLeg, alice: Profile, bob: Profile
) -> None:
    opened = rings_of(bob, Strangers.RING).open(ring(alice, bob), lacks_relay=lacks_relay)
    assert opened is not None
    assert (opened.contact, opened.early) == (None, early)


def test_nobody_rings_twice_with_one_ring_or_in_the_name_of_another(alice: Profile, bob: Profile) -> None:
    stranger = Profile.create(None, None, Address("eve", HOST))
    with pytest.raises(VerificationError, match="another device than it says"):
        rings_of(bob, Strangers.RING).open(ring(alice, bob, sender=stranger), lacks_relay=False)
    rings, message = rings_of(bob, Strangers.RING), ring(alice, bob)
    assert rings.open(message, lacks_relay=False) is not None
    with pytest.raises(Replayed):
        rings.open(message, lacks_relay=False)
