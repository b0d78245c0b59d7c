"""The call handshake: both get the same keys, repetition counts once, and what is over is forgotten."""

from __future__ import annotations

import os

import pytest

from crypto.people import (
    CALL_ID,
    NOW,
    OFFER,
    Handshake,
    device_of,
    profile,
    seeded,
)
from entrenous.crypto.handshake import (
    CalleeHandshake,
    CallerHandshake,
    MediaKinds,
    Ringing,
)
from entrenous.crypto.messages import Accept, Candidate, End, Reveal
from entrenous.errors import LocalProtocolError, RemoteProtocolError, Replayed, VerificationError
from entrenous_wire.limits import BODY_SIZES

EVE = profile("eve")


def test_both_ends_agree_on_everything() -> None:
    handshake = Handshake()
    callee = handshake.rung()
    ringing = callee.answer(OFFER)
    assert handshake.caller.receive(ringing, NOW) == Ringing(OFFER)
    a, b = handshake.caller.secrets, callee.secrets
    assert handshake.caller.ringing
    assert callee.ringing
    assert b.words is None
    assert callee.receive(a.reveal()) == Reveal(handshake_nonce())
    assert a.words == b.words
    assert a.words is not None
    assert len(a.words) == 3
    assert handshake.caller.receive(b.seal(Accept()), NOW) == Accept()
    assert callee.receive(a.seal(Candidate(0, None))) == Candidate(0, None)
    for stream in ("audio", "video", "screen"):
        sealed = a.sealer(stream).seal(b"a to b")
        assert b.opener(stream).open(sealed, now=0.0) == b"a to b"
        assert a.opener(stream).open(b.sealer(stream).seal(b"b to a"), now=0.0) == b"b to a"


def handshake_nonce() -> bytes:
    draw = seeded("caller")
    draw(32)
    return draw(32)


def test_a_leg_need_not_be_offered() -> None:
    handshake = Handshake()
    callee = handshake.rung()
    assert handshake.caller.receive(callee.answer(None), NOW) == Ringing(None)
    assert isinstance(callee.receive(handshake.caller.secrets.reveal()), Reveal)


def test_all_bodies_have_one_of_the_seven_lengths_and_ends_look_alike() -> None:
    handshake = Handshake()
    callee = handshake.done()
    busy = Handshake()
    busy_callee = busy.rung()
    ends = [
        Handshake().caller.end(End("cancelled")),
        Handshake().caller.end(End("elsewhere", device="00" * 8)),
        busy_callee.end(End("busy")),
        callee.end(End("declined")),
        handshake.caller.end(End("failed", stage="handshake")),
    ]
    assert {len(body) for body in ends} == {2048}
    assert {len(handshake.caller.ring), len(Handshake().rung().answer(OFFER))} <= set(BODY_SIZES)
    accepts = {len(callee.secrets.seal(accept)) for accept in (Accept(), Accept(OFFER))}
    assert len(accepts) == 1


# --- the commitment ---


def test_another_nonce_than_the_committed_one_is_refused_and_the_true_one_still_taken() -> None:
    handshake = Handshake()
    callee = handshake.until_ringing()
    a = handshake.caller.secrets
    forged = a.seal(Reveal(b"x" * 32))
    with pytest.raises(VerificationError, match="committed"):
        callee.receive(forged)
    assert callee.secrets.words is None
    callee.receive(a.reveal())
    assert callee.secrets.words == a.words


def test_no_frame_passes_at_the_callee_before_the_nonce_is_shown() -> None:
    handshake = Handshake()
    callee = handshake.until_ringing()
    for factory in (callee.secrets.sealer, callee.secrets.opener):
        with pytest.raises(LocalProtocolError):
            factory("audio")


def test_the_words_depend_on_the_nonces() -> None:
    """With all else equal a caller who could choose its nonce late would get other words: hence the commitment."""
    handshake = Handshake()
    callee = handshake.until_ringing()
    words = {callee.secrets._derive_words(bytes((n,)) * 32, b"nonce b" * 4) for n in range(20)}
    assert len(words) == 20


# --- repetition ---


def test_messages_that_come_twice_count_once() -> None:
    handshake = Handshake()
    callee = handshake.rung()
    ringing = callee.answer(OFFER)
    handshake.caller.receive(ringing, NOW)
    words = handshake.caller.secrets.words
    reveal = handshake.caller.secrets.reveal()
    callee.receive(reveal)
    for receive, body in ((lambda body: handshake.caller.receive(body, NOW), ringing), (callee.receive, reveal)):
        with pytest.raises(Replayed):
            receive(body)
    assert handshake.caller.secrets.words == words


def test_a_refusal_and_an_early_end_that_come_twice_count_once() -> None:
    handshake = Handshake()
    refusal = handshake.rung().end(End("busy"))
    handshake.caller.receive(refusal, NOW)
    with pytest.raises(Replayed):
        handshake.caller.receive(refusal, NOW)
    other = Handshake()
    callee = other.rung()
    end = other.caller.end(End("cancelled"))
    callee.receive(end)
    with pytest.raises(Replayed):
        callee.receive(end)


# --- ends before the keys stand ---


def test_an_early_end_that_crosses_the_ringing_is_understood() -> None:
    handshake = Handshake()
    callee = handshake.rung()
    end = handshake.caller.end(End("elsewhere", device="00" * 8))
    callee.answer(OFFER)
    assert callee.receive(end) == End("elsewhere", device="00" * 8)


