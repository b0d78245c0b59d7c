"""The keys of a call: streams apart, messages checked, and rekeying that loses no frame and no message for good."""

from __future__ import annotations

import random

import pytest

from crypto.people import NOW, OFFER, Handshake, refuse_every_change
from entrenous.crypto.call_secrets import REKEY_REPEAT_SECONDS, REKEY_SECONDS, STREAMS, CallSecrets
from entrenous.crypto.hybrid import HybridPrivateKey, seal_to
from entrenous.crypto.messages import (
    Accept,
    Candidate,
    InnerMessage,
    RekeyAnswer,
    RekeyDone,
    RekeyMessage,
    RekeyOffer,
    Reveal,
)
from entrenous.crypto.sframe import EPOCH_GRACE, FrameOpener, FrameRejected
from entrenous.errors import LocalProtocolError, RemoteProtocolError, Replayed, VerificationError


def pair() -> tuple[CallSecrets, CallSecrets]:
    handshake = Handshake()
    callee = handshake.done()
    return handshake.caller.secrets, callee.secrets


def rekey_message(receiver: CallSecrets, body: bytes | None) -> RekeyMessage:
    assert body is not None
    message = receiver.receive(body)
    assert isinstance(message, RekeyMessage)
    return message


def offered(a: CallSecrets, now: float = REKEY_SECONDS) -> bytes:
    """The first offer, which is due at `now`."""
    assert a.begin_rekey(now - REKEY_SECONDS) is None
    body = a.begin_rekey(now)
    assert body is not None
    return body


def rekey(a: CallSecrets, b: CallSecrets, body: bytes, now: float) -> None:
    answer = b.continue_rekey(rekey_message(b, body), now)
    done = a.continue_rekey(rekey_message(a, answer), now)
    assert b.continue_rekey(rekey_message(b, done), now) is None


def test_a_frame_fits_its_stream_and_direction_only() -> None:
    a, b = pair()
    frame = a.sealer("audio").seal(b"sound")
    wrong = [b.opener("video"), b.opener("screen"), *(a.opener(stream) for stream in STREAMS)]
    for opener in wrong:
        with pytest.raises(FrameRejected):
            opener.open(frame, now=0.0)
    assert b.opener("audio").open(frame, now=0.0) == b"sound"


def test_there_is_one_sealer_a_stream_so_counters_never_start_again() -> None:
    a, _ = pair()
    assert a.sealer("audio") is a.sealer("audio")
    with pytest.raises(LocalProtocolError, match="audio, video, screen"):
        a.sealer("smell")
    with pytest.raises(LocalProtocolError):
        a.opener("smell")


def test_messages_count_once() -> None:
    a, b = pair()
    body = a.seal(Candidate(0, None))
    assert b.receive(body) == Candidate(0, None)
    with pytest.raises(Replayed):
        b.receive(body)


def test_a_malformed_message_under_a_good_seal_is_refused() -> None:
    a, b = pair()
    with pytest.raises(RemoteProtocolError):
        b.receive(a.channel.seal(b"not a message"))
    assert b.receive(a.seal(Accept())) == Accept()


def test_the_nonce_is_shown_once_by_the_caller() -> None:
    a, b = pair()
    for secrets in (a, b):
        with pytest.raises(LocalProtocolError):
            secrets.reveal()
    with pytest.raises(RemoteProtocolError):
        b.receive(a.seal(Reveal(b"n" * 32)))
    with pytest.raises(RemoteProtocolError):
        a.receive(b.seal(Reveal(b"n" * 32)))


# --- rekeying ---


def test_a_rekey_changes_all_frame_keys_in_both_directions() -> None:
    a, b = pair()
    before = a.seal(Accept())
    old = {stream: [a.sealer(stream).seal(b"old") for _ in range(2)] for stream in STREAMS}
    rekey(a, b, offered(a), REKEY_SECONDS)
    assert a.epoch == b.epoch == 1
    for stream in STREAMS:
        for sender, receiver in ((a, b), (b, a)):
            frame = sender.sealer(stream).seal(b"new")
            assert sender.sealer(stream).epoch == 1
            assert receiver.opener(stream).open(frame, now=REKEY_SECONDS) == b"new"
        grace, late = old[stream]
        assert b.opener(stream).open(grace, now=REKEY_SECONDS + EPOCH_GRACE - 0.01) == b"old"
        with pytest.raises(FrameRejected):
            b.opener(stream).open(late, now=REKEY_SECONDS + EPOCH_GRACE)
    assert b.receive(before) == Accept()


