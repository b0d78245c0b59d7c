"""Ring, ringing and refusal as bytes: read back, and refused when anything is odd."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto.people import CALL_ID, NOW, OFFER, profile, variants
from entrenous.crypto import messages
from entrenous.crypto.fields import sized
from entrenous.crypto.handshake_messages import (
    MediaKinds,
    RefusalFields,
    RingFields,
    RingingFields,
    check_ring_signature,
    commitment,
    parse_answer,
)
from entrenous.crypto.messages import MAX_DESCRIPTION, LegAnswer, LegOffer
from entrenous.errors import LocalProtocolError, RemoteProtocolError, VerificationError
from entrenous_wire.addresses import Address

ALICE, BOB = profile("alice"), profile("bob")
RING = RingFields(
    call_id=CALL_ID,
    sent_at_ms=int(NOW * 1000),
    kinds=MediaKinds.AUDIO,
    secret=b"s" * 32,
    commitment=commitment(b"n" * 32),
    answer_key=bytes(1216),
    callee_identity=BOB.identity.public_key,
    callee_device=BOB.device_id,
    callee=Address.parse(BOB.address),
    certificate=ALICE.certificate,
)
RINGING = RingingFields(b"h" * 32, b"s" * 32, b"n" * 32, BOB.certificate, OFFER)
REFUSAL = RefusalFields(b"h" * 32, "busy", BOB.certificate)


def test_a_ring_is_read_back_and_its_signature_holds() -> None:
    data = RING.signed(ALICE.device)
    assert RingFields.parse(data) == RING
    check_ring_signature(data, ALICE.device.public_key)
    with pytest.raises(VerificationError):
        check_ring_signature(data, BOB.device.public_key)


FAILED = RefusalFields(b"h" * 32, "failed", BOB.certificate, "path", "no-relay")


@pytest.mark.parametrize("fields", [RINGING, replace(RINGING, leg_offer=None), REFUSAL, FAILED])
def test_an_answer_is_read_back_and_its_signature_holds(fields: RingingFields | RefusalFields) -> None:
    data = fields.signed(BOB.device)
    read = parse_answer(data)
    assert read == fields
    read.check(data, BOB.device.public_key)
    with pytest.raises(VerificationError):
        read.check(data, ALICE.device.public_key)


def test_every_byte_of_a_ring_is_under_the_signature() -> None:
    data = RING.signed(ALICE.device)
    for changed in variants(data):
        with pytest.raises(RemoteProtocolError):
            RingFields.parse(changed)
            check_ring_signature(changed, ALICE.device.public_key)


@pytest.mark.parametrize("fields", [RINGING, REFUSAL, FAILED])
def test_every_byte_of_an_answer_is_under_the_signature(fields: RingingFields | RefusalFields) -> None:
    for changed in variants(fields.signed(BOB.device)):
        with pytest.raises(RemoteProtocolError):
            parse_answer(changed).check(changed, BOB.device.public_key)


def test_a_signature_does_not_serve_another_message() -> None:
    refusal = REFUSAL.signed(BOB.device)
    with pytest.raises(VerificationError):
        RINGING.check(refusal, BOB.device.public_key)


@pytest.mark.parametrize("kinds", [0, 8, 255])
def test_unknown_media_kinds_are_refused(kinds: int) -> None:
    data = RING.signed(ALICE.device)
    with pytest.raises(RemoteProtocolError):
        RingFields.parse(data[:25] + bytes((kinds,)) + data[26:])


@pytest.mark.parametrize("text", [b"BOB@host", b"bob", b"bob@HOST", b"b\xf6b@host", b""])
def test_an_address_in_another_form_is_refused(text: bytes) -> None:
    data = RING.signed(ALICE.device)
    rest = data[1346 + 2 + len(BOB.address) :]
    assert RingFields.parse(data[:1346] + sized(BOB.address.encode()) + rest) == RING
    with pytest.raises(RemoteProtocolError):
        RingFields.parse(data[:1346] + sized(text) + rest)


def test_only_a_leg_offer_may_stand_in_a_ringing() -> None:
    data = RINGING.signed(BOB.device)
    offer, answer = sized(messages.encode(OFFER)), sized(messages.encode(LegAnswer(0, "v=0")))
    with pytest.raises(RemoteProtocolError):
        parse_answer(data.replace(offer, answer))


def test_what_the_peer_would_refuse_is_not_made() -> None:
    with pytest.raises(LocalProtocolError):
        replace(REFUSAL, reason="Not A Reason").signed(BOB.device)
    with pytest.raises(LocalProtocolError):
        replace(REFUSAL, cause="Not a cause").signed(BOB.device)
    with pytest.raises(LocalProtocolError):
        replace(RINGING, leg_offer=LegOffer(0, "v" * (MAX_DESCRIPTION + 1))).signed(BOB.device)
    with pytest.raises(LocalProtocolError):
        replace(RINGING, leg_offer=LegOffer(0, "€" * MAX_DESCRIPTION)).signed(BOB.device)


@given(st.binary(max_size=2000))
def test_any_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        RingFields.parse(data)
    with pytest.raises(RemoteProtocolError):
        parse_answer(data)


@given(st.randoms(), st.sampled_from([RING.signed(ALICE.device), RINGING.signed(BOB.device)]))
def test_mangled_messages_are_read_or_refused(chance: random.Random, data: bytes) -> None:
    mangled = bytearray(data)
    for _ in range(chance.randint(1, 5)):
        start = chance.randrange(len(mangled))
        mangled[start : start + chance.randint(0, 3)] = chance.randbytes(chance.randint(0, 3))
    for parse in (RingFields.parse, parse_answer):
        try:
            parse(bytes(mangled))
        except RemoteProtocolError:
            continue


def test_a_commitment_hides_and_binds() -> None:
    assert commitment(b"n" * 32) == commitment(b"n" * 32) != commitment(b"m" * 32)
    assert b"n" * 8 not in commitment(b"n" * 32)


@pytest.mark.parametrize("fields", [RING, RINGING])
def test_nothing_secret_is_shown(fields: object) -> None:
    assert repr(fields) in {"<RingFields>", "<RingingFields>"}