def test_once_the_caller_has_used_the_channel_the_early_key_opens_nothing() -> None:
    handshake = Handshake()
    early = Handshake().caller.end(End("cancelled"))
    callee = handshake.done()
    with pytest.raises(VerificationError):
        callee.receive(early)
    assert callee._early_key is None


def test_an_early_end_opens_at_the_device_it_is_for_only() -> None:
    end = Handshake().caller.end(End("cancelled"))
    other = Handshake()
    with pytest.raises(VerificationError):
        other.rung().receive(end)


def test_only_one_early_end_is_ever_sealed_under_its_key() -> None:
    caller = Handshake().caller
    caller.end(End("cancelled"))
    with pytest.raises(LocalProtocolError):
        caller.end(End("elsewhere", device="00" * 8))


def test_after_ringing_ends_go_through_the_channel() -> None:
    handshake = Handshake()
    callee = handshake.done()
    assert callee.receive(handshake.caller.end(End("local"))) == End("local")
    assert handshake.caller.receive(callee.end(End("declined")), NOW) == End("declined")


def test_a_refused_ring_makes_no_keys() -> None:
    handshake = Handshake()
    callee = handshake.rung()
    handshake.caller.receive(callee.end(End("busy")), NOW)
    for refused in (handshake.caller, callee):
        assert not refused.ringing
        with pytest.raises(LocalProtocolError):
            _ = refused.secrets
        with pytest.raises(LocalProtocolError):
            refused.end(End("local"))
    with pytest.raises(LocalProtocolError):
        callee.answer(OFFER)
    with pytest.raises(VerificationError):
        callee.receive(bytes(1024))
    with pytest.raises(RemoteProtocolError):
        handshake.caller.receive(bytes(1024), NOW)


def test_a_ring_is_answered_once() -> None:
    callee = Handshake().rung()
    callee.answer(OFFER)
    with pytest.raises(LocalProtocolError):
        callee.answer(OFFER)


def test_a_ring_with_an_unusable_answer_key_is_found_when_it_is_answered() -> None:
    """The ephemeral key is the caller's own business until then; nothing is left half done."""
    handshake = Handshake()
    ring = handshake.open()
    object.__setattr__(ring.fields, "answer_key", b"\xff" * 1216)
    callee = CalleeHandshake(handshake.bob.credentials(), ring, os.urandom)
    with pytest.raises(VerificationError):
        callee.answer(OFFER)
    assert not callee.ringing


@pytest.mark.parametrize(("call_id", "kinds"), [(b"short", MediaKinds.AUDIO), (CALL_ID, MediaKinds(0))])
def test_a_call_needs_an_id_and_a_media_kind(call_id: bytes, kinds: MediaKinds) -> None:
    handshake = Handshake()
    with pytest.raises(LocalProtocolError):
        CallerHandshake(handshake.alice.credentials(), device_of(handshake.bob), call_id, kinds, NOW, os.urandom)


def test_no_ring_is_sealed_to_a_prekey_that_has_expired() -> None:
    """A device that is away is left word, which a key of its own may open later; what is alive hangs on no old key."""
    alice, bob = profile("alice").credentials(), device_of(profile("bob"))
    expiry = bob.prekey.not_after
    assert CallerHandshake(alice, bob, CALL_ID, MediaKinds.AUDIO, expiry - 1.0, os.urandom).ring
    with pytest.raises(VerificationError, match="expired"):
        CallerHandshake(alice, bob, CALL_ID, MediaKinds.AUDIO, expiry, os.urandom)


# --- what stays and what is shown ---


def test_the_ephemeral_key_is_gone_when_the_keys_stand() -> None:
    """So a prekey stolen later opens the ring, and nothing that followed it."""
    handshake = Handshake()
    assert handshake.caller._answer_key is not None
    handshake.until_ringing()
    assert handshake.caller._answer_key is None
    assert handshake.caller._secret == handshake.caller._message == b""


@pytest.mark.parametrize("end", ["caller", "callee"])
def test_after_forgetting_nothing_is_sealed_or_opened(end: str) -> None:
    handshake = Handshake()
    callee = handshake.done()
    a, b = handshake.caller, callee
    sealer, opener = a.secrets.sealer("audio"), b.secrets.opener("audio")
    body, frame = b.secrets.seal(Accept()), sealer.seal(b"frame")
    if end == "caller":
        a.forget()
        with pytest.raises(VerificationError):
            a.receive(body, NOW)
        with pytest.raises(LocalProtocolError):
            sealer.seal(b"frame")
    else:
        b.forget()
        with pytest.raises(VerificationError):
            opener.open(frame, now=0.0)
    with pytest.raises(LocalProtocolError):
        (a if end == "caller" else b).end(End("local"))


def test_a_device_that_was_given_up_is_not_listened_to_any_more() -> None:
    handshake = Handshake()
    callee = handshake.rung()
    handshake.caller.forget()
    with pytest.raises(RemoteProtocolError):
        handshake.caller.receive(callee.answer(OFFER), NOW)


def test_nothing_secret_is_shown() -> None:
    handshake = Handshake()
    callee = handshake.done()
    shown = [repr(thing) for thing in (handshake.caller, callee, handshake.caller.secrets, callee.secrets)]
    assert shown == [
        "<CallerHandshake answered=True>",
        "<CalleeHandshake answered=True>",
        "<CallSecrets of the caller, epoch 0>",
        "<CallSecrets of the callee, epoch 0>",
    ]