def test_every_byte_of_the_three_messages_counts_and_a_refusal_changes_nothing() -> None:
    a, b = pair()
    offer = offered(a)
    refuse_every_change(offer, b.receive)
    answer = b.continue_rekey(rekey_message(b, offer), REKEY_SECONDS)
    assert answer is not None
    refuse_every_change(answer, a.receive)
    done = a.continue_rekey(rekey_message(a, answer), REKEY_SECONDS)
    assert done is not None
    assert (a.epoch, b.epoch) == (1, 0)
    refuse_every_change(done, b.receive)
    b.continue_rekey(rekey_message(b, done), REKEY_SECONDS)
    assert b.epoch == 1
    assert b.opener("audio").open(a.sealer("audio").seal(b"new"), now=REKEY_SECONDS) == b"new"


def test_every_byte_of_the_secret_counts_too() -> None:
    """A peer that answers with a broken secret moves nothing; its true answer still works."""
    a, b = pair()
    answer = rekey_message(a, b.continue_rekey(rekey_message(b, offered(a)), REKEY_SECONDS))
    assert isinstance(answer, RekeyAnswer)
    refuse_every_change(answer.sealed_secret, lambda changed: a.continue_rekey(RekeyAnswer(1, changed), REKEY_SECONDS))
    assert a.epoch == 0
    a.continue_rekey(answer, REKEY_SECONDS)
    assert a.epoch == 1


def test_no_frame_is_lost_at_any_step() -> None:
    a, b = pair()
    now = REKEY_SECONDS

    def both_ways() -> None:
        for sender, receiver in ((a, b), (b, a)):
            assert receiver.opener("audio").open(sender.sealer("audio").seal(b"sound"), now=now) == b"sound"

    offer = offered(a)
    both_ways()
    answer = b.continue_rekey(rekey_message(b, offer), now)
    both_ways()
    now += 10 * EPOCH_GRACE
    both_ways()
    done = a.continue_rekey(rekey_message(a, answer), now)
    both_ways()
    now += 10 * EPOCH_GRACE
    both_ways()
    b.continue_rekey(rekey_message(b, done), now)
    both_ways()


def test_it_is_due_once_a_minute_and_the_caller_leads() -> None:
    a, b = pair()
    with pytest.raises(LocalProtocolError):
        b.begin_rekey(0.0)
    assert a.begin_rekey(100.0) is None
    assert a.begin_rekey(100.0 + REKEY_SECONDS - 0.01) is None
    body = a.begin_rekey(100.0 + REKEY_SECONDS)
    assert body is not None
    rekey(a, b, body, 165.0)
    assert a.begin_rekey(165.0 + REKEY_SECONDS - 0.01) is None
    assert a.begin_rekey(165.0 + REKEY_SECONDS) is not None


def test_an_unanswered_offer_is_repeated_unchanged_and_answered_alike() -> None:
    a, b = pair()
    first = offered(a)
    assert a.begin_rekey(REKEY_SECONDS + REKEY_REPEAT_SECONDS - 0.01) is None
    second = a.begin_rekey(REKEY_SECONDS + REKEY_REPEAT_SECONDS)
    messages = [rekey_message(b, body) for body in (first, second)]
    assert messages[0] == messages[1]
    answers = [rekey_message(a, b.continue_rekey(message, REKEY_SECONDS)) for message in messages]
    assert answers[0] == answers[1]
    for answer in answers:
        done = a.continue_rekey(answer, REKEY_SECONDS)
        b.continue_rekey(rekey_message(b, done), REKEY_SECONDS)
    assert a.epoch == b.epoch == 1


def test_when_done_is_lost_the_first_new_frame_says_it() -> None:
    a, b = pair()
    a.continue_rekey(rekey_message(a, b.continue_rekey(rekey_message(b, offered(a)), 60.0)), 60.0)
    b.tick(60.5)
    assert b.epoch == 0
    b.opener("video").open(a.sealer("video").seal(b"new"), now=61.0)
    b.tick(61.5)
    assert b.epoch == 1
    assert a.opener("audio").open(b.sealer("audio").seal(b"new"), now=61.5) == b"new"


def test_when_done_is_lost_the_next_offer_says_it() -> None:
    a, b = pair()
    a.continue_rekey(rekey_message(a, b.continue_rekey(rekey_message(b, offered(a)), 60.0)), 60.0)
    body = a.begin_rekey(60.0 + REKEY_SECONDS)
    assert body is not None
    rekey(a, b, body, 120.0)
    assert a.epoch == b.epoch == 2
    assert b.opener("audio").open(a.sealer("audio").seal(b"new"), now=120.0) == b"new"


def test_a_root_that_is_done_with_is_overwritten() -> None:
    a, b = pair()
    roots = [secrets._root for secrets in (a, b)]
    rekey(a, b, offered(a), 60.0)
    assert all(root._value == bytes(32) for root in roots)
    current = [secrets._root for secrets in (a, b)]
    for secrets in (a, b):
        secrets.forget()
    assert all(root._value == bytes(32) for root in current)


def test_old_keys_do_not_give_new_frames_and_new_keys_no_old_ones() -> None:
    a, b = pair()
    stolen = a._root.frame_key(a.side, "audio")
    old_frame = a.sealer("audio").seal(b"old")
    rekey(a, b, offered(a), 60.0)
    new_frame = a.sealer("audio").seal(b"new")
    assert stolen != a._root.frame_key(a.side, "audio")
    for key, epoch, frame in ((stolen, 1, new_frame), (a._root.frame_key(a.side, "audio"), 0, old_frame)):
        with pytest.raises(FrameRejected):
            FrameOpener(epoch, key).open(frame, now=60.0)


@pytest.mark.parametrize(
    ("to_callee", "message"),
    [
        (False, RekeyOffer(1, HybridPrivateKey(bytes(96)).public_bytes)),
        (True, RekeyOffer(2, HybridPrivateKey(bytes(96)).public_bytes)),
        (True, RekeyOffer(1, b"\xff" * 1216)),
        (True, RekeyAnswer(1, bytes(1168))),
        (False, RekeyAnswer(1, bytes(1168))),
        (True, RekeyDone(1)),
        (False, RekeyDone(1)),
    ],
)
def test_a_rekey_message_that_does_not_fit_is_refused_and_changes_nothing(
    to_callee: bool, message: RekeyMessage
) -> None:
    a, b = pair()
    with pytest.raises(RemoteProtocolError):
        (b if to_callee else a).continue_rekey(message, 0.0)
    rekey(a, b, offered(a), 60.0)
    assert a.epoch == b.epoch == 1


def test_another_offer_for_an_answered_epoch_is_refused() -> None:
    a, b = pair()
    b.continue_rekey(rekey_message(b, offered(a)), 60.0)
    with pytest.raises(RemoteProtocolError):
        b.continue_rekey(RekeyOffer(1, HybridPrivateKey(bytes(96)).public_bytes), 60.0)


def test_a_secret_of_another_call_is_refused() -> None:
    """The secret is sealed for this call and this epoch, not only under the fresh key."""
    a, b = pair()
    offer = rekey_message(b, offered(a))
    assert isinstance(offer, RekeyOffer)
    foreign = seal_to(offer.public_key, b"s" * 32, b"entrenous rekey v1" + b"another call id!" + b"\0\0\0\1")
    with pytest.raises(VerificationError):
        a.continue_rekey(RekeyAnswer(1, foreign), 60.0)


def test_no_rekey_before_the_nonce_is_shown() -> None:
    handshake = Handshake()
    callee = handshake.until_ringing()
    offer = rekey_message(callee.secrets, offered(handshake.caller.secrets))
    with pytest.raises(RemoteProtocolError, match="too early"):
        callee.secrets.continue_rekey(offer, 60.0)


def test_a_call_that_is_forgotten_in_the_middle_of_a_rekey_keeps_nothing() -> None:
    a, b = pair()
    offer = offered(a)
    b.continue_rekey(rekey_message(b, offer), 60.0)
    prepared = b._prepared
    assert prepared is not None
    a.forget()
    b.forget()
    assert prepared.root._value == bytes(32)
    assert (a._offer, b._prepared) == (None, None)


@pytest.mark.parametrize("seed", range(20))
def test_over_a_lossy_path_rekeys_succeed_and_no_frame_is_lost(seed: int) -> None:
    """One message in four is lost, one doubled, any late; sound flows all the time and every frame opens."""
    chance = random.Random(seed)
    a, b = pair()
    waiting: list[tuple[CallSecrets, bytes]] = []
    now = 0.0

    def post(receiver: CallSecrets, body: bytes | None) -> None:
        if body is not None:
            waiting.extend([(receiver, body)] * chance.choice((0, 1, 1, 2)))

    def deliver_one() -> None:
        receiver, body = waiting.pop(chance.randrange(len(waiting)))
        try:
            message: InnerMessage = receiver.receive(body)
            assert isinstance(message, RekeyMessage)
            post(a if receiver is b else b, receiver.continue_rekey(message, now))
        except RemoteProtocolError:
            return

    for _ in range(400):
        now += 1.0
        post(b, a.begin_rekey(now))
        while waiting and chance.random() < 0.7:
            deliver_one()
        for sender, receiver in ((a, b), (b, a)):
            assert receiver.opener("audio").open(sender.sealer("audio").seal(b"sound"), now=now) == b"sound"
            receiver.tick(now)
        assert abs(a.epoch - b.epoch) <= 1
    assert a.epoch >= 4


def test_nothing_secret_is_shown() -> None:
    a, b = pair()
    assert (repr(a), repr(b)) == ("<CallSecrets of the caller, epoch 0>", "<CallSecrets of the callee, epoch 0>")
    handshake = Handshake()
    handshake.caller.receive(handshake.rung().answer(OFFER), NOW)
    assert repr(handshake.caller.secrets.channel) == "<SealedChannel sent=0 open=True>"
